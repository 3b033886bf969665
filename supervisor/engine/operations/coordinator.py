"""The running operations: which request may start one, joins one, or waits until one has ended."""

import asyncio
from collections.abc import Callable
from typing import Any

from ...core import single_flight
from ...core.model import ServerRecord
from ...core.single_flight import Joined, OperationRequest, Refused, Running
from ...errors import Cancelled, Fault, ShuttingDown, SupervisorError
from ...native.api import Clock
from ..state.events import Events
from .admitted_request import AdmittedRequest, busy, cancelled_before_it_began
from .operation import RunningOperation, Work
from .outcomes import Outcomes
from .requester import Requester
from .waiters import QueuedRequest, Waiter, never, nothing

QUEUED = "queued"
"""The stage of a request whose operation waits for another one to end. Its deadline has not begun."""


class Operations:
    """Runs at most one operation on each server.

    A request takes these steps. Nothing is awaited between the last decision and `run`, because another request could
    start its operation in between:

        admitted = operations.admit(...)            # or raises Busy
        while admitted.waits_for is not None:
            await operations.wait(admitted)
            operations.readmit(admitted, ...)
        ...                                          # register what the operation needs
        return await operations.run(admitted, work)

    A request whose id is known `repeats` an earlier one: it goes to `run` at once.
    `on_ended` gets the server and the error that is no SupervisorError, if the operation ended by one.
    `engine.assembly` sets it.
    """

    def __init__(self, clock: Clock, events: Events) -> None:
        self._clock = clock
        self._events = events
        self.outcomes = Outcomes(clock)
        self._running: dict[str, RunningOperation] = {}
        self._queued: dict[str, QueuedRequest] = {}
        self._count = 0
        self._closing = False
        self.on_ended: Callable[[str, BaseException | None], None]

    def running(self, server_id: str) -> Running | None:
        """Return what runs on a server, None if nothing does."""
        operation = self._running.get(server_id)
        return operation.running if operation else None

    def admit(
        self,
        server_id: str,
        request: OperationRequest,
        requester: Requester | None = None,
        *,
        request_id: str | None = None,
        owner: str | None = None,
        deadline_s: float,
    ) -> AdmittedRequest:
        """Decide whether a request runs, joins the running operation, or waits for its end.

        The requester is not answered yet, so the request can still be refused. `owner` is the editor that the request
        is for.

        Raises:
            Busy: another operation holds the server.
            InvalidParams: the id was used for another request.
            ShuttingDown: the daemon is stopping.
        """
        repeats = None if request_id is None else self.outcomes.repeated(request_id, request.operation, server_id)
        deadline_s = deadline_s if repeats is None else repeats.deadline_s
        admitted = AdmittedRequest(
            server_id, request, request_id or self._new_id(), deadline_s, requester, owner, repeats
        )
        if repeats is None:
            self.readmit(admitted, server_id)
        return admitted

    def readmit(self, admitted: AdmittedRequest, server_id: str) -> None:
        """Decide again after a wait, perhaps for another server. A request that was accepted is never Busy any more.

        Raises:
            Busy, ShuttingDown: as `admit`.
        """
        if self._closing:
            raise ShuttingDown("the daemon is stopping", hint="godot-supervisor start")
        admitted.server_id = server_id
        operation = self._running.get(server_id)
        decision = single_flight.admit(operation.running if operation else None, admitted.request)
        if isinstance(decision, Refused) and not admitted.accepted:
            raise self.refuse(admitted, busy(decision.running, admitted.request, self._clock.monotonic()))
        joins = isinstance(decision, Joined) and operation is not None and not operation.abandoned
        admitted.joins, admitted.waits_for = (operation, None) if joins else (None, operation)

    def refuse(self, admitted: AdmittedRequest, error: SupervisorError) -> SupervisorError:
        """Publish that a request is refused before it was accepted, and return the error."""
        self._publish("flight.refused", admitted, error=error.code, reason=error.message)
        return error

    async def turn(self, admitted: AdmittedRequest) -> None:
        """Wait until a request may run that stays with its server, however many operations come before it.

        Raises:
            Cancelled, ShuttingDown: it does not run.
        """
        while admitted.waits_for is not None:
            await self.wait(admitted)
            self.readmit(admitted, admitted.server_id)

    async def wait(self, admitted: AdmittedRequest) -> None:
        """Wait until the other operation has ended. The requester first gets `accepted`.

        Raises:
            Cancelled: the request was cancelled before it began.
        """
        operation = admitted.waits_for
        assert operation is not None  # noqa: S101 (the caller has looked)
        if not admitted.accepted:
            self._publish("flight.waits", admitted, behind=operation.running.request_id)
        self._accept(admitted, joined=False)
        if admitted.requester is not None:
            admitted.requester.progress(QUEUED, f"waiting for {operation.running.request.what} to finish")
        request_id = admitted.request_id
        queued = self._queued.setdefault(request_id, QueuedRequest(operation.server_id, admitted.deadline_s))
        queued.connections += 1
        ends: set[asyncio.Future[Any]] = {operation.task, queued.given_up}
        try:
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        finally:
            queued.connections -= 1
            if not queued.connections:
                del self._queued[request_id]
                queued.over.set()
        if queued.given_up.done():
            raise cancelled_before_it_began()

    async def run(
        self,
        admitted: AdmittedRequest,
        work: Work,
        *,
        undo: Callable[[], None] = nothing,
        keep_if: Callable[[], bool] = never,
    ) -> ServerRecord:
        """Perform an admitted request, or share the outcome of the operation that it joins or repeats.

        `undo` takes back what the request has changed, if it is cancelled or refused. `keep_if` tells whether the
        operation is still wanted after the requester's connection was lost.

        Raises:
            SupervisorError: what the operation raised.
        """
        operation = admitted.repeats or admitted.joins
        joined = operation is not None
        if operation is None:
            running = Running(admitted.request, admitted.request_id, self._clock.monotonic())
            operation = self._start(admitted.server_id, running, work, admitted.deadline_s)
        elif admitted.joins is not None:
            self._publish("flight.joined", admitted, flight=operation.running.request_id)
        self._accept(admitted, joined=joined)
        waiter = Waiter(admitted.request_id, admitted.requester, admitted.owner, undo, keep_if)
        return await self.outcome(operation, waiter)

    async def outcome(self, operation: RunningOperation, waiter: Waiter) -> ServerRecord:
        """Wait for the outcome of an operation. A waiter that is cancelled leaves; the others keep the operation.

        Raises:
            SupervisorError: what the operation raised.
        """
        self.outcomes.remember(waiter.request_id, operation)
        try:
            record = await operation.outcome(waiter)
        except asyncio.CancelledError:
            self._events.publish("request.dropped", server=operation.server_id, request=waiter.request_id)
            operation.disconnect(waiter)
            raise
        if record is not None:
            return record
        if self._closing:
            raise ShuttingDown("the daemon stopped before this was done")
        raise Cancelled("the operation was cancelled")

    def queued(self, request_id: str) -> QueuedRequest | None:
        """Return a request that waits for another operation to end, None if it does not wait."""
        return self._queued.get(request_id)

    def start_own(
        self, server_id: str, request: OperationRequest, work: Work, *, deadline_s: float
    ) -> RunningOperation | None:
        """Start an operation of the daemon's own at once.

        Returns None if another operation is running, or if the daemon is closing.
        """
        if self._closing or server_id in self._running:
            return None
        return self._start_own(server_id, request, work, deadline_s)

    async def run_last(
        self, server_id: str, request: OperationRequest, work: Work, *, deadline_s: float
    ) -> ServerRecord:
        """Run the daemon's last operation on a server, after `close`.

        Raises:
            SupervisorError: what the operation raised.
        """
        return await self._start_own(server_id, request, work, deadline_s).task

    async def close(self, patience_s: float) -> None:
        """Start no more operations. Let those that have acted end within `patience_s`, and cancel the others."""
        self._closing = True
        for operation in self._running.values():
            if not operation.committed:
                operation.task.cancel()
        tasks = [operation.task for operation in self._running.values()]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=patience_s)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late)

    def _new_id(self) -> str:
        while True:
            self._count += 1
            request_id = f"r-{self._count}"
            if request_id not in self.outcomes.operations:
                return request_id

    def _start_own(self, server_id: str, request: OperationRequest, work: Work, deadline_s: float) -> RunningOperation:
        running = Running(request, self._new_id(), self._clock.monotonic(), by_daemon=True)
        operation = self._start(server_id, running, work, deadline_s)
        self.outcomes.remember(running.request_id, operation)
        return operation

    def _start(self, server_id: str, running: Running, work: Work, deadline_s: float) -> RunningOperation:
        operation = RunningOperation(server_id, running, deadline_s)
        self._running[server_id] = operation
        operation.task = asyncio.create_task(operation.run(work), name=f"{running.request.operation} {server_id}")
        self._events.publish(
            "flight.started",
            server=server_id,
            method=running.request.operation.value,
            request=running.request_id,
            holder=running.request.requested_by,
            why=running.request.why,
        )
        operation.task.add_done_callback(lambda task: self._end(operation, task))
        return operation

    def _end(self, operation: RunningOperation, task: asyncio.Task[ServerRecord]) -> None:
        operation.ended = self._clock.monotonic()
        if self._running.get(operation.server_id) is operation:
            del self._running[operation.server_id]
        error = None if task.cancelled() else task.exception()
        outcome = "cancelled" if task.cancelled() else "failed" if error else "done"
        self._events.publish(
            "flight.ended",
            server=operation.server_id,
            request=operation.running.request_id,
            outcome=outcome,
            error=str(error) if error else None,
        )
        operation.end(refused=isinstance(error, SupervisorError) and error.fault is Fault.CALLER)
        self.on_ended(operation.server_id, None if isinstance(error, SupervisorError) else error)

    @staticmethod
    def _accept(admitted: AdmittedRequest, *, joined: bool) -> None:
        """Tell the requester, once, that its request was admitted."""
        if admitted.requester is not None and not admitted.accepted:
            admitted.requester.accepted(request=admitted.request_id, joined=joined, deadline_s=admitted.deadline_s)
        admitted.accepted = True

    def _publish(self, event: str, admitted: AdmittedRequest, **details: str) -> None:
        request = admitted.request
        self._events.publish(
            event,
            server=admitted.server_id,
            method=request.operation,
            request=admitted.request_id,
            holder=request.requested_by,
            **details,
        )
