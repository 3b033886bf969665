"""The registry file: one writer, replaced atomically, never lost silently."""

import contextlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from ..core.model import State
from ..native import private_files, trust
from ..values import frozen
from .codec import Encoder, UnreadableError, decode, homes_of

LIMIT = 64 * 1024 * 1024
"""Bytes. A hundred servers are about 100 KiB."""


class Found(StrEnum):
    """What lay at the registry's path."""

    READ = "read"
    MISSING = "missing"
    SET_ASIDE = "set aside"


@frozen
class Loaded:
    """The state, and how it was come by. `aside` is where an unreadable file went.

    `homes` are the ids of the homes that the file was written for; none in one of an earlier release.
    """

    state: State
    found: Found
    aside: Path | None = None
    reason: str | None = None
    homes: tuple[str, ...] = ()


class FileStore:
    """Survives SIGKILL of its writer at any moment. No fsync: after a power loss no server lives."""

    def __init__(
        self,
        path: Path,
        replace: Callable[[Path, Path], None] = private_files.replace,
        homes: Callable[[], tuple[str, ...]] = tuple,
    ) -> None:
        self._path = path
        self._replace = replace
        self._draft = path.with_name(path.name + ".draft")
        self._encoder = Encoder(homes)

    def load(self) -> Loaded:
        """What the last daemon wrote. A file that is unreadable, or that others could have written, is kept elsewhere.

        Its rows say which processes may be ended.

        Raises:
            OSError: it is there but cannot be read or renamed.
        """
        try:
            data = private_files.patiently(lambda: trust.contents(self._path, LIMIT))
            return Loaded(decode(data), Found.READ, homes=homes_of(data))
        except FileNotFoundError:
            return Loaded(State(), Found.MISSING)
        except (UnreadableError, trust.DistrustedError) as error:
            return Loaded(State(), Found.SET_ASIDE, self._set_aside(), str(error))

    def probe(self) -> None:
        """Return if `load` would; nothing is changed.

        Raises:
            OSError: the file is there but cannot be read.
        """
        with contextlib.suppress(FileNotFoundError, trust.DistrustedError):
            private_files.patiently(lambda: trust.contents(self._path, LIMIT))

    def write(self, state: State) -> None:
        """Replace the file.

        Raises:
            OSError: it could not be written; the old one stands.
        """
        data = self._encoder.encode(state)
        try:
            private_files.write(self._draft, data)
            self._replace(self._draft, self._path)
        except OSError:
            with contextlib.suppress(OSError):
                self._draft.unlink(missing_ok=True)
            raise

    def set_aside(self, reason: str) -> Loaded:
        """Keep what lies there elsewhere, and begin without it.

        Raises:
            OSError: it cannot be renamed.
        """
        return Loaded(State(), Found.SET_ASIDE, self._set_aside(), reason)

    def _set_aside(self) -> Path:
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.unreadable-{number}")).exists():
            number += 1
        private_files.replace(self._path, aside)
        return aside


def homes_in(path: Path) -> tuple[str, ...]:
    """The ids of the homes that a registry was written for; none where there is none, or none that can be read.

    Raises:
        OSError: it is there, and cannot be looked at.
    """
    try:
        return homes_of(private_files.patiently(lambda: trust.contents(path, LIMIT)))
    except (FileNotFoundError, UnreadableError, trust.DistrustedError):
        return ()
