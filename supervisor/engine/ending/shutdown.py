"""Stops all servers, when the daemon is to stop them before it exits."""

import asyncio
from collections.abc import Mapping
from functools import partial

from ...core.deadlines import stop_deadline
from ...core.foreign import left_to_others
from ...core.model import Bridge, ServerRecord
from ...core.single_flight import Operation, OperationRequest
from ...errors import NotFound, SupervisorError
from ..identification import bridges
from ..operations.coordinator import Operations
from ..processes.stop import StopReason
from ..starting.discover import Discovery
from ..state.context import EngineContext
from .termination import Termination


class Shutdown:
    """Stops every server of this daemon, except those that other programs may need."""

    def __init__(
        self, context: EngineContext, operations: Operations, discovery: Discovery, termination: Termination
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._operations = operations
        self._discovery = discovery
        self._termination = termination

    async def find_bridges(self) -> tuple[Bridge, ...]:
        """Find the servers that bridges have started, and prove them again.

        Returns:
            The bridges that may start more servers.
        """
        await self._discovery.look_and_wait()
        return await bridges.prove_servers_again(self._context)

    def servers_left(self) -> Mapping[str, str]:
        """Return the ids of the servers that a shutdown does not stop, and why."""
        reasons = ((record.id, left_to_others(record)) for record in self._records.servers.values())
        return {server_id: reason for server_id, reason in reasons if reason is not None}

    async def stop_servers(self) -> None:
        """Stop all servers at the same time, except `servers_left`. An event reports a server that survives."""
        await self.find_bridges()
        left = self.servers_left()
        await asyncio.gather(*[self._stop(r) for r in self._records.servers.values() if r.id not in left])

    async def _stop(self, record: ServerRecord) -> None:
        try:
            await self._operations.perform_after_close(
                record.id,
                OperationRequest(Operation.STOP, "the daemon's shutdown"),
                partial(self._termination.stop, record.id, reason=StopReason.USER),
                deadline_s=stop_deadline(self._context.kind_of(record).stop_timeout_s),
            )
        except NotFound:
            # The server has ended by itself since the list was made.
            return
        except SupervisorError as error:
            self._events.warn("server.not_stopped", server=record.id, reason=error.message)
        except Exception as error:  # noqa: BLE001 (a defect must not keep the other servers from being stopped)
            self._events.report_failure("server.not_stopped", error, server=record.id)
