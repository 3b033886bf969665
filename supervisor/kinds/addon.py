"""The addon of a project: the version of the server that its plugin wants, from a file of the addon. Blocking."""

import os
import stat
from pathlib import Path

from ..core.pep440 import parse
from ..values import frozen
from .godot_config import value_in
from .kind import Addon

LIMIT = 64 * 1024
"""Bytes. Files of addons have a few hundred."""

QUOTED = 60
"""Characters of the file that are shown to people, at most."""


@frozen
class AddonSeen:
    """The version that a project's addon wants. `problem` is text for people: why that version cannot be used."""

    project: str
    file: str
    version: str | None = None
    problem: str | None = None


def look(addon: Addon, project: str) -> AddonSeen | None:
    """Return the version that the addon of a project wants, or None if the project does not have the addon."""
    try:
        return AddonSeen(project, addon.file, _version(_read(Path(project, addon.file)), addon))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return AddonSeen(project, addon.file, problem=f"cannot be read: {error.strerror or error}")
    except _UselessError as problem:
        return AddonSeen(project, addon.file, problem=str(problem))


class _UselessError(Exception):
    """The file exists, but has no usable version. The text is for people, and follows the name of the file."""


def _version(data: bytes, addon: Addon) -> str:
    """Return the version in the content of a file, in its normal form.

    Raises:
        _UselessError: the content has no usable version.
    """
    # Bytes that are not UTF-8 may be the name of an author. A version is ASCII.
    value = value_in(data.decode("utf-8", errors="replace"), addon.section, addon.key)
    if value is None:
        raise _UselessError(f"has no {addon.key} in [{addon.section}]")
    version = parse(value)
    if version is None:
        shown = value if len(value) <= QUOTED else f"{value[:QUOTED]}…"
        raise _UselessError(f"has {shown!r} for a version, which is not a version")
    return version.text


def _read(path: Path) -> bytes:
    """Return the content of a file.

    Raises:
        OSError: the file does not exist, or cannot be read.
        _UselessError: the path is not a regular file, or the file is too long.
    """
    # O_NONBLOCK, because a FIFO in the file's place must not hang the reader. Links are followed, because addons are
    # often linked into projects.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _UselessError("is not a regular file")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(LIMIT + 1)
    finally:
        os.close(handle)
    if len(data) > LIMIT:
        raise _UselessError(f"is longer than {LIMIT} bytes")
    return data
