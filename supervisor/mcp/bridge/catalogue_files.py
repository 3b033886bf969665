"""The files in which catalogues outlive a bridge: one for each kind, version and project, owner-only."""

import binascii
import contextlib
import json
import os
import re
from typing import Any

from ...native import private_files, trust
from ..core.messages.catalogue import Catalogue
from ..core.messages.scan import decode

FILE_MAX = 16 * 1024 * 1024
FOLDER = "catalogues"

_PLAIN = re.compile(r"[^A-Za-z0-9._+-]")


class CatalogueFiles:
    """The catalogues for one kind and project. A file that cannot be used is set aside, never believed."""

    def __init__(self, home: str, kind: str, project: str | None) -> None:
        self._home = home
        self._folder = os.path.join(home, FOLDER)  # noqa: PTH118 (no pathlib: the client waits for the first answer)
        self._project = project
        project_hash = binascii.crc32((project or "").encode("utf-8", "surrogateescape"))
        self._prefix = f"{_PLAIN.sub('_', kind)}-{project_hash:08x}-"

    def newest(self) -> Catalogue | None:
        """Return the newest catalogue that can be used. Returns None if there is none."""
        with contextlib.suppress(OSError):
            found = [entry for entry in os.scandir(self._folder) if entry.name.startswith(self._prefix)]
            for entry in sorted(found, key=lambda entry: -entry.stat().st_mtime_ns):
                catalogue = self._read(entry.path) if entry.name.endswith(".json") else None
                if catalogue is not None:
                    return catalogue
        return None

    def write(self, version: str | None, content: dict[str, Any]) -> None:
        """Replace the file of a version.

        A catalogue that cannot be written is not worth an error, and nothing is raised.
        """
        from pathlib import Path

        text = json.dumps({**content, "project": self._project}, ensure_ascii=True).encode()
        with contextlib.suppress(OSError, trust.DistrustedError):
            trust.make_folder(Path(self._home))
            trust.make_folder(Path(self._folder))
            path = Path(self._folder, f"{self._prefix}{_PLAIN.sub('_', version or 'any')}.json")
            draft = path.with_name(f"{path.name}.{os.getpid()}.new")
            draft.unlink(missing_ok=True)
            with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
                file.write(text)
            private_files.replace(draft, path)

    def _read(self, path: str) -> Catalogue | None:
        """Return the catalogue in a file. Returns None if it is of another project, or cannot be used."""
        try:
            found = decode(trust.contents(path, FILE_MAX).decode())
        except (OSError, ValueError, RecursionError, trust.DistrustedError):
            found = None
        if isinstance(found, dict) and found.get("project") != self._project:
            return None
        catalogue = Catalogue.from_json(found)
        if catalogue is None:
            with contextlib.suppress(OSError):
                os.replace(path, f"{path}.damaged")  # noqa: PTH105
        return catalogue
