"""Compares the daemon's files with this shell's. They differ if an XDG folder or another variable differs."""

import os
from collections.abc import Mapping
from typing import Any

from ...errors import SupervisorError
from ...native.facts import Folders
from .. import output, remote
from ..deadline import Deadline

ASK_TIMEOUT_S = 1.0
"""How long a command that works without a daemon waits for the daemon's answer."""


def ask_running_daemon(where: Folders) -> Mapping[str, Any] | None:
    """Return the facts that the running daemon gives of itself. Returns None if none runs, or none answers in time."""
    try:
        with remote.connect(where, Deadline(ASK_TIMEOUT_S)) as client:
            found: Mapping[str, Any] = client.call("status", accept_timeout_s=ASK_TIMEOUT_S)["daemon"]
    except (SupervisorError, OSError):
        return None
    return found


def other_config_file(where: Folders, daemon: Mapping[str, Any] | None) -> str | None:
    """Return the configuration file that the daemon reads. Returns None if it is this shell's."""
    return _path_if_other(where.config, daemon, "config")


def warn(where: Folders, daemon: Mapping[str, Any] | None) -> None:
    """Print which files and folders of the daemon are not this shell's, and the command that changes that.

    `daemon`: its facts, from `ask_running_daemon`.
    """
    found = [
        (name, mine, theirs)
        for name, mine, theirs in (
            ("configuration file", where.config, _path_if_other(where.config, daemon, "config")),
            ("log folder", where.logs, _path_if_other(where.logs, daemon, "logs")),
        )
        if theirs is not None
    ]
    for name, mine, theirs in found:
        output.note(f"the daemon's {name} is {theirs}; in this shell it is {mine}")
    if found:
        output.note("to make the daemon use this shell's: godot-supervisor restart --daemon")


def _path_if_other(mine: "os.PathLike[str]", daemon: Mapping[str, Any] | None, key: str) -> str | None:
    """Return the daemon's path under this key. Returns None if it is `mine`, or not known."""
    theirs = daemon.get(key) if daemon else None
    if not isinstance(theirs, str) or not theirs:
        # A daemon of an earlier release does not report it.
        return None
    return None if os.path.realpath(mine) == os.path.realpath(theirs) else theirs
