"""Explains what goes wrong because the daemon was started from a shell with another environment."""

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
    """While inside, give an error a better hint if this shell's environment explains the error.

    Raises:
        SupervisorError: the error that was raised inside.
    """
    try:
        yield
    except SupervisorError as problem:
        with suppress(SupervisorError):
            problem.hint = _better_hint(problem, client) or problem.hint
        raise


def _better_hint(problem: SupervisorError, client: Client) -> str | None:
    """Return the hint. Returns None if this shell's environment does not explain the error."""
    if problem.code == "START_FAILED" and isinstance(problem.data.get("program"), str):
        return _hint_for_a_program(problem.data)
    if problem.code == "INSTALL_FAILED":
        missing = _not_at_the_daemon(client, shell_variables.network_variables(os.environ))
        return f"{problem.hint or ''}; {_set_only_here(missing)}: {REMEDY}".lstrip("; ") if missing else None
    return None


def _hint_for_a_program(data: Mapping[str, Any]) -> str | None:
    """Return a hint with the path of a program that the daemon does not find. Returns None if this shell finds none."""
    import shutil

    found = shutil.which(data["program"])
    path = data.get("daemon_path")
    if found is None or os.environ.get("PATH") == path:
        return None
    return f"{found} is on this shell's PATH but not on the daemon's ({path}): {REMEDY}, or write the whole path"


def notes(client: Client, kind: Kind | None) -> tuple[str, ...]:
    """Return notes about opt-out variables that this shell has, and the daemon and its servers do not have."""
    opt_outs = shell_variables.opt_out_variables(os.environ) - frozenset(kind.env if kind else ())
    missing = _not_at_the_daemon(client, opt_outs)
    if not missing:
        return ()
    table = f"[kinds.{kind.name}.env]" if kind else "[kinds.KIND.env]"
    return (f"{_set_only_here(missing)}, and not for its servers: {REMEDY}, or {table} in config.toml",)


def _not_at_the_daemon(client: Client, variables: frozenset[str]) -> list[str]:
    """Return the variables that the daemon does not have. Empty for a daemon of a release that does not report them."""
    if not variables:
        return []
    there = _daemon(client).get("variables")
    return sorted(variables - frozenset(there)) if there is not None else []


def _set_only_here(missing: list[str]) -> str:
    verb = "is" if len(missing) == 1 else "are"
    return f"{', '.join(missing)} {verb} set in this shell but not for the daemon"


def _daemon(client: Client) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = client.call("status")["daemon"]
    return facts
