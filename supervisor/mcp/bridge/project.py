"""The project that a bridge works for. The current folder is the project in all AI clients that were measured."""

import contextlib
import os
import re
from collections.abc import Iterable, Mapping

from ...native.facts import PATHS_HAVE_DRIVES

DEFAULT_KIND = "godot-ai"

PROJECT_FILE = "project.godot"

PROJECT_VARIABLES = ("CLAUDE_PROJECT_DIR", "QWEN_CODE_PROJECT_DIR")
"""Variables in which AI clients name the project."""

# Compiled at the first use, which most bridges never come to.
_DRIVE = r"(?s)([A-Za-z])[:|]((?:[/\\].*)?)\Z"


def find_project(given: str | None, variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the folder of the project. Returns None if there is none.

    The order: the given folder, also if it is no project or does not exist yet; the current folder or the nearest
    project above it; the folder that a variable of the client names, or the nearest project above that.
    """
    if given is not None:
        given = os.path.realpath(given)
        return given if _is_utf8(given) else None
    named = [variables.get(name) for name in PROJECT_VARIABLES]
    with contextlib.suppress(OSError):
        named.insert(0, os.getcwd())  # noqa: PTH109 (no pathlib, as everywhere in this module)
    for folder in named:
        project = _nearest_project(os.path.realpath(folder)) if folder else None
        if project is not None:
            return project
    return None


def find_project_in_roots(roots: Iterable[str]) -> str | None:
    """Return the project of the first root that is in one: that folder or the nearest one above it, else None.

    `roots` are URIs, as AI clients name folders. Only those of files that this machine can reach count.
    """
    for uri in roots:
        folder = path_of(uri, drives=PATHS_HAVE_DRIVES)
        project = None
        # A name may be one that the system does not take.
        with contextlib.suppress(OSError, ValueError):
            project = _nearest_project(os.path.realpath(folder)) if folder else None
        if project is not None:
            return project
    return None


def path_of(uri: str, *, drives: bool) -> str | None:
    """Return the absolute path that a `file:` URI names (RFC 8089). Returns None for any other text.

    `drives`: paths of Windows. A drive may be written as `C:`, `c%3A` or `C|`; a host is that of a shared folder.
    """
    from urllib.parse import unquote_to_bytes

    scheme, _, rest = uri.partition(":")
    if scheme.lower() != "file":
        return None
    host, path = "", rest
    if rest.startswith("//"):
        host, slash, path = rest[2:].partition("/")
        path = slash + path
    if drives and re.match(_DRIVE, host):
        # Some clients write two slashes before the drive.
        host, path = "", f"/{host}{path}"
    host = "" if host.lower() == "localhost" else host
    # In a name these two characters are encoded.
    raw = unquote_to_bytes(path.partition("#")[0].partition("?")[0])
    if not raw.startswith(b"/") or b"\0" in raw:
        return None
    if drives:
        return _windows_path(host, raw.decode("utf-8", "replace"))
    return None if host else raw.decode("utf-8", "surrogateescape")


def _windows_path(host: str, path: str) -> str | None:
    """Return a path of Windows from the parts of a URI. Returns None for a path that is not absolute there."""
    if host:
        return f"//{host}{path}".replace("/", "\\")
    drive = re.match(_DRIVE, path.lstrip("/"))
    if drive is not None:
        return f"{drive[1]}:/{drive[2].lstrip('/')}".replace("/", "\\")
    return path.replace("/", "\\") if path.startswith("//") else None


def _nearest_project(folder: str) -> str | None:
    """Return this folder or the nearest one above it that has a project file. Returns None if there is none.

    A folder whose name is not UTF-8 is no project, because messages cannot carry its path.
    """
    while not os.path.isfile(os.path.join(folder, PROJECT_FILE)):  # noqa: PTH113, PTH118
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return None
        folder = above
    return folder if _is_utf8(folder) else None


def _is_utf8(path: str) -> bool:
    return path == path.encode(errors="replace").decode()
