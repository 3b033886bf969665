"""Checks whether servers answer: when a client asks for it, and at the interval that a kind may set."""

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

_REASON_FOR: Mapping[Answer, str] = {
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

    def start_checks(self, record: ServerRecord) -> None:
        """Check a server once the interval of its kind has passed, and so on; a kind may have none.

        While a check is planned, a further call changes nothing.
        """
        interval_s = self._context.kind_of(record).health_interval_s
        if interval_s > 0 and record.id not in self._timers:
            loop = asyncio.get_running_loop()
            self._timers[record.id] = loop.call_later(interval_s, self._start_check, record.id)

    def stop_checks(self, server_id: str) -> None:
        """Plan no further check of a server."""
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """End all checks, planned and under way."""
        for server_id in list(self._timers):
            self.stop_checks(server_id)
        for check in self._checks:
            check.cancel()

    async def check(self, server_id: str) -> None:
        """Ask a server now whether it answers as its record says, once for all callers that wait.

        A server that does not serve, or on which an operation runs, is not asked.
        """
        await self._shared.ask(server_id, partial(self._check_now, server_id))

    async def _check_now(self, server_id: str) -> None:
        asked = self._records.servers.get(server_id)
        if asked is None or asked.state not in SERVING or self._operations.running(server_id):
            return
        self.record_answer(asked, await self._server_client.check_answer(asked, self._context.kind_of(asked)))

    def record_answer(self, asked: ServerRecord, answer: Answer) -> None:
        """Move a server to READY or UNHEALTHY by its answer, unless its record has changed since it was `asked`."""
        server_id = asked.id
        record = self._records.servers.get(server_id)
        if record is None or (record.launch, record.state) != (asked.launch, asked.state):
            return
        is_healthy = answer is Answer.RIGHT
        if self._operations.running(server_id) is None and is_healthy is not (record.state is ServerState.READY):
            reason = _REASON_FOR[answer]
            self._records.move(server_id, ServerState.READY if is_healthy else ServerState.UNHEALTHY, why=reason)

    def _start_check(self, server_id: str) -> None:
        del self._timers[server_id]
        check = asyncio.get_running_loop().create_task(self._check_and_plan_next(server_id))
        self._checks.add(check)
        check.add_done_callback(self._checks.discard)

    async def _check_and_plan_next(self, server_id: str) -> None:
        try:
            await self.check(server_id)
        except Exception as error:  # noqa: BLE001 (a defect costs one check, and is logged)
            self._context.events.report_failure("health.failed", error, server=server_id)
        record = self._records.servers.get(server_id)
        if record is not None and record.state in SERVING:
            self.start_checks(record)
