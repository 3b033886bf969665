"""The addon of a project: which version of the server its plugin wants, by a file of the addon's. Blocking."""

import os
import stat
from pathlib import Path

from ..core.pep440 import parse
from ..values import frozen
from .godot_config import value_in
from .kind import Addon

LIMIT = 64 * 1024
"""Bytes. Files of addons have some hundred."""

QUOTED = 60
"""Characters of what stands in the file, at most, that are shown to people."""


@frozen
class AddonSeen:
    """What a project's addon wants. `problem` is why that cannot be had, for people; it may come with a version."""

    project: str
    file: str
    version: str | None = None
    problem: str | None = None


def look(addon: Addon, project: str) -> AddonSeen | None:
    """Return what the addon of a project wants; None: the project has none."""
    try:
        return AddonSeen(project, addon.file, _version(_read(Path(project, addon.file)), addon))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return AddonSeen(project, addon.file, problem=f"cannot be read: {error.strerror or error}")
    except _UselessError as problem:
        return AddonSeen(project, addon.file, problem=str(problem))


class _UselessError(Exception):
    """The file is there, and tells no version. The text is for people, and follows the name of the file."""


def _version(data: bytes, addon: Addon) -> str:
    """Return the version in the content of a file, in its normal form.

    Raises:
        _UselessError: there is none.
    """
    # What is not UTF-8 in it may be somebody's name; a version is ASCII.
    value = value_in(data.decode("utf-8", errors="replace"), addon.section, addon.key)
    if value is None:
        raise _UselessError(f"has no {addon.key} in [{addon.section}]")
    version = parse(value)
    if version is None:
        shown = value if len(value) <= QUOTED else f"{value[:QUOTED]}…"
        raise _UselessError(f"has {shown!r} for a version, which is none")
    return version.text


def _read(path: Path) -> bytes:
    """Return what is in a file.

    Raises:
        OSError: it is not there, or cannot be read.
        _UselessError: it is no file that could tell a version.
    """
    # O_NONBLOCK: a FIFO in its place must not hang the reader. Links are followed: addons are often linked.
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0) | getattr(os, "O_CLOEXEC", 0)
    handle = os.open(path, flags)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise _UselessError("is no regular file")
        with open(handle, "rb", closefd=False) as file:
            data = file.read(LIMIT + 1)
    finally:
        os.close(handle)
    if len(data) > LIMIT:
        raise _UselessError(f"is longer than {LIMIT} bytes")
    return data
