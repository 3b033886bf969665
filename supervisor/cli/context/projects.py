"""The Godot project of a command: the option `--project`, and the current folder."""

from pathlib import Path
from typing import Any

import click

from ...errors import InvalidParams
from ...native.facts import make_absolute

PROJECT_FILE = "project.godot"


class Folder(click.Path):
    """An existing folder. A relative path needs a current folder that still exists."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the folder's absolute path.

        Raises:
            InvalidParams: the current folder was removed.
        """
        folder = Path(value)
        return super().convert(folder if folder.is_absolute() else make_absolute(value, "--project"), param, ctx)


def utf8_path(path: str) -> str:
    """Return the path if a message can carry it.

    Raises:
        InvalidParams: the path is not UTF-8, which JSON requires.
    """
    if path.isascii() or path == path.encode(errors="replace").decode():
        return path
    shown = path.encode(errors="surrogateescape").decode(errors="backslashreplace")
    raise InvalidParams(
        "project", f"the path {shown} is not UTF-8", hint="rename the folder, or use a symbolic link to it"
    )


def project_here() -> Path | None:
    """Return the current folder if it is a Godot project. Returns None for others, and if the folder was removed."""
    try:
        here = Path.cwd()
    except OSError:
        return None
    return here if (here / PROJECT_FILE).is_file() else None
