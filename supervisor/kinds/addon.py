"""The addon of a project: the version of the server that its plugin wants, from a file of the addon. Blocking."""

import re
from pathlib import Path

from ..core.pep440 import parse
from ..values import frozen
from .godot_config import value_in
from .kind import Addon
from .regular_file import UnusableFileError, read_regular

LIMIT = 64 * 1024
"""Bytes of an addon's file, at most. Files of addons have a few hundred."""

QUOTED = 60
"""Characters of the file that are shown to people, at most."""

PROJECT_FILE = "project.godot"

PROJECT_LIMIT = 4 * 1024 * 1024
"""Bytes of the project file, at most. It holds all settings of a project, such as its input map."""

_ENGINE = re.compile(r'"([0-9]+\.[0-9]+(?:\.[0-9]+)?)"')


@frozen
class AddonSeen:
    """The version that a project's addon wants. `problem` is text for people: why that version cannot be used."""

    project: str
    file: str
    version: str | None = None
    problem: str | None = None


def read_addon(addon: Addon, project: str) -> AddonSeen | None:
    """Return the version that the addon of a project wants, or None if the project does not have the addon.

    Never raises: a file that cannot be used is the `problem` of the result.
    """
    try:
        return AddonSeen(project, addon.file, _version_in_file(Path(project, addon.file), addon))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return AddonSeen(project, addon.file, problem=f"cannot be read: {error.strerror or error}")
    except UnusableFileError as problem:
        return AddonSeen(project, addon.file, problem=str(problem))


def _version_in_file(path: Path, addon: Addon) -> str:
    # Links are followed, because addons are often linked into projects.
    data, _ = read_regular(path, LIMIT, follow_links=True)
    return _version_in(data, addon)


def _version_in(data: bytes, addon: Addon) -> str:
    """Return the version in the content of a file, in its normal form.

    Raises:
        UnusableFileError: the content has no usable version.
    """
    # Bytes that are not UTF-8 may be the name of an author. A version is ASCII.
    value = value_in(data.decode("utf-8", errors="replace"), addon.section, addon.key)
    if value is None:
        raise UnusableFileError(f"has no {addon.key} in [{addon.section}]")
    version = parse(value)
    if version is None:
        shown = value if len(value) <= QUOTED else f"{value[:QUOTED]}…"
        raise UnusableFileError(f"has {shown!r} for a version, which is not a version")
    return version.text


def project_engine(project: str) -> str | None:
    """Return the engine version in `application/config/features` of a project, such as "4.6"; None if there is none.

    Godot writes it whenever it saves the project. Blocking.
    """
    try:
        data, _ = read_regular(Path(project, PROJECT_FILE), PROJECT_LIMIT, follow_links=True)
    except (OSError, UnusableFileError):
        return None
    features = value_in(data.decode("utf-8", errors="replace"), "application", "config/features")
    found = _ENGINE.search(features or "")
    return found[1] if found else None
