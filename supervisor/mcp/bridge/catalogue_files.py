"""The files in which catalogues outlive a bridge: one for each kind, version and project, owner-only."""

import binascii
import contextlib
import json
import os
from typing import Any

from ...native import private_files, trust
from ..core.messages.catalogue import Catalogue
from ..core.messages.scan import decode

FILE_MAX = 16 * 1024 * 1024
FOLDER = "catalogues"


class CatalogueFiles:
    """The catalogues in a home folder. A file that cannot be used is set aside, never believed."""

    def __init__(self, home: str) -> None:
        self._home = home
        self._folder = os.path.join(home, FOLDER)  # noqa: PTH118 (no pathlib: the client waits for the first answer)

    def newest(self, kind: str | None, project: str | None) -> Catalogue | None:
        """Return the newest catalogue of a kind and project that can be used. Returns None if there is none.

        Without a kind or a project, the newest one of any counts: servers of one kind say the same in most projects.
        """
        with contextlib.suppress(OSError):
            found = [entry for entry in os.scandir(self._folder) if _may_be_of(entry.name, kind, project)]
            for entry in sorted(found, key=lambda entry: -entry.stat().st_mtime_ns):
                catalogue = self._read(entry.path, kind, project)
                if catalogue is not None:
                    return catalogue
        return None

    def write(self, kind: str, project: str | None, version: str | None, content: dict[str, Any]) -> None:
        """Replace the file of a kind, project and version.

        A catalogue that cannot be written is not worth an error, and nothing is raised.
        """
        from pathlib import Path

        text = json.dumps({**content, "kind": kind, "project": project}, ensure_ascii=True).encode()
        with contextlib.suppress(OSError, trust.DistrustedError):
            trust.make_folder(Path(self._home))
            trust.make_folder(Path(self._folder))
            name = f"{_plain(kind)}-{_project_hash(project)}-{_plain(version or 'any')}.json"
            path = Path(self._folder, name)
            draft = path.with_name(f"{path.name}.{os.getpid()}.new")
            draft.unlink(missing_ok=True)
            with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
                file.write(text)
            private_files.replace(draft, path)

    def _read(self, path: str, kind: str | None, project: str | None) -> Catalogue | None:
        """Return the catalogue in a file. Returns None if it is of another kind or project, or cannot be used."""
        try:
            found = decode(trust.contents(path, FILE_MAX).decode())
        except (OSError, ValueError, RecursionError, trust.DistrustedError):
            found = None
        if isinstance(found, dict):
            # The name of the file has only a part of both.
            if kind is not None and found.get("kind", kind) != kind:
                return None
            if project is not None and found.get("project") != project:
                return None
        catalogue = Catalogue.from_json(found)
        if catalogue is None:
            with contextlib.suppress(OSError):
                os.replace(path, f"{path}.damaged")  # noqa: PTH105
        return catalogue


def _may_be_of(name: str, kind: str | None, project: str | None) -> bool:
    """Return whether a file of this name may have a catalogue of this kind and project, None for any."""
    begins = kind is None or name.startswith(f"{_plain(kind)}-")
    return begins and name.endswith(".json") and (project is None or f"-{_project_hash(project)}-" in name)


def _project_hash(project: str | None) -> str:
    return f"{binascii.crc32((project or '').encode('utf-8', 'surrogateescape')):08x}"


def _plain(text: str) -> str:
    """Return a text as a part of a file's name, with underscores in place of letters that not every system allows."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "._+-") else "_" for letter in text)
