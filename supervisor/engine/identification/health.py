"""Whether a running server answers: asked when a client wants to know, and on a timer where the kind sets one."""

import asyncio
from collections.abc import Mapping
from functools import partial

from ...core.lifecycle import SERVING
from ...core.model import ServerRecord, ServerState
from ...core.reconcile import Answer
from ..operations.coordinator import Operations
from ..operations.shared_answers import SharedAnswers
from ..state.context import EngineContext
from .server_client import ServerClient

_REASONS: Mapping[Answer, str] = {
    Answer.RIGHT: "it answers again",
    Answer.WRONG: "it gave a wrong answer",
    Answer.NO_ANSWER: "it gave no answer",
}
"""Why a server becomes ready or unhealthy."""


class Health:
    """Moves servers between READY and UNHEALTHY, while no operation runs on them."""

    def __init__(self, context: EngineContext, operations: Operations, server_client: ServerClient) -> None:
        self._context = context
        self._records = context.records
        self._operations = operations
        self._server_client = server_client
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._checks: set[asyncio.Task[None]] = set()
        self._shared: SharedAnswers[None] = SharedAnswers()

    def keep(self, record: ServerRecord) -> None:
        """Ask a server at the interval of its kind, if that has one. A second call changes nothing."""
        interval_s = self._context.kind_of(record).health_interval_s
        if interval_s > 0 and record.id not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[record.id] = loop.call_later(interval_s, self._due, record.id)

    def forget(self, server_id: str) -> None:
        """Stop the timer of a server."""
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Stop all timers and checks."""
        for server_id in list(self._timers):
            self.forget(server_id)
        for check in self._checks:
            check.cancel()

    async def check(self, server_id: str) -> None:
        """Ask a server now, once for all callers that wait.

        A server that does not serve, or on which an operation runs, is not asked.
        """
        await self._shared.ask(server_id, partial(self._check, server_id))

    async def _check(self, server_id: str) -> None:
        asked = self._records.servers.get(server_id)
        if asked is None or asked.state not in SERVING or self._operations.running(server_id):
            return
        self.note(asked, await self._server_client.answer(asked, self._context.kind_of(asked)))

    def note(self, asked: ServerRecord, answer: Answer) -> None:
        """Record the answer of a server, unless the server has changed since the question."""
        server_id = asked.id
        record = self._records.servers.get(server_id)
        if record is None or (record.launch, record.state) != (asked.launch, asked.state):
            return
        well = answer is Answer.RIGHT
        if self._operations.running(server_id) is None and well is not (record.state is ServerState.READY):
            reason = _REASONS[answer]
            self._records.move(server_id, ServerState.READY if well else ServerState.UNHEALTHY, why=reason)

    def _due(self, server_id: str) -> None:
        del self._timers[server_id]
        check = asyncio.get_running_loop().create_task(self._check_again_and_again(server_id))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _check_again_and_again(self, server_id: str) -> None:
        try:
            await self.check(server_id)
        except Exception as error:  # noqa: BLE001 (a defect costs one check, and is logged)
            self._context.events.failed("health.failed", error, server=server_id)
        record = self._records.servers.get(server_id)
        if record is not None and record.state in SERVING:
            self.keep(record)
