"""Restarts servers that have ended by themselves and are still needed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ...core.model import ServerFailure, ServerRecord, ServerState
from ...core.restarting import GiveUp, RestartAfter, exits_in_a_row, next_start
from ...errors import SupervisorError
from ...native.facts import describe_exit
from ..logs.excerpt import read_log_tail
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
        self._exits_in_a_row: dict[str, int] = {}
        self._first_exit_at: dict[str, float] = {}
        """When the first of these exits was, monotonic seconds."""
        self._ready_since: dict[str, tuple[str, float]] = {}
        """The launch that was ready last, and since when it was, monotonic seconds."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self.on_due: Callable[[str], None]

    def note_ready(self, record: ServerRecord) -> None:
        """Note that a server is ready from now on. Of the calls for one launch, only the first counts."""
        if self._ready_since.get(record.id, ("",))[0] != record.launch:
            self._ready_since[record.id] = (record.launch, self._context.platform.clock.monotonic())

    def is_planned(self, server_id: str) -> bool:
        """Return whether a restart of the server is planned."""
        return server_id in self._timers

    def forget(self, server_id: str) -> None:
        """Forget the exits of a server that has gone, or that a request starts anew."""
        self._exits_in_a_row.pop(server_id, None)
        self._first_exit_at.pop(server_id, None)
        self._ready_since.pop(server_id, None)
        self._stop_timer(server_id)

    def close(self) -> None:
        """Cancel all planned restarts."""
        for server_id in list(self._timers):
            self._stop_timer(server_id)

    async def restart_or_give_up(self, record: ServerRecord, operation: RunningOperation) -> ServerRecord:
        """Count the exit of a server in BACKOFF; then restart it now, plan its restart, or give it up.

        Returns:
            The record: READY, or BACKOFF until the timer has run, or FAILED.
        """
        while True:
            match self._decide(record):
                case GiveUp(reason):
                    self._context.events.warn("server.given_up", server=record.id, reason=reason)
                    record = self._add_log_tail(record)
                    return self._records.move(
                        record.id, ServerState.FAILED, failure=self._failure_after_giving_up(record)
                    )
                case RestartAfter(pause_s) if pause_s > 0:
                    self._context.events.publish("server.backs_off", server=record.id, pause_s=round(pause_s, 3))
                    self._start_timer(record.id, pause_s)
                    return self._add_log_tail(record)
            record = await self.restart(record, operation)
            if record.state is not ServerState.BACKOFF:
                return record

    async def restart(self, record: ServerRecord, operation: RunningOperation) -> ServerRecord:
        """Restart the server of a record in BACKOFF, on the ports that it had if they are free.

        Returns:
            The record, in BACKOFF again if the server did not start.
        """
        self._stop_timer(record.id)
        if self._kind_was_removed(record):
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
        return self._records.change(record.id, failure=replace(failure, log_tail=read_log_tail(record.log)))

    def _failure_after_giving_up(self, record: ServerRecord) -> ServerFailure | None:
        """Return the failure of a server that is not restarted any more, with a message for people."""
        failure, number = record.failure, self._exits_in_a_row.get(record.id, 0)
        if failure is None or number < 1:
            return failure
        if failure.message != ENDED_BY_ITSELF:
            return replace(failure, message=f"{failure.message}; gave up after {number} tries")
        took_s = self._context.platform.clock.monotonic() - self._first_exit_at[record.id]
        last = "" if failure.exit is None else f", {describe_exit(failure.exit).replace('exit status', 'exit')}"
        times = "once" if number == 1 else f"{number} times in {took_s:.0f} s"
        return replace(failure, message=f"crashed {times}{last}; gave up")

    def _kind_was_removed(self, record: ServerRecord) -> bool:
        return record.kind not in self._context.catalog.kinds

    def _decide(self, record: ServerRecord) -> RestartAfter | GiveUp:
        if self._kind_was_removed(record):
            return GiveUp("its kind was removed from the configuration")
        now = self._context.platform.clock.monotonic()
        launch, since = self._ready_since.pop(record.id, ("", now))
        ready_for_s = now - since if launch == record.launch else 0.0
        self._exits_in_a_row[record.id] = exits_in_a_row(self._exits_in_a_row.get(record.id, 0), ready_for_s)
        if self._exits_in_a_row[record.id] == 1:
            self._first_exit_at[record.id] = now
        return next_start(self._exits_in_a_row[record.id], self._context.random.fraction())

    def _start_timer(self, server_id: str, pause_s: float) -> None:
        self._stop_timer(server_id)
        self._timers[server_id] = asyncio.get_running_loop().call_later(pause_s, self._report_due, server_id)

    def _report_due(self, server_id: str) -> None:
        self._timers.pop(server_id, None)
        self.on_due(server_id)

    def _stop_timer(self, server_id: str) -> None:
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()
