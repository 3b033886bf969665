"""All flights under way: admission is `core.flight`'s; who waits for whom, and what is kept, is here."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from copy import copy
from typing import Any

from ...core.model import ServerRecord
from ...core.single_flight import Joined, Operation, OperationRequest, Refused, Running, admit
from ...errors import Busy, Cancelled, Fault, InvalidParams, NotFound, ShuttingDown, SupervisorError
from ...native.api import Clock
from ..state.events import Events
from .operation import RunningOperation, Work
from .requester import Requester
from .waiters import Seat, Ticket, Turn

RETRY_AFTER_MS = 1000
QUEUED = "queued"
"""The stage of a request whose operation waits for another one to end: its deadline has not begun."""

KEPT_S, KEPT = 300.0, 500
"""For how long, and how many of the latest, outcomes of requests can be asked for again."""


class Operations:
    """At most one for each server."""

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self._operations: dict[str, RunningOperation] = {}
        self._requests: dict[str, RunningOperation] = {}
        self._waiting: dict[str, Turn] = {}
        self._count = 0
        self._closing = False
        self.on_landed: Callable[[str, BaseException | None], None] = lambda server_id, defect: None  # noqa: ARG005 (until somebody listens)

    def again(
        self, request: str | None, operation: Operation, server_id: str | None, ticket: Ticket
    ) -> Awaitable[ServerRecord] | None:
        """A request that is known, rejoined or answered again. `server_id` None: whichever it was about.

        None: it is not known, or was undone because its connection was lost.
        """
        known = None if request is None else self._kept(request)
        if request is None or known is None or (known.abandoned and request not in known.renounced):
            return None
        return self._again(known, request, operation, server_id, ticket)

    def knows(self, request: str) -> bool:
        """Whether a request of this name waits, is under way, or can be asked for again."""
        return request in self._waiting or self._kept(request) is not None

    def running(self, server_id: str) -> Running | None:
        """What runs on a server."""
        flight = self._operations.get(server_id)
        return flight.running if flight else None

    async def fly(
        self, server_id: str, wish: OperationRequest, work: Work, ticket: Ticket, *, deadline_s: float
    ) -> ServerRecord:
        """Perform a mutation, or share in the one under way.

        A request that is known is rejoined, or answered again; one that was undone because its connection was lost is
        performed when it is sent again.

        Raises:
            Busy: another operation holds the server.
            SupervisorError: what the operation raised.
        """
        kept = self.again(ticket.request_id, wish.operation, server_id, ticket)
        if kept is not None:
            return await kept
        request = self._name(ticket)
        told = False
        while True:
            if self._closing:
                raise ShuttingDown("the daemon is stopping", hint="godot-supervisor start")
            flight = self._operations.get(server_id)
            admission = admit(flight.running if flight else None, wish)
            if isinstance(admission, Refused) and not told:
                raise self._refuse(server_id, wish, request, self._busy(admission.running, wish))
            waits = flight is not None and (flight.abandoned or not isinstance(admission, Joined))
            try:
                # Whoever was told that it waits is not refused any more.
                ticket.admit(told=told, waits=waits)
            except SupervisorError as problem:
                raise self._refuse(server_id, wish, request, problem) from None
            if flight is not None and waits:
                await self._queue(flight, wish, ticket, request, deadline_s, told=told)
                told = True
                server_id = ticket.moved() or server_id
                continue
            if flight is None:
                running = Running(wish, request, self._clock.monotonic())
                flight = self._take_off(server_id, running, work, deadline_s)
            else:
                self._note("flight.joined", server_id, wish, request, flight=flight.running.request_id)
            self._tell(ticket, request, deadline_s, joined=isinstance(admission, Joined), told=told)
            return await self._ride(flight, request, ticket)

    async def _queue(
        self,
        flight: RunningOperation,
        wish: OperationRequest,
        ticket: Ticket,
        request: str,
        deadline_s: float,
        *,
        told: bool,
    ) -> None:
        """Let another operation end first. Who waits may give up meanwhile."""
        behind = flight.running
        if not told:
            self._note("flight.waits", flight.server_id, wish, request, behind=behind.request_id)
        self._tell(ticket, request, deadline_s, joined=False, told=told)
        if ticket.requester is not None:
            ticket.requester.progress(QUEUED, f"waiting for {behind.request.what} to finish")
        turn = self._waiting.setdefault(request, Turn(flight.server_id, deadline_s))
        turn.connections += 1
        ends: set[asyncio.Future[Any]] = {flight.task, turn.given_up}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            turn.connections -= 1
            if not turn.connections:
                del self._waiting[request]
                turn.over.set()
        if turn.given_up.done():
            raise Cancelled("the operation was cancelled before it began")

    async def result(self, request: str, requester: Requester | None = None) -> ServerRecord:
        """Wait for a request, or have its outcome again.

        Raises:
            NotFound: no such request, or it ended too long ago.
            SupervisorError: what the operation raised.
        """
        ticket, told = Ticket(requester), False
        while (turn := self._waiting.get(request)) is not None:
            self._tell(ticket, request, turn.deadline_s, joined=True, told=told)
            told = True
            await turn.over.wait()
            if turn.given_up.done():
                raise Cancelled("the operation was cancelled before it began")
        flight = self._known(request)
        self._tell(ticket, request, flight.deadline_s, joined=True, told=told)
        return await self._ride(flight, request, ticket)

    def cancel(self, request: str) -> bool:
        """Whoever made this request no longer wants it. Harmless when it has ended.

        Returns:
            Whether it goes on all the same, because it cannot be undone any more.

        Raises:
            NotFound: no such request.
        """
        turn = self._waiting.get(request)
        server_id = self._known(request).server_id if turn is None else turn.server_id
        self._events.publish("request.cancelled", server=server_id, request=request)
        if turn is None:
            flight = self._known(request)
            return not flight.give_up(request) and flight.ended is None
        if not turn.given_up.done():
            turn.given_up.set_result(None)
        return False

    def own(self, server_id: str, wish: OperationRequest, work: Work, *, deadline_s: float) -> RunningOperation | None:
        """The daemon's own operation, begun at once. None: another one is under way, or no more are to begin."""
        return None if self._closing or server_id in self._operations else self._own(server_id, wish, work, deadline_s)

    async def last(self, server_id: str, wish: OperationRequest, work: Work, *, deadline_s: float) -> ServerRecord:
        """One more flight after `close`: the daemon's own last one on a server.

        Raises:
            SupervisorError: what the operation raised.
        """
        return await self._own(server_id, wish, work, deadline_s).task

    async def close(self, patience_s: float) -> None:
        """Take no new flights; let those that have acted end, cancel the others."""
        self._closing = True
        for flight in self._operations.values():
            if not flight.committed:
                flight.task.cancel()
        tasks = [flight.task for flight in self._operations.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _name(self, ticket: Ticket) -> str:
        if ticket.request_id is not None:
            return ticket.request_id
        while True:
            self._count += 1
            name = f"r-{self._count}"
            if name not in self._requests:
                return name

    @staticmethod
    def _tell(ticket: Ticket, request: str, deadline_s: float, *, joined: bool, told: bool) -> None:
        if ticket.requester is not None and not told:
            ticket.requester.accepted(request=request, joined=joined, deadline_s=deadline_s)

    def _known(self, request: str) -> RunningOperation:
        flight = self._kept(request)
        if flight is None:
            raise NotFound(f"no request {request!r}", hint=f"outcomes are kept for {KEPT_S:g} s, at most {KEPT}")
        return flight

    def _kept(self, request: str) -> RunningOperation | None:
        flight = self._requests.get(request)
        if flight is not None and flight.ended is not None and flight.ended < self._clock.monotonic() - KEPT_S:
            del self._requests[request]
            return None
        return flight

    def _keep(self, request: str, flight: RunningOperation) -> None:
        """Its outcome can be asked for from now on; the oldest outcomes make room."""
        self._requests[request] = flight
        if len(self._requests) > KEPT:
            ended = [known for known, other in self._requests.items() if other.ended is not None]
            for known in ended[:-KEPT]:
                del self._requests[known]

    async def _again(
        self, flight: RunningOperation, request: str, operation: Operation, server_id: str | None, ticket: Ticket
    ) -> ServerRecord:
        was = (flight.server_id, flight.running.request.operation)
        if was != (server_id or flight.server_id, operation):
            raise InvalidParams("request", f"{request!r} was {was[1]} on {was[0]}")
        self._tell(ticket, request, flight.deadline_s, joined=True, told=False)
        return await self._ride(flight, request, ticket)

    def _own(self, server_id: str, wish: OperationRequest, work: Work, deadline_s: float) -> RunningOperation:
        request = self._name(Ticket())
        flight = self._take_off(server_id, Running(wish, request, self._clock.monotonic(), own=True), work, deadline_s)
        self._keep(request, flight)
        return flight

    def _take_off(self, server_id: str, running: Running, work: Work, deadline_s: float) -> RunningOperation:
        flight = RunningOperation(server_id, running, deadline_s)
        self._operations[server_id] = flight
        flight.task = asyncio.create_task(flight.run(work), name=f"{running.request.operation} {server_id}")
        self._events.publish("flight.started", server=server_id, **self._describe(running), why=running.request.why)
        flight.task.add_done_callback(lambda task: self._land(flight, task))
        return flight

    def _land(self, flight: RunningOperation, task: asyncio.Task[ServerRecord]) -> None:
        flight.ended = self._clock.monotonic()
        if self._operations.get(flight.server_id) is flight:
            del self._operations[flight.server_id]
        error = None if task.cancelled() else task.exception()
        outcome = "cancelled" if task.cancelled() else "failed" if error else "done"
        self._events.publish(
            "flight.ended",
            server=flight.server_id,
            request=flight.running.request_id,
            outcome=outcome,
            error=str(error) if error else None,
        )
        flight.land(refused=isinstance(error, SupervisorError) and error.fault is Fault.CALLER)
        self.on_landed(flight.server_id, None if isinstance(error, SupervisorError) else error)

    async def _ride(self, flight: RunningOperation, request: str, ticket: Ticket) -> ServerRecord:
        """Wait for the landing; a passenger that is cancelled leaves, the flight goes on if it is still wanted."""
        self._keep(request, flight)
        seat = Seat(request, ticket)
        flight.board(seat)
        ends: set[asyncio.Future[Any]] = {flight.task, seat.given_up}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            if flight.abandoned:
                # It is being undone: whoever gave it up is told when that is done.
                await asyncio.wait({flight.task})
        except asyncio.CancelledError:
            self._events.publish("request.dropped", server=flight.server_id, request=request)
            flight.leave(seat)
            raise
        if seat.given_up.done() or not flight.task.done() or flight.task.cancelled():
            if self._closing:
                raise ShuttingDown("the daemon stopped before this was done")
            raise Cancelled("the operation was cancelled")
        error = flight.task.exception()
        if isinstance(error, SupervisorError):
            # One for each passenger: the one that is kept would keep everybody whom it was raised to.
            raise copy(error)
        return flight.task.result()

    def _refuse(
        self, server_id: str, wish: OperationRequest, request: str, problem: SupervisorError
    ) -> SupervisorError:
        self._note("flight.refused", server_id, wish, request, error=problem.code, reason=problem.message)
        return problem

    def _note(self, event: str, server_id: str, wish: OperationRequest, request: str, **details: str) -> None:
        self._events.publish(
            event, server=server_id, method=wish.operation, request=request, holder=wish.holder, **details
        )

    def _describe(self, running: Running) -> Mapping[str, Any]:
        return {
            "method": running.request.operation.value,
            "request": running.request_id,
            "holder": running.request.holder,
        }

    def _busy(self, running: Running, wish: OperationRequest) -> Busy:
        elapsed_ms = round((self._clock.monotonic() - running.since) * 1000)
        return Busy(
            f"{running.request.what} is running",
            hint="try again when it has ended",
            retry_after_ms=RETRY_AFTER_MS,
            data={"running": {**self._describe(running), "elapsed_ms": elapsed_ms}, "requested": wish.operation.value},
        )
