"""Copies of users' files from before each change, and what each installation has inserted. Owner-only.

The files are those of AI clients and Godot projects.
"""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ...errors import ClientFileUnusable
from ...native import private_files, trust
from ...native.shared.lock_file import LockFile
from ...values import frozen
from .client_file import Content
from .documents.text_edit import Surroundings

FOLDER = "client-files"
BACKUPS_MAX = 10
"""Backups that are kept of one file."""

LOCKED_WITHIN_S = 10.0
"""How long another command may change files, before this one fails."""

POLL_S = 0.02

_LOCK = "lock"
_RECORDS = "installed.json"
_RECORDS_MAX = 1024 * 1024


@frozen
class Record:
    """What an installation has made: the text around the entry, the file itself, and folders.

    `chosen` is the program if the user has chosen it. None if it was found.
    """

    surroundings: Surroundings = Surroundings()
    made_file: bool = False
    made_folders: tuple[str, ...] = ()
    chosen: str | None = None

    def with_inheritance(self, other: "Record") -> "Record":
        """Return the record of an entry that stays when another one of its table, with that record, is removed."""
        known = (self.surroundings, other.surroundings)
        around = max(known, key=lambda each: (each.tables_made, bool(each.before)))
        folders = other.made_folders or self.made_folders
        return Record(around, self.made_file or other.made_file, folders, self.chosen)


class Backups:
    """The folder of backups in the home of the daemon. Nothing is made before the first change."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER
        self._lock = LockFile(self._folder / _LOCK)

    def lock(self, content: Content) -> None:
        """Wait until no other command of this program changes files of clients, and keep others waiting.

        Raises:
            ClientFileUnusable: the other command takes too long, or there can be no lock.
        """
        end = time.monotonic() + LOCKED_WITHIN_S
        try:
            self._make_folder()
            while not self._lock.take():
                if time.monotonic() > end:
                    raise self._unusable(content.path, "another command is changing files of clients")
                time.sleep(POLL_S)
        except (OSError, trust.DistrustedError) as problem:
            raise self._unusable(content.path, self._no_backup(problem)) from problem

    def unlock(self) -> None:
        """Let other commands change files of clients."""
        self._lock.release()

    def save(self, client: str, content: Content) -> Path | None:
        """Keep a copy of a file, and return its path. Returns None if there is no file.

        Raises:
            ClientFileUnusable: the copy cannot be written.
        """
        if content.text is None:
            return None
        prefix = f"{client}-{_id(content.real_path)}-"
        stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        path = self._folder / f"{prefix}{stamp}-{time.time_ns() % 1_000_000_000:09d}{content.real_path.suffix}.bak"
        self._write(path, content.raw, content.path)
        for old in sorted(self._folder.glob(f"{prefix}*.bak"))[:-BACKUPS_MAX]:
            with contextlib.suppress(OSError):
                old.unlink()
        return path

    def record(self, content: Content, keys: tuple[str, ...]) -> Record | None:
        """Return what the installation of an entry has made. Returns None if nothing is known."""
        found = self._records().get(_key(content, keys), {})
        try:
            before, after, tables = found["before"], found["after"], found["tables_made"]
            folders = tuple(str(folder) for folder in found["made_folders"])
            around = Surroundings(str(before), str(after), int(tables))
            chosen = found.get("chosen")
            return Record(around, bool(found["made_file"]), folders, chosen if isinstance(chosen, str) else None)
        except (KeyError, TypeError, ValueError):
            return None

    def keep_record(self, content: Content, keys: tuple[str, ...], record: Record | None) -> None:
        """Replace the record of an entry; None removes it.

        A removal without a record still works, so a record that cannot be written is no error.
        """
        records = self._records()
        if record is None and _key(content, keys) not in records:
            return
        records.pop(_key(content, keys), None)
        if record is not None:
            around = record.surroundings
            records[_key(content, keys)] = {
                "file": str(content.real_path),
                "before": around.before,
                "after": around.after,
                "tables_made": around.tables_made,
                "made_file": record.made_file,
                "made_folders": list(record.made_folders),
                "chosen": record.chosen,
            }
        with contextlib.suppress(ClientFileUnusable):
            self._write(self._folder / _RECORDS, json.dumps(records, indent=1).encode(), content.path)

    def _records(self) -> dict[str, Any]:
        try:
            found = json.loads(trust.contents(self._folder / _RECORDS, _RECORDS_MAX))
        except (OSError, ValueError, RecursionError, trust.DistrustedError):
            return {}
        return found if isinstance(found, dict) else {}

    def _write(self, path: Path, data: bytes, about: Path) -> None:
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            self._make_folder()
            draft.unlink(missing_ok=True)
            with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
                file.write(data)
            private_files.replace(draft, path)
        except (OSError, trust.DistrustedError) as problem:
            raise self._unusable(about, self._no_backup(problem)) from problem
        finally:
            with contextlib.suppress(OSError):
                draft.unlink()

    def _make_folder(self) -> None:
        trust.make_folder(self._home)
        trust.make_folder(self._folder)

    def _no_backup(self, problem: Exception) -> str:
        return f"no backup can be written to {self._folder}: {getattr(problem, 'strerror', None) or problem}"

    @staticmethod
    def _unusable(about: Path, problem: str) -> ClientFileUnusable:
        return ClientFileUnusable(f"{about}: {problem}", hint="the file was not changed", data={"file": str(about)})


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _key(content: Content, keys: tuple[str, ...]) -> str:
    return json.dumps([str(content.real_path), *keys])
