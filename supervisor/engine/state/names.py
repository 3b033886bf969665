"""Makes names for people: of editors, projects and programs."""

from itertools import count
from pathlib import Path

from ...core.model import ClientName, Occupant
from ...errors import InvalidParams
from .records import Records

NAME_LENGTH = 256
CLIENT_ID_LENGTH = 40


def name_of(seen: Occupant) -> str | None:
    """Return the name of the program that a process runs, for people."""
    return Path(seen.command[0]).name[:NAME_LENGTH] if seen.command else None


def new_editor_id(records: Records, project: str | None) -> str:
    """Return the project folder's name with the first free number."""
    return _first_free(records, folder_name(project) if project else "editor")


def new_client_id(records: Records, client: ClientName) -> str:
    """Return the AI client's name, in a form that fits an id, with the first free number."""
    return _first_free(records, _as_id(client.name.lower()[:CLIENT_ID_LENGTH]) or "client")


def canonical_project(project: str | None) -> str | None:
    """Return the project's folder with links resolved, so that one project has one name.

    Raises:
        InvalidParams: the text is not the absolute path of a folder.
    """
    if project is None:
        return None
    path = Path(project)
    if not path.is_absolute():
        raise InvalidParams("project", f"{project!r} is not an absolute path", hint="pass the project's folder")
    try:
        resolved = path.resolve(strict=True)
    except (OSError, ValueError) as error:
        raise InvalidParams("project", f"{project!r} does not exist", hint="pass the project's folder") from error
    if not resolved.is_dir():
        raise InvalidParams(
            "project", f"{project!r} is not a folder", hint="pass the folder that contains project.godot"
        )
    return str(resolved)


def folder_name(project: str) -> str:
    """Return a project's folder name in a form that fits an id and a file name."""
    return _as_id(Path(project).name) or "project"


def _as_id(text: str) -> str:
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in text).strip("-.")


def _first_free(records: Records, base: str) -> str:
    return next(name for n in count(1) if (name := f"{base}-{n}") not in records.editors)
