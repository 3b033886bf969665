"""The running operations alone, without an engine, on virtual time."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from supervisor.core.model import Origin, ServerRecord, ServerState
from supervisor.core.single_flight import Operation, OperationRequest
from supervisor.engine.operations.coordinator import Operations
from supervisor.engine.operations.known_requests import KnownRequests
from supervisor.engine.operations.operation import RunningOperation, Work
from supervisor.engine.operations.waiters import do_nothing, never
from supervisor.engine.state.events import Events
from tests import virtual
from tests.engine.harness import EventRecorder
from tests.fakes import FakeClock

ENSURE = OperationRequest(Operation.ENSURE, "game-1")
STOP = OperationRequest(Operation.STOP, "game-1")
REAP = OperationRequest(Operation.REAP, "the daemon")
RECORD = ServerRecord("toy", "toy", None, None, ServerState.READY, Origin.SPAWNED, "first", {}, 0.0)
NEXT = replace(RECORD, launch="next")


class OperationsHarness:
    """The operations of an engine, alone. `ended`: server id and defect of each operation that ended."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events = EventRecorder()
        self.ended: list[tuple[str, BaseException | None]] = []

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        """Run a story on virtual time."""

        async def life() -> None:
            events = Events(self.events, self.clock)
            self.operations = Operations(self.clock, events)
            self.requests = KnownRequests(self.operations, events)
            self.operations.on_ended = lambda server_id, defect: self.ended.append((server_id, defect))
            await story()

        virtual.run(self.clock, life())

    def begin(
        self,
        request: OperationRequest = ENSURE,
        work: Work | None = None,
        *,
        server_id: str = "toy",
        admitted: Callable[[], None] = do_nothing,
        undo: Callable[[], None] = do_nothing,
        keep_if: Callable[[], bool] = never,
        deadline_s: float = 100.0,
        **origin: Any,
    ) -> asyncio.Task[ServerRecord]:
        """Make a request in a task, and return the task. `admitted` is called after admission, as by the engine."""

        async def perform() -> ServerRecord:
            admission = self.operations.admit(server_id, request, deadline_s=deadline_s, **origin)
            if admission.repeats is None:
                await self.operations.wait_until_runnable(admission)
                admitted()
            return await self.operations.perform(admission, work or lasting(), undo=undo, keep_if=keep_if)

        return asyncio.create_task(perform())


def lasting(
    seconds: float = 5.0,
    outcome: ServerRecord | Exception = RECORD,
    *,
    commits: bool = False,
    stages: tuple[str, ...] = (),
) -> Callable[[RunningOperation], Awaitable[ServerRecord]]:
    """Return work of so many seconds with an outcome. `commits`: the work cannot be undone."""

    async def work(operation: RunningOperation) -> ServerRecord:
        operation.committed = commits
        for stage in stages:
            operation.progress(stage, "so far")
        await asyncio.sleep(seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return work
