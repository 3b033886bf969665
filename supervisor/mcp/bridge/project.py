"""The project that a bridge works for. The current folder is the project in all AI clients that were measured."""

import os
from collections.abc import Mapping

PROJECT_FILE = "project.godot"

CLIENTS_SAY = ("CLAUDE_PROJECT_DIR", "QWEN_CODE_PROJECT_DIR")
"""Variables in which clients name the project."""


def find_project(given: str | None, environment: Mapping[str, str] = os.environ) -> str | None:
    """Return the folder of the project: the given one, else the nearest one above the current folder.

    Returns None if there is none. A given folder counts also if it is no project, or does not exist yet.
    """
    if given is not None:
        return os.path.realpath(given)
    try:
        here = _nearest(os.path.realpath(os.getcwd()))  # noqa: PTH109 (no pathlib, as everywhere in this module)
    except OSError:
        here = None
    said = (environment.get(name) for name in CLIENTS_SAY)
    return here or next((found for place in said if place and (found := _nearest(os.path.realpath(place)))), None)


def _nearest(folder: str) -> str | None:
    while not os.path.isfile(os.path.join(folder, PROJECT_FILE)):  # noqa: PTH113, PTH118
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return None
        folder = above
    return folder
