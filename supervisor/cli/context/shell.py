"""Where this shell's environment differs from the daemon's, which was started from another one, and what helps."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from ...client.client import Client
from ...errors import SupervisorError
from ...kinds import shell_variables
from ...kinds.kind import Kind

REMEDY = "godot-supervisor restart --daemon, from this shell"


@contextmanager
def explaining(client: Client) -> Iterator[None]:
    """While inside, an error that this shell's environment explains gets the hint that says so.

    Raises:
        SupervisorError: what was raised inside.
    """
    try:
        yield
    except SupervisorError as problem:
        with suppress(SupervisorError):
            problem.hint = _better(problem, client) or problem.hint
        raise


def _better(problem: SupervisorError, client: Client) -> str | None:
    if problem.code == "START_FAILED" and isinstance(problem.data.get("program"), str):
        return _found_here(problem.data)
    if problem.code == "INSTALL_FAILED":
        missing = _missing(client, shell_variables.of_the_network(os.environ))
        return f"{problem.hint or ''}; {_not_there(missing)}: {REMEDY}".lstrip("; ") if missing else None
    return None


def _found_here(data: Mapping[str, Any]) -> str | None:
    """Return where a program lies that the daemon did not find; None where this shell does not find it either."""
    import shutil

    found = shutil.which(data["program"])
    path = data.get("daemon_path")
    if found is None or os.environ.get("PATH") == path:
        return None
    return f"{found} is on this shell's PATH, and not on the daemon's ({path}): {REMEDY}, or write the whole path"


def notes(client: Client, kind: Kind | None) -> tuple[str, ...]:
    """Return what a user should know of preferences that this shell has, and the daemon and its servers have not."""
    here = shell_variables.opt_outs(os.environ) - frozenset(kind.env if kind else ())
    missing = _missing(client, here)
    if not missing:
        return ()
    table = f"[kinds.{kind.name}.env]" if kind else "[kinds.KIND.env]"
    return (f"{_not_there(missing)}, nor for its servers: {REMEDY}, or {table} in config.toml",)


def _missing(client: Client, here: frozenset[str]) -> list[str]:
    """Return those of these variables that the daemon does not have. A daemon that does not tell has them all."""
    if not here:
        return []
    there = _daemon(client).get("variables")
    return sorted(here - frozenset(there)) if there is not None else []


def _not_there(missing: list[str]) -> str:
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} set in this shell, and not for the daemon"


def _daemon(client: Client) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = client.call("status")["daemon"]
    return facts
