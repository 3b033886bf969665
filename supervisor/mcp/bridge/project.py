"""The project that a bridge works for. The current folder is the project in all AI clients that were measured."""

import contextlib
import os
from collections.abc import Mapping

PROJECT_FILE = "project.godot"

PROJECT_VARIABLES = ("CLAUDE_PROJECT_DIR", "QWEN_CODE_PROJECT_DIR")
"""Variables in which AI clients name the project."""


def find_project(given: str | None, variables: Mapping[str, str] = os.environ) -> str | None:
    """Return the folder of the project. Returns None if there is none.

    The order: the given folder, also if it is no project or does not exist yet; the current folder or the nearest
    project above it; the folder that a variable of the client names, or the nearest project above that.
    """
    if given is not None:
        return os.path.realpath(given)
    named = [variables.get(name) for name in PROJECT_VARIABLES]
    with contextlib.suppress(OSError):
        named.insert(0, os.getcwd())  # noqa: PTH109 (no pathlib, as everywhere in this module)
    for folder in named:
        project = _nearest_project(os.path.realpath(folder)) if folder else None
        if project is not None:
            return project
    return None


def _nearest_project(folder: str) -> str | None:
    """Return this folder or the nearest one above it that has a project file. Returns None if there is none."""
    while not os.path.isfile(os.path.join(folder, PROJECT_FILE)):  # noqa: PTH113, PTH118
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return None
        folder = above
    return folder
