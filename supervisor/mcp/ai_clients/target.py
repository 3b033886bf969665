"""One table of entries in one file of one client: reading it, and editing one entry of it. Nothing is written here."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ClientEntryNotOurs, ClientFileInvalid, ClientScopeMissing, SupervisorError
from ...native.facts import HOME_VARIABLE
from ...values import frozen
from .client_file import PRIVATE_MODE, SHARED_MODE, Content, read
from .documents import json_edit, toml_edit
from .documents.difference import unified
from .documents.hiding import hide_json, hide_toml
from .documents.text_edit import DocumentError, Edited, Surroundings
from .entry import Entry, ExistingEntry
from .places import Places
from .presence import is_there
from .table import AiClient, Shape

USER, PROJECT, LOCAL = "user", "project", "local"
SCOPES = (USER, PROJECT, LOCAL)

OUR_VARIABLES = frozenset({HOME_VARIABLE})
"""Variables of an entry that are ours. Others are the user's, and stay."""


@frozen
class Target:
    """A place for entries. `inside` is the folder that links of the file must not lead out of.

    `project` is the project of the entries, None in a user's file for all projects.
    """

    client: AiClient
    scope: str
    file: Path
    table: tuple[str, ...]
    inside: Path
    project: Path | None = None

    @property
    def _shape(self) -> Shape:
        return (self.scope == PROJECT and self.client.project_shape) or self.client.shape

    def exists(self) -> bool:
        """Return whether there is the file, or something that cannot be looked at: reading the file tells then."""
        try:
            self.file.lstat()
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def read(self) -> Content:
        """Return the content of the file.

        Raises:
            ClientFileUnusable: the file cannot be read.
            ClientFileInvalid: the content is no text.
        """
        return read(self.file, self.inside, SHARED_MODE if self.scope == PROJECT else PRIVATE_MODE)

    def entries(self, content: Content) -> list[tuple[ExistingEntry, int]]:
        """Return the entries of the table, each with the number of its line.

        Raises:
            ClientFileInvalid: the content is not valid, or the table is none.
        """
        found, shape = self.table_in(content), self._shape
        return [
            (shape.read(name, value if isinstance(value, dict) else {}), self._line(content, (*self.table, name)))
            for name, value in found.items()
        ]

    def table_in(self, content: Content) -> dict[str, Any]:
        """Return the table as the file has it. Returns an empty one if there is none.

        Raises:
            ClientFileInvalid: the content is not valid, or the table is none.
        """
        with _explaining(self):
            found = self._read(content.text or "", self.table)
            if found is None:
                return {}
            if not isinstance(found[0], dict):
                raise DocumentError(f"{'.'.join(self.table)} is no table", self._line(content, self.table))
            return found[0]

    def entry(self, content: Content, name: str) -> ExistingEntry | None:
        """Return the entry of this name. Returns None if there is none.

        Raises:
            ClientFileInvalid: the content is not valid, or the table is none.
        """
        return next((entry for entry, _ in self.entries(content) if entry.name == name), None)

    def with_entry(self, content: Content, name: str, entry: Entry) -> Edited:
        """Return the text with this entry. An entry of ours keeps the keys that a user has added.

        Raises:
            ClientEntryNotOurs: the name is taken by another entry.
            ClientFileInvalid: the content is not valid, or cannot be edited in place.
        """
        existing = self.entry(content, name)
        if existing is not None and not existing.is_ours:
            raise ClientEntryNotOurs(
                f"{self.file}: the entry {name} is not one of this program",
                hint="choose another name: --name NAME, or remove that entry by hand",
                data={"file": str(self.file), "entry": name},
            )
        path, text = (*self.table, name), content.text or ""
        with _explaining(self):
            if existing is None:
                return self._set(text, path, self._shape.write(entry))
            key = self._shape.variables
            others = {each: value for each, value in existing.variables.items() if each not in OUR_VARIABLES}
            variables = {**others, **entry.variables}
            wanted = {**self._shape.write(entry), key: variables}
            found = self._read(text, path)
            present = found[0] if found is not None and isinstance(found[0], dict) else {}
            for each, value in wanted.items():
                if each == key and not value:
                    text = self._delete(text, (*path, key), None) if key in present else text
                elif present.get(each) != value:
                    text = self._set_key(text, path, each, value)
            return Edited(text)

    def without_entry(self, content: Content, name: str, surroundings: Surroundings | None) -> str:
        """Return the text without the entry of this name.

        Raises:
            ClientFileInvalid: the content is not valid, or cannot be edited in place.
        """
        with _explaining(self):
            return self._delete(content.text or "", (*self.table, name), surroundings)

    def difference(self, old: str, new: str, *entries: Entry | ExistingEntry) -> list[str]:
        """Return the diff between two texts, in which the values of other entries are hidden."""
        shown = {"stdio", "local", "*"} | {word for entry in entries for word in entry.command}
        shown |= {value for entry in entries if isinstance(entry, Entry) for value in entry.variables.values()}
        hide = hide_toml if self.client.dialect is None else hide_json
        return unified(old, new, str(self.file), lambda text: hide(text, shown))

    def _read(self, text: str, path: tuple[str, ...]) -> tuple[Any, int] | None:
        """Return the value at a path, and its line. Returns None if there is none."""
        if self.client.dialect is None:
            return toml_edit.read(text, path)
        return json_edit.read(text, path, self.client.dialect)

    def _set(self, text: str, path: tuple[str, ...], value: dict[str, Any]) -> Edited:
        if self.client.dialect is None:
            return toml_edit.set_table(text, path, value)
        return json_edit.set_value(text, path, value, self.client.dialect)

    def _set_key(self, text: str, path: tuple[str, ...], key: str, value: Any) -> str:
        if self.client.dialect is None:
            return toml_edit.set_table(text, path, {key: value}).text
        return json_edit.set_value(text, (*path, key), value, self.client.dialect).text

    def _delete(self, text: str, path: tuple[str, ...], surroundings: Surroundings | None) -> str:
        if self.client.dialect is None:
            return toml_edit.delete(text, path, surroundings)
        return json_edit.delete(text, path, self.client.dialect, surroundings)

    def _line(self, content: Content, path: tuple[str, ...]) -> int:
        text = content.text or ""
        if self.client.dialect is None:
            return toml_edit.line_of(text, path)
        return json_edit.line_of(text, path, self.client.dialect)


