"""The Godot project that a command is about."""

from pathlib import Path
from typing import Any

import click

from ...errors import InvalidParams
from ...native.facts import beside

PROJECT_FILE = "project.godot"


class Folder(click.Path):
    """A folder that is there. A relative one needs a current folder that is there."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The folder's whole path.

        Raises:
            InvalidParams: the current folder has gone.
        """
        folder = Path(value)
        return super().convert(folder if folder.is_absolute() else beside(value, "--project"), param, ctx)


def readable(path: str) -> str:
    """Return the path, if a message can carry it.

    Raises:
        InvalidParams: it is not UTF-8, and JSON has nothing else.
    """
    if path.isascii() or path == path.encode(errors="replace").decode():
        return path
    shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    raise InvalidParams("project", f"the path {shown} is not UTF-8", hint="rename the folder, or go there by a link")


def project_here() -> Path | None:
    """The current folder, if it is a Godot project. One that has gone is none."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    return here if (here / PROJECT_FILE).is_file() else None
