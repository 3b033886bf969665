"""Whether the daemon reads the files that this shell would: another XDG folder or variable leads to others."""

import os
from collections.abc import Mapping
from typing import Any

from ...errors import SupervisorError
from ...native.facts import Folders
from .. import output, remote
from ..deadline import Deadline

PATIENCE_S = 1.0
"""How long a command that needs no daemon waits for what one says of itself."""


def daemon_of(where: Folders) -> Mapping[str, Any] | None:
    """What the daemon that runs says of itself; None: none runs, or it says nothing."""
    try:
        with remote.connect(where, Deadline(PATIENCE_S)) as client:
            found: Mapping[str, Any] = client.call("status", accept_timeout_s=PATIENCE_S)["daemon"]
    except (SupervisorError, OSError):
        return None
    return found


def other_file(where: Folders, daemon: Mapping[str, Any] | None) -> str | None:
    """The configuration file that the daemon reads, where it is not this shell's."""
    return _other(where.config, daemon, "config")


def warn(where: Folders, daemon: Mapping[str, Any] | None) -> None:
    """Tell people which of the daemon's files and folders are not this shell's, and what mends that."""
    found = [
        (name, mine, theirs)
        for name, mine, theirs in (
            ("configuration file", where.config, _other(where.config, daemon, "config")),
            ("folder of logs", where.logs, _other(where.logs, daemon, "logs")),
        )
        if theirs is not None
    ]
    for name, mine, theirs in found:
        output.note(f"the daemon's {name} is {theirs}; here it is {mine}")
    if found:
        output.note("to have the daemon use this shell's: godot-supervisor restart --daemon")


def _other(mine: "os.PathLike[str]", daemon: Mapping[str, Any] | None, key: str) -> str | None:
    theirs = daemon.get(key) if daemon else None
    if not isinstance(theirs, str) or not theirs:
        # An earlier release does not say.
        return None
    return None if os.path.realpath(mine) == os.path.realpath(theirs) else theirs
