"""Chooses the server for a request before admission: an existing one, one to replace, or a new one beside it."""

import asyncio
from dataclasses import replace

from ...core.foreign import ConflictingServer, compatible
from ...core.lifecycle import RUNNING, SERVING
from ...core.model import ServerRecord, ServerState
from ...core.pep440 import same_version
from ...core.reconcile import StartAnother
from ...core.single_flight import Operation
from ...errors import VersionConflict
from ..identification.snapshot import SnapshotReader
from ..operations.coordinator import Operations
from ..state.context import EngineContext
from ..state.standing import Standing
from .planning import Planner
from .resolve import EnsureRequest, ResolvedRequest, base_id, free_id, records_that_could_answer, resolve
from .versions.addon_versions import AddonVersions

USE_ANSWER_S = 1.0
"""How long a server may take to say whether it is in use. A slower server counts as in use."""


class Placement:
    """Chooses server ids. The operation judges the choice again, because things may have changed by then."""

    def __init__(
        self,
        context: EngineContext,
        planner: Planner,
        snapshot_reader: SnapshotReader,
        standing: Standing,
        operations: Operations,
    ) -> None:
        self.versions = AddonVersions(context)
        self._context = context
        self._operations = operations
        self._planner = planner
        self._snapshot_reader = snapshot_reader
        self._standing = standing

    async def place(self, request: EnsureRequest) -> ResolvedRequest:
        """Resolve a request, and choose the id of the server that is to answer it.

        Raises:
            KindUnknown, InvalidParams, VersionConflict: no server can answer it.
        """
        resolved = resolve(self._context, request)
        if resolved.server not in self._context.records.servers or self._fits(resolved):
            # The id is new, because no server could answer; or the server of this id fits.
            return resolved
        conflicting_servers: dict[str, ConflictingServer] = {}
        for record in records_that_could_answer(
            self._context, resolved.kind, resolved.project, resolved.intended_owner
        ):
            if self._is_becoming(resolved, record):
                return _answered_by(resolved, record)
            conflicting_server = await self._conflicting_server(_answered_by(resolved, record), record)
            if conflicting_server is None:
                # This one may be replaced, but a fitting server may have been started while it was asked.
                resolved_now = resolve(self._context, request)
                return resolved_now if self._fits(resolved_now) else _answered_by(resolved, record)
            conflicting_servers[record.id] = conflicting_server
        if not conflicting_servers:
            return resolved
        resolved_now = resolve(self._context, request)
        if resolved_now.server not in conflicting_servers or self._fits(resolved_now):
            # A fitting server was started while these were asked, or one of these has become a fitting one.
            return resolved_now
        server = free_id(self._context, base_id(resolved.kind, resolved.project))
        return replace(
            resolved, server=server, newly_owned=True, conflicting_servers=tuple(conflicting_servers.values())
        )

    def resolve_after_waiting(self, resolved: ResolvedRequest, request: EnsureRequest) -> ResolvedRequest:
        """Resolve a request again after it was queued, because a fitting server may have been started in between.

        Raises:
            KindUnknown, InvalidParams, VersionConflict: no server can answer it any more.
        """
        resolved_now = resolve(self._context, request)
        record = self._context.records.servers.get(resolved_now.server)
        if record is None or record.state not in RUNNING - {ServerState.STOPPING}:
            return resolved
        return resolved_now if self._fits(resolved_now) else resolved

    def refuse_second_server(self, resolved: ResolvedRequest, request: EnsureRequest) -> None:
        """Refuse to start a server again that has failed, if a fitting server was started in between.

        Raises:
            VersionConflict: the message names the fitting server.
        """
        record = self._context.records.servers.get(resolved.server)
        if record is None or record.state not in (ServerState.FAILED, ServerState.BACKOFF):
            return
        resolved_now = self.resolve_after_waiting(resolved, request)
        if resolved_now.server != resolved.server:
            raise VersionConflict(f"{resolved_now.server} was started in between, and fits", hint="ask again")

    def _is_becoming(self, resolved: ResolvedRequest, record: ServerRecord) -> bool:
        """Return whether an operation is making this server one of the requested version."""
        running = self._operations.running(record.id)
        if running is None or running.request.operation is not Operation.ENSURE:
            return False
        return running.request.version is not None and same_version(resolved.required, running.request.version)

    def _fits(self, resolved: ResolvedRequest) -> bool:
        """Return whether the server exists already, in a version that fits."""
        record = self._context.records.servers.get(resolved.server)
        return record is not None and compatible(resolved.required, record.version)

    async def _conflicting_server(self, resolved: ResolvedRequest, record: ServerRecord) -> ConflictingServer | None:
        """Return why a server of another version stays as it is, None if it may be replaced."""
        if record.state in (ServerState.FAILED, ServerState.STOPPED):
            return None
        owners = self._snapshot_reader.other_owners(record, resolved.kind, resolved.intended_owner)
        if owners:
            return ConflictingServer(record.id, record.version, f"it belongs to {', '.join(owners)}")
        if record.state not in SERVING or self._standing.process_ended(record):
            return None
        try:
            async with asyncio.timeout(USE_ANSWER_S):
                found = await self._planner.plan_for_running(resolved, record)
        except TimeoutError:
            return ConflictingServer(record.id, record.version, "it is too slow to tell whether it is in use")
        return found.conflicting_server if isinstance(found, StartAnother) else None


def _answered_by(resolved: ResolvedRequest, record: ServerRecord) -> ResolvedRequest:
    """Return the request with another server as its answer."""
    newly_owned = all(owner.process != resolved.intended_owner for owner in record.owners)
    return replace(resolved, server=record.id, newly_owned=newly_owned)
