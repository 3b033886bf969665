"""Names for people: of editors, projects and programs."""

from itertools import count
from pathlib import Path

from ...core.model import Occupant
from ...errors import InvalidParams
from .records import Records

NAME_LENGTH = 256


def name_of(seen: Occupant) -> str | None:
    """The name of what a process runs, for people."""
    return Path(seen.command[0]).name[:NAME_LENGTH] if seen.command else None


def new_editor_id(records: Records, project: str | None) -> str:
    """The project folder's name, and the first number that is free."""
    base = folder_name(project) if project else "editor"
    return next(name for n in count(1) if (name := f"{base}-{n}") not in records.editors)


def canonical_project(project: str | None) -> str | None:
    """The project's folder without links, so that one project has one name.

    Raises:
        InvalidParams: it is no absolute path of a folder.
    """
    if project is None:
        return None
    path = Path(project)
    if not path.is_absolute():
        raise InvalidParams("project", f"{project!r} is not an absolute path")
    try:
        resolved = path.resolve(strict=True)
    except (OSError, ValueError) as error:
        raise InvalidParams("project", f"{project!r} does not exist", hint="pass the project's folder") from error
    if not resolved.is_dir():
        raise InvalidParams("project", f"{project!r} is no folder", hint="pass the folder that has project.godot")
    return str(resolved)


def folder_name(project: str) -> str:
    """A project's folder name, fit for an id and a file name."""
    name = "".join(c if c.isalnum() or c in "._-" else "-" for c in Path(project).name)
    return name.strip("-.") or "project"
