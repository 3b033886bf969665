"""Installs and removes entries: one change for each target, with its outcome, diff and backup."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ...errors import ClientEntryNotOurs, ClientFileChanged, ClientScopeMissing, SupervisorError
from ...values import frozen
from . import client_file
from .backups import Backups, Record
from .client_file import Content
from .documents.text_edit import Surroundings
from .entry import Entry, ExistingEntry
from .target import Target

ADDED, UPDATED, UNCHANGED = "added", "updated", "unchanged"
REMOVED, ABSENT = "removed", "absent"
FAILED = "failed"

ATTEMPTS = 3
"""How often an edit is tried while another program changes the file."""

IsCurrent = Callable[[ExistingEntry], bool]


@frozen
class FileEdit:
    """What has become of one target."""

    target: Target
    entry: str
    outcome: str
    difference: Sequence[str] = ()
    backup: Path | None = None
    problem: SupervisorError | None = None
    note: str | None = None

    def document(self) -> dict[str, Any]:
        """Return the change for scripts."""
        error = None if self.problem is None else {"message": self.problem.message, **self.problem.to_wire()["data"]}
        return {
            "client": self.target.client.name,
            "scope": self.target.scope,
            "file": None if isinstance(self.problem, ClientScopeMissing) else str(self.target.file),
            "entry": self.entry,
            "outcome": self.outcome,
            "diff": list(self.difference),
            "backup": None if self.backup is None else str(self.backup),
            "error": error,
            "note": self.note,
        }


class Editor:
    """Makes changes. With `dry_run` nothing is written anywhere."""

    def __init__(self, backups: Backups, *, dry_run: bool) -> None:
        self._backups = backups
        self._dry_run = dry_run

    def install(self, target: Target, name: str, entry: Entry, *, is_current: IsCurrent) -> FileEdit:
        """Add or update an entry. `is_current` tells whether an entry that is there needs no change.

        A failure is an outcome, because other clients still get theirs.
        """
        return self._repeated(target, name, lambda: self._install(target, name, entry, is_current))

    def remove(self, target: Target, name: str) -> FileEdit:
        """Remove an entry of ours. A failure is an outcome."""
        return self._repeated(target, name, lambda: self._remove(target, name))

    def _repeated(self, target: Target, name: str, action: Callable[[], FileEdit]) -> FileEdit:
        """Repeat the action while other programs change the file. Only they can, once the action has the lock."""
        try:
            return self._tried(target, name, action)
        finally:
            self._backups.unlock()

    def _tried(self, target: Target, name: str, action: Callable[[], FileEdit]) -> FileEdit:
        for attempt in range(ATTEMPTS):
            try:
                return action()
            except ClientFileChanged as problem:
                if attempt == ATTEMPTS - 1:
                    return FileEdit(target, name, FAILED, problem=problem)
            except SupervisorError as problem:
                return FileEdit(target, name, FAILED, problem=problem)
        raise AssertionError

    def _install(self, target: Target, name: str, entry: Entry, is_current: IsCurrent) -> FileEdit:
        content = target.read()
        existing = target.entry(content, name)
        if existing is not None and existing.is_ours and is_current(existing):
            note = f"the entry is switched off in {target.client.title}" if existing.disabled else None
            return FileEdit(target, name, UNCHANGED, note=note)
        edited = target.with_entry(content, name, entry)
        self._prepare(content)
        shown = target.difference(content.text or "", edited.text, entry, *([] if existing is None else [existing]))
        outcome = ADDED if existing is None else UPDATED
        if self._dry_run:
            return FileEdit(target, name, outcome, shown)
        backup = self._backups.save(target.client.name, content)
        folders = client_file.replace(content, edited.text)
        keys, chosen = (*target.table, name), entry.command[0] if entry.chosen else None
        record = None if existing is None else self._backups.record(content, keys)
        if existing is None:
            record = Record(edited.surroundings or Surroundings(), content.text is None, tuple(map(str, folders)))
        if record is not None or chosen is not None:
            self._backups.keep_record(content, keys, replace(record or Record(), chosen=chosen))
        return FileEdit(target, name, outcome, shown, backup)

    def _prepare(self, content: Content) -> None:
        """Check that the file may be replaced, and keep other commands of this program from replacing it."""
        if not self._dry_run:
            self._backups.lock(content)
            client_file.remove_old_drafts(content)
        client_file.check_replaceable(content)

    def _remove(self, target: Target, name: str) -> FileEdit:
        content = target.read()
        existing = target.entry(content, name)
        others = [entry.name for entry, _ in target.entries(content) if entry.is_ours and entry.name != name]
        if existing is None:
            note = f"it has {', '.join(others)}, which --name or --kind removes" if others else None
            return FileEdit(target, name, ABSENT, note=note)
        if not existing.is_ours:
            raise ClientEntryNotOurs(
                f"{target.file}: the entry {name} is not one of this program",
                hint="remove it by hand, or name another one: --name NAME",
                data={"file": str(target.file), "entry": name},
            )
        keys = (*target.table, name)
        record = self._backups.record(content, keys)
        text = target.without_entry(content, name, None if record is None else record.surroundings)
        self._prepare(content)
        shown = target.difference(content.text or "", text, existing)
        if self._dry_run:
            return FileEdit(target, name, REMOVED, shown)
        backup = self._backups.save(target.client.name, content)
        if record is not None and record.made_file and not text.strip():
            client_file.remove(content, tuple(map(Path, record.made_folders)))
        else:
            client_file.replace(content, text)
        self._backups.keep_record(content, keys, None)
        if record is not None and others:
            keys = (*target.table, others[0])
            found = self._backups.record(content, keys) or Record()
            self._backups.keep_record(content, keys, found.with_inheritance(record))
        return FileEdit(target, name, REMOVED, shown, backup)
