"""Writes the daemon's state to the registry: once per loop iteration, or at once where an operation needs it."""

import asyncio
import contextlib
from typing import Protocol

from ...core.model import RegistryContents
from ...errors import StateNotWritable
from .events import Events

RETRY_S = 5.0
"""After how long a failed write is tried again."""


class Store(Protocol):
    """The place where the state is kept."""

    def write(self, state: RegistryContents) -> None:
        """Replace the stored state. Raises OSError if that fails; the old state then stands."""
        ...


class RegistryWriter:
    """The base of `Records`: writes the state after each `_touch`.

    `flush` writes pending changes and retries a failure; `commit` and `wait_until_saved` raise it.
    """

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._scheduled = False
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False
        self.trouble: str | None = None
        """Why the last write failed; None if it succeeded."""
        self.revision = 0
        """Rises with every change of the state."""
        self._written = 0
        """The revision that is on the disk. -1: the last write failed, so the file's content is unknown."""

    def state(self) -> RegistryContents:
        """Return the whole state, as it would be written now."""
        raise NotImplementedError

    def commit(self) -> None:
        """Write the state now.

        Raises:
            StateNotWritable: the registry on the disk is older than the state in memory.
        """
        try:
            self._store.write(self.state())
        except OSError as error:
            if self.trouble is None:
                self._events.warn("registry.not_writable", reason=str(error))
            self.trouble = str(error)
            self._written = -1
            self._schedule_retry()
            raise StateNotWritable(
                f"the registry cannot be written: {error}", hint="free some disk space, or make the folder writable"
            ) from error
        self._written = self.revision
        self.trouble = None
        self._cancel_retry()

    def write_again(self) -> None:
        """Write the whole state, because the file on the disk is missing or was replaced."""
        self._written = -1
        self.flush()

    async def wait_until_saved(self) -> None:
        """Return once the present state is on the disk. All callers of one loop iteration share one write.

        Raises:
            StateNotWritable: the write has failed.
        """
        wanted = self.revision
        if self._written < wanted:
            # The write scheduled in this loop iteration runs at the start of the next.
            await asyncio.sleep(0)
        if self._written < wanted:
            self.commit()

    def close(self) -> None:
        """Write the pending changes a last time, and do not retry."""
        self._closed = True
        self.flush()
        self._cancel_retry()

    def _schedule_retry(self) -> None:
        """Schedule a retry, because the next change, and with it the next write, may be hours away."""
        if self._retry is None and not self._closed:
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._flush_as_retry)

    def _flush_as_retry(self) -> None:
        self._retry = None
        self.flush()

    def _cancel_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _touch(self) -> None:
        """Count a change of the state, and schedule a write for the next loop iteration."""
        self.revision += 1
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_as_scheduled)

    def _flush_as_scheduled(self) -> None:
        self._scheduled = False
        self.flush()

    def note(self) -> str | None:
        """Return what the user should know if the registry cannot be written; None if it can."""
        return f"the registry cannot be written: {self.trouble}" if self.trouble else None

    def flush(self) -> None:
        """Write now if anything has changed. A failure is published, kept in `trouble`, and retried."""
        if self._written < self.revision:
            with contextlib.suppress(StateNotWritable):
                self.commit()
