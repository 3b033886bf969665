"""Restarts servers that have ended by themselves and are still needed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ...core.model import ServerFailure, ServerRecord, ServerState
from ...core.restarting import GiveUp, RestartAfter, exits_in_a_row, next_start
from ...errors import SupervisorError
from ...native.facts import describe_exit
from ..logs.excerpt import log_tail
from ..operations.operation import RunningOperation
from ..starting.resolve import resolve_with_same_version
from ..starting.start import Starter
from ..state.context import EngineContext

ENDED_BY_ITSELF = "it ended by itself"


class AutomaticRestarter:
    """Counts exits, and keeps a timer for each server that waits for its restart.

    `on_due` gets the server whose pause is over; `engine.assembly` sets it.
    """

    def __init__(self, context: EngineContext, starter: Starter) -> None:
        self._context = context
        self._records = context.records
        self._starter = starter
        self._exits: dict[str, int] = {}
        self._first_exit: dict[str, float] = {}
        self._ready_since: dict[str, tuple[str, float]] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.on_due: Callable[[str], None]

    def note_ready(self, record: ServerRecord) -> None:
        """Note that a server is ready. For one launch, only the first call counts."""
        if self._ready_since.get(record.id, ("",))[0] != record.launch:
            self._ready_since[record.id] = (record.launch, self._context.platform.clock.monotonic())

    def is_planned(self, server_id: str) -> bool:
        """Return whether a restart of the server is planned."""
        return server_id in self._timers

    def forget(self, server_id: str) -> None:
        """Forget the exits of a server that has gone, or that a request starts anew."""
        self._exits.pop(server_id, None)
        self._first_exit.pop(server_id, None)
        self._ready_since.pop(server_id, None)
        self._cancel(server_id)

    def close(self) -> None:
        """Cancel all planned restarts."""
        for server_id in list(self._timers):
            self._cancel(server_id)

    async def follow_up_exit(self, record: ServerRecord, operation: RunningOperation) -> ServerRecord:
        """Decide on a record in BACKOFF: restart the server now, plan its restart, or give it up."""
        while True:
            match self._decide(record):
                case GiveUp(reason):
                    self._context.events.warn("server.given_up", server=record.id, reason=reason)
                    record = self._add_log_tail(record)
                    return self._records.move(record.id, ServerState.FAILED, failure=self._given_up(record))
                case RestartAfter(pause_s) if pause_s > 0:
                    self._context.events.publish("server.backs_off", server=record.id, pause_s=round(pause_s, 3))
                    self._plan(record.id, pause_s)
                    return self._add_log_tail(record)
            record = await self.restart(record, operation)
            if record.state is not ServerState.BACKOFF:
                return record

    async def restart(self, record: ServerRecord, operation: RunningOperation) -> ServerRecord:
        """Restart the server of a record in BACKOFF, on its own ports if they are free.

        Returns:
            The record, in BACKOFF again if the server did not start.
        """
        self._cancel(record.id)
        if self._cannot_start(record):
            return record
        resolved = resolve_with_same_version(self._context.kind_of(record), record)
        self._records.move(record.id, ServerState.STARTING, restarts=record.restarts + 1)
        try:
            return await self._starter.start_again(resolved, operation)
        except SupervisorError as error:
            self._context.events.warn("server.restart_failed", server=record.id, reason=error.message)
            return self._records.server(record.id)

    def _add_log_tail(self, record: ServerRecord) -> ServerRecord:
        """Read the log tail only when the restart is delayed, because an immediate restart would never show it."""
        failure = record.failure
        if failure is None or failure.log_tail:
            return record
        return self._records.change(record.id, failure=replace(failure, log_tail=log_tail(record.log)))

    def _given_up(self, record: ServerRecord) -> ServerFailure | None:
        """Return why the server is not restarted any more, for people."""
        failure, number = record.failure, self._exits.get(record.id, 0)
        if failure is None or number < 1:
            return failure
        if failure.message != ENDED_BY_ITSELF:
            return replace(failure, message=f"{failure.message}; gave up after {number} tries")
        took_s = self._context.platform.clock.monotonic() - self._first_exit[record.id]
        last = "" if failure.exit is None else f", {describe_exit(failure.exit).replace('exit status', 'exit')}"
        times = "once" if number == 1 else f"{number} times in {took_s:.0f} s"
        return replace(failure, message=f"crashed {times}{last}; gave up")

    def _cannot_start(self, record: ServerRecord) -> bool:
        return record.kind not in self._context.catalog.kinds

    def _decide(self, record: ServerRecord) -> RestartAfter | GiveUp:
        if self._cannot_start(record):
            return GiveUp("its kind was removed from the configuration")
        now = self._context.platform.clock.monotonic()
        launch, since = self._ready_since.pop(record.id, ("", now))
        ready_for_s = now - since if launch == record.launch else 0.0
        self._exits[record.id] = exits_in_a_row(self._exits.get(record.id, 0), ready_for_s)
        if self._exits[record.id] == 1:
            self._first_exit[record.id] = now
        return next_start(self._exits[record.id], self._context.random.fraction())

    def _plan(self, server_id: str, pause_s: float) -> None:
        self._cancel(server_id)
        self._timers[server_id] = asyncio.get_running_loop().call_later(pause_s, self._due, server_id)

    def _due(self, server_id: str) -> None:
        self._timers.pop(server_id, None)
        self.on_due(server_id)

    def _cancel(self, server_id: str) -> None:
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()
