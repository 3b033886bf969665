"""A running operation on a server: its deadline, its progress, and the requests that wait for its outcome."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any

from ...core.model import ServerRecord
from ...core.single_flight import Operation, Running
from ...errors import SupervisorError, TimedOut
from ...native.lane import Lane, take
from .waiters import Waiter

LANES: Mapping[Operation, Lane] = {Operation.STOP: Lane.ENDING, Operation.REAP: Lane.ENDING}
"""The lane whose threads an operation uses; operations that are not listed use the lane of starts."""

Work = Callable[["RunningOperation"], Awaitable[ServerRecord]]


def take_lane_of(operation: Operation) -> None:
    """Let the current task use the lane of an operation."""
    take(LANES.get(operation, Lane.STARTING))


class RunningOperation:
    """A running operation on a server.

    `running` is what admission compares later requests with. `deadline_s` counts from the start. `committed`: the
    operation has acted. `irrevocable`: it has ended a server that stopping the new one would not restore. `abandoned`:
    it is being cancelled because no caller wants it. `cancelled_requests` are the ids of the requests that were
    cancelled. `ended` is monotonic, seconds, None while the operation runs.
    """

    def __init__(self, server_id: str, running: Running, deadline_s: float) -> None:
        self.server_id = server_id
        self.running = running
        self.deadline_s = deadline_s
        self.committed = False
        self.irrevocable = False
        self.abandoned = False
        self.cancelled_requests: set[str] = set()
        self.ended: float | None = None
        self._waiters: list[Waiter] = []
        self._disconnected: list[Waiter] = []
        self._timeout: asyncio.Timeout | None = None
        self._last_progress: tuple[str, str, int | None, int | None] | None = None
        self.task: asyncio.Task[ServerRecord]

    async def run(self, work: Work) -> ServerRecord:
        """Perform the work within the deadline.

        Raises:
            TimedOut: it took longer.
            SupervisorError: what the work raised.
        """
        take_lane_of(self.running.request.operation)
        try:
            async with asyncio.timeout(self.deadline_s) as self._timeout:
                return await work(self)
        except TimeoutError as error:
            what = self.running.request.operation
            raise TimedOut(f"{what} did not end within {self.deadline_s:g} s") from error

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Send a progress message to every waiter, and keep it for waiters that come later."""
        self._last_progress = (stage, message, done, total)
        for waiter in self._waiters:
            if waiter.requester is not None:
                waiter.requester.progress(stage, message, done, total)

    def restart_deadline(self) -> None:
        """Let the deadline begin again: the time that has passed does not count."""
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self.deadline_s)

    def suspend_deadline(self) -> None:
        """Stop the deadline until `restart_deadline`, because the next step has limits of its own."""
        if self._timeout is not None:
            self._timeout.reschedule(None)

    async def wait_for_end(self, waiter: Waiter) -> ServerRecord | None:
        """Wait for the end of the operation, and return the server's record.

        Returns None if the request or the operation was cancelled.

        Raises:
            SupervisorError: what the operation raised.
        """
        if self.ended is None:
            self._waiters.append(waiter)
        if self._last_progress is not None and waiter.requester is not None:
            # The earlier waiters have had this message.
            waiter.requester.progress(*self._last_progress)
        ends: set[asyncio.Future[Any]] = {self.task, waiter.cancelled}
        await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        if self.abandoned:
            # A caller that cancelled is answered only when the start has been taken back.
            await asyncio.wait({self.task})
        if waiter.cancelled.done() or not self.task.done() or self.task.cancelled():
            return None
        error = self.task.exception()
        if isinstance(error, SupervisorError):
            # Raise a copy: the traceback of the kept error would keep the frames of every waiter alive.
            raise copy(error)
        return self.task.result()

    def disconnect(self, waiter: Waiter) -> None:
        """Note that a waiter's connection was lost, and cancel the operation if no waiter wants it any more."""
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            self._disconnected.append(waiter)
            self._cancel_if_unwanted()

    def cancel_request(self, request_id: str) -> bool:
        """Cancel a request, and the operation too if no other caller wants it.

        Returns:
            Whether the request was cancelled. Work that cannot be undone continues, and its result is kept.
        """
        if not self._undoable or self.task.done():
            return False
        self.cancelled_requests.add(request_id)
        for waiters in (self._waiters, self._disconnected):
            for waiter in [waiter for waiter in waiters if waiter.request_id == request_id]:
                waiters.remove(waiter)
                self._undo_or_pass_on(waiter)
                if not waiter.cancelled.done():
                    waiter.cancelled.set_result(None)
        self._cancel_if_unwanted()
        return True

    def _undo_or_pass_on(self, waiter: Waiter) -> None:
        """Undo the changes of a request, or pass the undo on to another waiter for the same editor."""
        others = [each for each in (*self._waiters, *self._disconnected) if each.editor_id == waiter.editor_id]
        if waiter.editor_id is None or not others:
            waiter.undo()
        else:
            others[0].undo = waiter.undo

    def release_waiters(self, *, undo: bool) -> None:
        """Forget the waiters after the end. The outcome is kept, their connections are not.

        With `undo`, what their requests changed is undone.
        """
        if undo:
            for waiter in (*self._waiters, *self._disconnected):
                waiter.undo()
        self._waiters.clear()
        self._disconnected.clear()
        self._timeout = None

    def _cancel_if_unwanted(self) -> None:
        """Cancel what can still be undone, once no caller wants it."""
        wanted = bool(self._waiters) or any(waiter.keep_if() for waiter in self._disconnected)
        if not wanted and self._undoable and not self.running.by_daemon and not self.task.done():
            self.abandoned = True
            self.task.cancel()

    @property
    def _undoable(self) -> bool:
        """Whether the operation can be taken back: a start, even after the spawn, unless it has replaced a server."""
        return not self.committed or (self.running.request.operation is Operation.ENSURE and not self.irrevocable)
