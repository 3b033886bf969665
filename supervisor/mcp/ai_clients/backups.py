"""Copies of AI clients' files from before each change, and what each installation has inserted. Owner-only."""

import contextlib
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

from ...errors import ClientFileUnusable
from ...native import private_files, trust
from ...values import frozen
from .client_file import Content
from .documents.text_edit import Surroundings

FOLDER = "client-files"
BACKUPS_MAX = 10
"""Backups that are kept of one file."""

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


class Backups:
    """The folder of backups in the home of the daemon. Nothing is made before the first change."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._folder = home / FOLDER

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
            trust.make_folder(self._home)
            trust.make_folder(self._folder)
            draft.unlink(missing_ok=True)
            with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
                file.write(data)
            private_files.replace(draft, path)
        except (OSError, trust.DistrustedError) as problem:
            reason = getattr(problem, "strerror", None) or problem
            raise ClientFileUnusable(
                f"{about}: no backup can be written to {self._folder}: {reason}",
                hint="the file was not changed",
                data={"file": str(about)},
            ) from problem


def _id(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def _key(content: Content, keys: tuple[str, ...]) -> str:
    return json.dumps([str(content.real_path), *keys])
