"""The program `godot-supervisor`: runs a command, and turns each failure into one message and an exit code."""

import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from . import exit_codes

if TYPE_CHECKING:
    # Imported where something fails: AI clients wait for the first answer of the MCP bridge.
    from ..errors import SupervisorError

DEBUG_VARIABLE = "GODOT_SUPERVISOR_DEBUG"
REPORT_AT = "the project's issue tracker"

# Prompts and scripts run these often. They work without click, whose import takes as long as everything else.
QUERIES = frozenset({("status",), ("ps",), ("status", "--json"), ("ps", "--json")})

_MAY_COME_FROM_THE_HOME = frozenset({"DAEMON_UNREACHABLE", "STATE_NOT_WRITABLE", "CONFIG_INVALID", "NOT_OURS"})
"""Codes of errors whose cause may be a home folder that this user cannot have."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line, and return the exit code."""
    given = tuple(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    _replace_closed_streams()
    _escape_unencodable_letters()
    try:
        return _run(given, as_json=as_json)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as problem:  # noqa: BLE001 (the user gets one line instead of a traceback)
        return _report_failure(problem, as_json=as_json)


def _run(given: tuple[str, ...], *, as_json: bool) -> int:
    if given in QUERIES:
        from .text import status_table

        status_table.print_status(as_json=as_json)
        return exit_codes.DONE
    match given:
        # Started by service managers. The process runs for weeks, so it does not load click either.
        case ("service", "run") | ("service", "run", "--home", _):
            from ..daemon.service_main import serve

            return serve(*given[3:])
        case ("mcp", *words):
            from .server_commands import bridge_start

            arguments = bridge_start.parse_arguments(words)
            if arguments is not None:
                return bridge_start.serve(*arguments)
    from . import group

    return group.run(given, as_json=as_json)


def _report_failure(problem: Exception, *, as_json: bool) -> int:
    from ..errors import SupervisorError

    if isinstance(problem, SupervisorError):
        return _report(_reason_in_the_home(problem) or problem, as_json=as_json)
    if isinstance(problem, OSError) and (reason := _meaning_for_a_user(problem)) is not None:
        return _report(reason, as_json=as_json)
    return _report_defect(problem, as_json=as_json)


def _report(problem: "SupervisorError", *, as_json: bool) -> int:
    from . import output

    output.error(problem, as_json=as_json)
    return exit_codes.exit_code(problem.code)


def _reason_in_the_home(problem: "SupervisorError") -> "SupervisorError | None":
    """Return why this user cannot have such a home folder. Returns None if that is not behind the error."""
    if problem.code in _MAY_COME_FROM_THE_HOME or (problem.code == "DAEMON_NOT_RUNNING" and "file" in problem.data):
        from ..errors import SupervisorError
        from ..native.facts import folders
        from ..native.startup import homes

        try:
            homes.check(folders())
        except SupervisorError as reason:
            return reason
    return None


def _meaning_for_a_user(problem: OSError) -> "SupervisorError | None":
    """Return what a system error means for a user. Returns None if the error may be a defect of this program."""
    from ..errors import SupervisorError
    from ..native.facts import folders
    from ..native.startup import homes

    try:
        return homes.explain(problem, folders()) if problem.errno in homes.ENVIRONMENT_ERRNOS else None
    except SupervisorError as reason:
        return reason


def _report_defect(problem: Exception, *, as_json: bool) -> int:
    if os.environ.get(DEBUG_VARIABLE) == "1":
        raise problem
    from ..errors import Internal
    from . import output
    from .formatting import printable

    text = printable(f"{type(problem).__name__}: {problem}")
    hint = f"This is a defect. Run the command again with {DEBUG_VARIABLE}=1 and report the traceback to {REPORT_AT}."
    if as_json:
        output.error(Internal(f"unexpected {text}", hint=hint), as_json=True)
    else:
        output.note(f"error: unexpected {text}")
        output.note(hint)
    return exit_codes.FAILED


def _replace_closed_streams() -> None:
    """Open the null device for each standard stream that the shell has closed (`2>&-`).

    Python sets such a stream to None, and the next file that is opened would get its descriptor.
    """
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(os.devnull, mode, encoding="utf-8"))  # noqa: PTH123, SIM115 (open until the process ends)


def _escape_unencodable_letters() -> None:
    """Escape letters that a legacy code page does not have, so that a folder's name cannot fail the command."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")
