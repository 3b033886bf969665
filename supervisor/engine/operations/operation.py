"""One running operation on a server: its deadline, and everybody who waits for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from ...core.model import ServerRecord
from ...core.single_flight import Operation, Running
from ...errors import TimedOut
from ...native.lane import Lane, take
from .waiters import Seat

LANES: Mapping[Operation, Lane] = {Operation.STOP: Lane.ENDING, Operation.REAP: Lane.ENDING}
"""Whose threads an operation uses, where those of starts are not meant."""

Work = Callable[["RunningOperation"], Awaitable[ServerRecord]]


def take_lane_of(operation: Operation) -> None:
    """Have the current task ask in the lane of an operation."""
    take(LANES.get(operation, Lane.STARTING))


class RunningOperation:
    """One running operation, and everybody who waits for it.

    `committed`: it has acted. `irrevocable`: what it has ended cannot be had back by ending what it has begun.
    """

    def __init__(self, server_id: str, running: Running, deadline_s: float) -> None:
        self.server_id = server_id
        self.running = running
        self.deadline_s = deadline_s
        self.committed = False
        self.irrevocable = False
        self.abandoned = False
        self.renounced: set[str] = set()
        self.ended: float | None = None
        self._taken: list[Seat] = []
        self._vacant: list[Seat] = []
        self._timeout: asyncio.Timeout | None = None
        self._stage: tuple[str, str, int | None, int | None] | None = None
        self.task: asyncio.Task[ServerRecord]

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Tell everybody who waits."""
        self._stage = (stage, message, done, total)
        for seat in self._taken:
            if seat.ticket.requester is not None:
                seat.ticket.requester.progress(stage, message, done, total)

    def extend(self) -> None:
        """Begin the deadline again: what happened so far does not count."""
        if self._timeout is not None:
            self._timeout.reschedule(asyncio.get_running_loop().time() + self.deadline_s)

    def suspend(self) -> None:
        """Stop the deadline, until `extend`: what comes now has bounds of its own."""
        if self._timeout is not None:
            self._timeout.reschedule(None)

    def board(self, seat: Seat) -> None:
        """One more who waits. What the others were told last is news to it."""
        if self.ended is None:
            self._taken.append(seat)
        if self._stage is not None and seat.ticket.requester is not None:
            seat.ticket.requester.progress(*self._stage)

    def leave(self, seat: Seat) -> None:
        """Whoever sat there has gone without a word."""
        if seat in self._taken:
            self._taken.remove(seat)
            self._vacant.append(seat)
            self._cancel_if_unwanted()

    def give_up(self, request: str) -> bool:
        """Whoever made this request no longer wants it. What cannot be undone is completed, and its answer stands.

        Returns:
            Whether it is let go.
        """
        if not self._undoable or self.task.done():
            return False
        self.renounced.add(request)
        for seats in (self._taken, self._vacant):
            for seat in [seat for seat in seats if seat.request == request]:
                seats.remove(seat)
                self._let_go(seat)
                if not seat.given_up.done():
                    seat.given_up.set_result(None)
        self._cancel_if_unwanted()
        return True

    def _let_go(self, seat: Seat) -> None:
        """Leave things as they were before it came; or have that done by the last who sits there for the same owner."""
        owner = seat.ticket.owner
        others = [each for each in (*self._taken, *self._vacant) if each.ticket.owner == owner and each is not seat]
        if owner is None or not others:
            seat.ticket.gave_up()
        else:
            others[0].ticket = replace(others[0].ticket, gave_up=seat.ticket.gave_up)

    def land(self, *, refused: bool) -> None:
        """It has ended. `refused`: nobody has got what they asked for. The outcome is kept, and nobody's connection."""
        for seat in (*self._taken, *self._vacant) if refused else ():
            seat.ticket.gave_up()
        self._taken.clear()
        self._vacant.clear()
        self._timeout = None

    def _cancel_if_unwanted(self) -> None:
        """When nobody is left who wants it, what can still be undone is undone."""
        wanted = bool(self._taken) or any(seat.ticket.goes_on_alone() for seat in self._vacant)
        if not wanted and self._undoable and not self.running.own and not self.task.done():
            self.abandoned = True
            self.task.cancel()

    @property
    def _undoable(self) -> bool:
        """A start can be taken back, even after the spawn; not one that has taken another server's place."""
        return not self.committed or (self.running.request.operation is Operation.ENSURE and not self.irrevocable)

    async def run(self, work: Work) -> ServerRecord:
        """Do it, within the deadline."""
        take_lane_of(self.running.request.operation)
        try:
            async with asyncio.timeout(self.deadline_s) as self._timeout:
                return await work(self)
        except TimeoutError as error:
            what = self.running.request.operation
            raise TimedOut(f"{what} did not end within {self.deadline_s:g} s") from error
