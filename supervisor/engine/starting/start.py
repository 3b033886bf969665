"""Starts servers that have a record and no process: choose ports, provide an environment, launch, wait until ready."""

import asyncio
from dataclasses import replace

from ...core.deadlines import START_ATTEMPTS
from ...core.model import Liveness, Origin, PassedOverPort, Ports, ServerFailure, ServerRecord, ServerState
from ...core.reconcile import Adopt, Refuse, Relocate, Replace, Spawn
from ...errors import StartFailed, SupervisorError
from ...kinds.kind import Kind
from ..environments.store import Environment
from ..identification.server_client import ServerClient
from ..logs.excerpt import read_log_tail
from ..operations.operation import RunningOperation
from ..state.context import EngineContext
from .launch import Launches
from .planning import Planner, passed_over_event_fields, passed_over_record_fields, ports_exhausted
from .provision import Provisioner
from .readiness import PortLostError
from .resolve import ResolvedRequest
from .takeover import Takeover
from .versions.choice import chosen_for_launch


class Starter:
    """Runs inside an operation. The record of the server exists, and says why a start has failed."""

    def __init__(
        self,
        context: EngineContext,
        server_client: ServerClient,
        planner: Planner,
        takeover: Takeover,
        launches: Launches,
    ) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client
        self._planner = planner
        self._takeover = takeover
        self._launches = launches
        self._provisioner = Provisioner(context)

    def recipe_of(self, record: ServerRecord) -> Kind | None:
        """Return the recipe by which a record's launch became ready. Returns None if this daemon did not start it."""
        return self._launches.recipe_of(record)

    async def start(
        self, resolved: ResolvedRequest, operation: RunningOperation, before: ServerRecord | None
    ) -> ServerRecord | Replace:
        """Return the server, READY; or, with nothing touched, the plan to replace what has to make room first.

        `before` is the record at rest that the start began with, None if there was none. A start that is taken back
        restores it.

        Raises:
            SupervisorError: the server does not run.
        """
        return await self._launch_or_record_failure(resolved, operation, before, replacing=True)

    async def start_without_replacing(self, resolved: ResolvedRequest, operation: RunningOperation) -> ServerRecord:
        """Return the server, READY. A server that is in the way stays there, whatever it is.

        Raises:
            SupervisorError: the server does not run.
        """
        started = await self._launch_or_record_failure(resolved, operation, None, replacing=False)
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing was to be replaced)
        return started

    async def start_again(self, resolved: ResolvedRequest, operation: RunningOperation) -> ServerRecord:
        """Return the server, READY again, after it ended by itself.

        Raises:
            SupervisorError: the server does not run, and its record is in BACKOFF, or in FAILED if processes of the
                launch are left.
        """
        try:
            started = await self._choose_and_launch(resolved, operation, replacing=False)
        except SupervisorError as error:
            # With processes left behind, another start would leave more of them.
            state = ServerState.FAILED if error.data.get("left_behind") else ServerState.BACKOFF
            self._record_failure(resolved.server, error, state)
            raise
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing was to be replaced)
        return started

    async def finish_start(self, record: ServerRecord, kind: Kind) -> ServerRecord:
        """Wait until a server that an earlier daemon has launched is ready, and return its record, READY.

        Raises:
            SupervisorError: the server did not become ready, and was stopped.
        """
        try:
            return await self._launches.wait_until_ready(record, kind)
        except PortLostError as error:
            failed = StartFailed(f"{record.id} lost port {error.occupied[0].port} to another process")
            self._record_failure(record.id, failed)
            raise failed from error
        except SupervisorError as error:
            self._record_failure(record.id, error)
            raise

    async def provide(self, resolved: ResolvedRequest, operation: RunningOperation) -> Environment | None:
        """Return the private environment that the requested version runs in, None if its kind has none.

        Raises:
            InstallFailed: the environment cannot be built.
        """
        return await self._provisioner.provide(resolved, operation)

    async def _launch_or_record_failure(
        self,
        resolved: ResolvedRequest,
        operation: RunningOperation,
        before: ServerRecord | None,
        *,
        replacing: bool,
    ) -> ServerRecord | Replace:
        """Choose and launch. If that fails, record why; if it is cancelled, take it back.

        Without `replacing` a server that is in the way stays there, and no plan to replace it is returned.
        """
        operation.progress("deciding", f"looking at {resolved.server}")
        try:
            return await self._choose_and_launch(resolved, operation, replacing=replacing)
        except SupervisorError as error:
            self._record_failure(resolved.server, error)
            raise
        except asyncio.CancelledError:
            if operation.abandoned:
                await self._stop_unwanted_launch(resolved)
            self._restore(resolved.server, before)
            raise

    async def _choose_and_launch(
        self, resolved: ResolvedRequest, operation: RunningOperation, *, replacing: bool
    ) -> ServerRecord | Replace:
        """Plan the start, provide the environment, and launch. Repeat that after a lost port or a broken environment.

        Raises:
            SupervisorError: why the server does not run. The record still says STARTING.
        """
        private = self._context.private_environment(resolved.kind, resolved.version)
        if private is None and resolved.kind.package is not None:
            # Look at the ports first, because an installation takes its time and may turn out to be needless.
            plan = await self._planner.plan_start(resolved, (), replacing=replacing)
            if isinstance(plan, Adopt | Replace):
                return self._without_launch(resolved, plan, operation)
            private = await self.provide(resolved, operation)
            operation.restart_deadline()
        if private is not None:
            # Record the version that was installed: a request for 4.3 installs 4.3.0.
            resolved = replace(resolved, version=private.installed)
        lost: tuple[PassedOverPort, ...] = ()
        for _ in range(START_ATTEMPTS):
            plan = await self._planner.plan_start(resolved, lost, replacing=replacing)
            if isinstance(plan, Adopt | Replace):
                return self._without_launch(resolved, plan, operation)
            record = self._reserve(resolved, plan, lost)
            operation.committed = True
            operation.progress("starting", f"{record.id} on {_ports_text(record.ports)}")
            try:
                record = await self._launches.launch(record, resolved, private)
            except PortLostError as error:
                lost = (*lost, *error.occupied)
                self._context.events.warn("port.lost", server=record.id, port=error.occupied[0].port)
            except StartFailed as failed:
                private = await self._provisioner.rebuild_if_broken(resolved, private, failed, operation)
                if private is None:
                    raise
            else:
                self._provisioner.note_ready(private)
                return record
        raise _ports_lost(self._records.server(resolved.server), lost)

    def _without_launch(
        self, resolved: ResolvedRequest, plan: Adopt | Replace, operation: RunningOperation
    ) -> ServerRecord | Replace:
        """Adopt the foreign server that takes the place of the launch, or return the plan to replace it."""
        if isinstance(plan, Replace):
            return plan
        found, intended_owner = plan.foreign_server, resolved.intended_owner
        operation.progress("adopting", f"pid {found.process.pid}")
        return self._takeover.adopt(resolved.server, resolved.kind, found, intended_owner, named=False, why=plan.reason)

    def _reserve(
        self, resolved: ResolvedRequest, plan: Spawn | Relocate | Refuse, lost: tuple[PassedOverPort, ...]
    ) -> ServerRecord:
        """Reserve the planned ports for a new launch, and return the record of the server.

        Raises:
            PortsExhausted: the plan refuses, because no set of ports is free.
            StateNotWritable: the folder of the log cannot be made.
        """
        passed_over = lost
        match plan:
            case Spawn(ports):
                self._planner.warn_of_conflict(resolved, (), ports)
            case Relocate(ports, occupied, conflicting_servers):
                passed_over = (*lost, *occupied)
                self._planner.warn_of_conflict(resolved, conflicting_servers, ports)
            case Refuse(reason=reason, occupied=occupied):
                raise ports_exhausted(reason, (*lost, *occupied))
        launch = self._context.random.token(4)
        record = self._records.change(
            resolved.server,
            version=resolved.version,
            chosen=chosen_for_launch(resolved, plan),
            ports=ports,
            owners_unknown=False,
            stop_requested=False,
            foreign=False,
            started_by_bridge=False,
            **passed_over_record_fields(passed_over),
            launch=launch,
            origin=Origin.SPAWNED,
            root=None,
            process=None,
            failure=None,
            since=self._context.platform.clock.wall(),
            log=self._launches.log_for(resolved.server, launch),
        )
        self._context.events.publish(
            "server.planned",
            server=record.id,
            launch=launch,
            plan=type(plan).__name__.lower(),
            reason=plan.reason,
            version=record.version,
            ports=dict(ports),
            **passed_over_event_fields(passed_over),
        )
        return record

    def _record_failure(self, server_id: str, error: SupervisorError, to: ServerState = ServerState.FAILED) -> None:
        """Record why a server did not start. Keep its process in the record unless that is proven dead."""
        record = self._records.servers.get(server_id)
        if record is None or record.state is not ServerState.STARTING:
            return
        failure = ServerFailure(
            error.code, error.message, error.data.get("exit"), tuple(error.data.get("log_tail", ()))
        )
        record = self._records.move(server_id, to, failure=failure)
        if record.root is None or self._context.platform.probe.sample(record.root) is Liveness.DEAD:
            self._records.change(server_id, root=None, process=None)

    def _restore(self, server_id: str, before: ServerRecord | None) -> None:
        """Drop the record of a cancelled start, or restore the record that was there before the start.

        A record that existed before belongs to other callers too, so it is not dropped. The caller that cancelled is
        answered that there is no server.
        """
        record = self._records.servers.get(server_id)
        if record is None or record.state is not ServerState.STARTING or record.root:
            return
        if before is not None:
            self._server_client.forget(record)
            self._records.undo_start(before)
        elif not record.restarts:
            self._server_client.forget(record)
            self._records.drop(server_id)

    async def _stop_unwanted_launch(self, resolved: ResolvedRequest) -> None:
        """Stop the launch of a start that no caller wants any more."""
        record = self._records.servers.get(resolved.server)
        if record is None or record.state is not ServerState.STARTING:
            return
        await self._launches.abandon(record, resolved.kind)
        self._records.change(resolved.server, root=None, process=None)


def _ports_lost(record: ServerRecord, lost: tuple[PassedOverPort, ...]) -> StartFailed:
    """Return the error for a start that has used up its attempts. `lost`: the ports that it lost, the last one last."""
    last = ", ".join(f"{each.port}: {each.reason}" for each in lost[-1:])
    return StartFailed(
        f"{record.id} lost its ports to other processes {START_ATTEMPTS} times; the last was {last}",
        hint=f"godot-supervisor logs {record.id}",
        data={"log_tail": list(read_log_tail(record.log)), "log": record.log},
    )


def _ports_text(ports: Ports) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items()) or "no ports"
