"""The file start.json, which stays when the daemon has gone, and tells plugins of editors how to start it."""

import contextlib
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from ..native import private_files, trust
from ..native.facts import HOME_VARIABLE, UTF8_OPTIONS

if TYPE_CHECKING:
    from ..native.facts import Folders

SCHEMA = 1
BYTES_MAX = 64 * 1024


class StartFile(NamedTuple):
    """How to start the daemon of this home. A plugin runs `command`, with `environment` added to its own variables.

    The command returns when a daemon answers, also if one ran already; any number may run at once. With `--json` behind
    it, it prints the reason of a failure to standard error as an error object.
    """

    schema: int
    version: str
    """The release that wrote the file."""
    python: str
    """The version of the interpreter."""
    command: tuple[str, ...]
    """The program, an absolute path, and its arguments."""
    environment: Mapping[str, str]
    home: str
    """The home folder that the file was written for. In another folder it counts as missing."""
    service: bool
    """Whether the system's service manager ran the daemon that wrote the file. The command asks it then as well."""


def describe(folders: "Folders", version: str, *, service: bool) -> StartFile:
    """Return how this installation starts the daemon of this home."""
    # Python's variables of the editor are for another interpreter (-E), and its folder is no place for modules (-P).
    program = str(Path(sys.executable).absolute())
    return StartFile(
        schema=SCHEMA,
        version=version,
        python=".".join(map(str, sys.version_info[:3])),
        command=(program, "-E", "-P", *UTF8_OPTIONS, "-m", "supervisor", "start"),
        environment={HOME_VARIABLE: str(folders.home)} if folders.moved else {},
        home=str(folders.home),
        service=service,
    )


def publish(path: Path, found: StartFile) -> bool:
    """Replace the file, readable by its owner only, if it says anything else. Return whether it was replaced.

    Raises:
        OSError: the system refused.
    """
    content = encode(found)
    try:
        if trust.contents(path, BYTES_MAX) == content and not _is_readable_by_others(path):
            return False
    except (OSError, trust.DistrustedError):
        pass
    draft = path.with_name(f"{path.name}.{os.getpid()}.new")
    # A draft that already exists is a dead process's, or a trap of another user.
    draft.unlink(missing_ok=True)
    with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
        file.write(content)
    private_files.replace(draft, path)
    return True


def introduce(folders: "Folders", version: str) -> None:
    """Write the file of this installation if there is none, so that an editor can start the first daemon."""
    with contextlib.suppress(OSError, trust.DistrustedError):
        if folders.start_file.exists():
            # That of the daemon that ran last, perhaps of another installation, is the one to go by.
            return
        trust.make_folder(folders.home)
        publish(folders.start_file, describe(folders, version, service=False))


def encode(found: StartFile) -> bytes:
    """Return the contents of the file."""
    fields = {**found._asdict(), "command": [*found.command], "environment": {**found.environment}}
    return json.dumps(fields, indent=1).encode() + b"\n"


def _is_readable_by_others(path: Path) -> bool:
    return private_files.why_exposed(path, path.stat()) is not None
