"""Entry into the daemon as a service manager starts it: `service run`."""

import faulthandler
import json
import os
import sys
from functools import partial

from ..errors import ConfigInvalid, NotOurs, StateNotWritable, SupervisorError
from ..native.facts import HOME_VARIABLE, folders
from ..native.service_api import ServiceManager
from ..native.services import manager as services

EXIT_CONFIGURATION = 78
"""EX_CONFIG of sysexits.h. Another start would fail too, so the unit forbids it (`RestartPreventExitStatus=`)."""

EXIT_FAILED = 1
SERVICE_NAME = "godot-supervisor"


def serve(home: str | None = None, *, as_json: bool = False) -> int:
    """Be the daemon until it is stopped, and return the exit status. Write an error to standard error.

    `home` replaces the home that the environment names. `as_json`: write the error as an error object.
    """
    _replace_missing_streams()
    # Before any import of asyncio, for the reason in daemon/__main__.py.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    # systemd's watchdog ends a loop that hangs with SIGABRT. The traceback then shows where the loop hung.
    faulthandler.enable()
    if home is not None:
        os.environ[HOME_VARIABLE] = home
    run = partial(_run, as_json=as_json)
    done = services.run_as_service(SERVICE_NAME, run)
    return run(services.manager_from(os.environ)) if done is None else done


def _run(manager: ServiceManager, *, as_json: bool) -> int:
    from .app import run_daemon

    try:
        _refuse_system_account()
        return run_daemon(folders(), console=sys.stderr.isatty(), manager=manager, by_service=True)
    except SupervisorError as error:
        problem = error
    except OSError as error:
        problem = StateNotWritable(str(error))
    hint = f" ({problem.hint})" if problem.hint else ""
    sys.stderr.write(f"{json.dumps(problem.to_wire()) if as_json else f'{problem.code}: {problem.message}{hint}'}\n")
    return EXIT_CONFIGURATION if isinstance(problem, ConfigInvalid | NotOurs) else EXIT_FAILED


def _refuse_system_account() -> None:
    """Raise NotOurs if this process runs as an account of the machine instead of a user."""
    account = services.refused_account()
    if account is not None:
        raise NotOurs(
            f"{account} is refused: the code of every project would run with the machine's own rights",
            hint="godot-supervisor service install, as yourself",
        )


def _replace_missing_streams() -> None:
    """Replace missing standard streams (Windows, pythonw.exe), because a thread that prints would fail without them."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: PTH123, SIM115 (for life)