def targets(client: AiClient, scope: str, places: Places, project: Path | None) -> tuple[Target, ...]:
    """Return the places for entries of a client in a scope: the one to install to first, then others that exist.

    Raises:
        ClientScopeMissing: the client has no file for this scope.
    """
    if scope == USER:
        files = client.user_files(places)
        found = [Target(client, scope, file, client.table, _inside(file, places)) for file in files]
        return _existing_first(found)
    if project is None:
        raise ClientScopeMissing("there is no project here", hint="name it: --project DIR")
    if scope == LOCAL:
        if client.local_table is None:
            raise ClientScopeMissing(f"{client.title} has no entries for one project in the user's file")
        table = client.local_table(str(_repository(project)))
        files = client.user_files(places)
        return _existing_first([Target(client, scope, file, table, _inside(file, places), project) for file in files])
    if not client.project_files:
        raise ClientScopeMissing(
            f"{client.title} has no file for one project", hint=f"godot-supervisor clients install {client.name} --user"
        )
    return _existing_first(
        [Target(client, scope, project / file, client.table, project, project) for file in client.project_files]
    )


def local_targets(client: AiClient, places: Places) -> Iterator[Target]:
    """Yield the tables of entries for one project that a user's file has, for projects that exist.

    A file that cannot be read has none: the target of scope USER tells why.
    """
    if client.local_table is None:
        return
    for target in targets(client, USER, places, None):
        try:
            content = target.read()
            projects = replace(target, table=client.local_table("")[:1]).table_in(content)
        except SupervisorError:
            continue
        for project, value in projects.items():
            folder, table = Path(project), client.local_table(project)
            if (
                isinstance(value, dict)
                and value.get(table[-1])
                and folder.is_absolute()
                and is_there(folder, Path.is_dir)
            ):
                yield replace(target, scope=LOCAL, table=table, project=folder)


def _existing_first(found: list[Target]) -> tuple[Target, ...]:
    """Return the targets whose files exist; the last one if there is none."""
    existing = [target for target in found if target.exists()]
    return tuple(existing) or (found[-1],)


def _inside(file: Path, places: Places) -> Path:
    """Return the folder that links of a user's file must not lead out of: the home, or the folder that was chosen."""
    return places.home if file.is_relative_to(places.home) else file.parent


def _repository(project: Path) -> Path:
    """Return the folder under which Claude Code keeps what belongs to a project: that of the repository around it."""
    real = project.resolve()
    return next((folder for folder in (real, *real.parents) if (folder / ".git").exists()), real)


@contextlib.contextmanager
def _explaining(target: Target) -> Iterator[None]:
    """Report an error of a document, raised inside, with its file and its line.

    Raises:
        ClientFileInvalid: in place of a DocumentError.
    """
    try:
        yield
    except DocumentError as problem:
        file = target.file
        line = {} if problem.line is None else {"line": problem.line}
        where = f"{file}: line {problem.line}" if line else str(file)
        raise ClientFileInvalid(
            f"{where}: {problem}",
            hint=f"mend the file; {target.client.title} may not read it either",
            data={"file": str(file), **line},
        ) from problem


def all_targets(client: AiClient, places: Places, project: Path | None) -> Iterator[Target]:
    """Yield each place of a client whose file exists, in every scope that it has."""
    for scope in SCOPES:
        try:
            found = targets(client, scope, places, project)
        except ClientScopeMissing:
            continue
        yield from (target for target in found if target.exists())
