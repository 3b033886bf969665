"""The registry file: one writer, replaced atomically, never lost without a report."""

import contextlib
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

from ..core.model import RegistryContents
from ..native import private_files, trust
from ..values import frozen
from .codec import Encoder, UnreadableError, decode, homes_of

LIMIT = 64 * 1024 * 1024
"""Bytes. A hundred servers are about 100 KiB."""


class Found(StrEnum):
    """How the registry was found at its path."""

    READ = "read"
    MISSING = "missing"
    SET_ASIDE = "set aside"


@frozen
class Loaded:
    """A state, and how it was loaded. `aside` is the new path of a file that was set aside, `reason` why it was.

    `homes` are the ids of the homes that the file was written for; none in a file of an earlier release.
    """

    state: RegistryContents
    found: Found
    aside: Path | None = None
    reason: str | None = None
    homes: tuple[str, ...] = ()


class FileStore:
    """The registry file at one path. The file survives SIGKILL of its writer at any moment.

    It is written without fsync, because no server survives a power loss.
    """

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
        """Return the state that the last daemon wrote.

        A file that is unreadable, or that others could have written, is renamed and not used, because its entries say
        which processes may be ended.

        Raises:
            OSError: the file exists but cannot be read or renamed.
        """
        try:
            data = private_files.retry_while_open(lambda: trust.contents(self._path, LIMIT))
            return Loaded(decode(data), Found.READ, homes=homes_of(data))
        except FileNotFoundError:
            return Loaded(RegistryContents(), Found.MISSING)
        except (UnreadableError, trust.DistrustedError) as error:
            return self.set_aside(str(error))

    def rehearse_load(self) -> None:
        """Check that `load` would succeed, without renaming anything.

        Raises:
            OSError: the file exists but cannot be read.
        """
        with contextlib.suppress(FileNotFoundError, trust.DistrustedError):
            private_files.retry_while_open(lambda: trust.contents(self._path, LIMIT))

    def write(self, state: RegistryContents) -> None:
        """Replace the file.

        Raises:
            OSError: the write failed; the old file stands.
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
        """Rename the file for this reason, which is text for people, and return an empty state.

        Raises:
            OSError: the file cannot be renamed.
        """
        return Loaded(RegistryContents(), Found.SET_ASIDE, self._rename(), reason)

    def _rename(self) -> Path:
        """Give the file the first free name `*.unreadable-NUMBER`, and return its new path."""
        number = 1
        while (aside := self._path.with_name(f"{self._path.name}.unreadable-{number}")).exists():
            number += 1
        private_files.replace(self._path, aside)
        return aside


def read_homes(path: Path) -> tuple[str, ...]:
    """Return the ids of the homes that a registry was written for; none if it is missing or unreadable.

    Raises:
        OSError: the file exists but cannot be opened.
    """
    try:
        return homes_of(private_files.retry_while_open(lambda: trust.contents(path, LIMIT)))
    except (FileNotFoundError, UnreadableError, trust.DistrustedError):
        return ()
