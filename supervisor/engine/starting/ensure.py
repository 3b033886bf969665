"""Makes sure that a server runs: reuse it, or choose ports, start it and see it ready."""

import asyncio
from dataclasses import replace

from ...core.deadlines import START_ATTEMPTS
from ...core.lifecycle import SERVING
from ...core.model import Failure, Liveness, Occupied, Origin, Ports, ServerRecord, ServerState
from ...core.reconcile import (
    Adopt,
    Answer,
    Beside,
    OwnServer,
    Refusal,
    Refuse,
    Relocate,
    Replace,
    Reuse,
    Spawn,
    with_own,
)
from ...errors import StartFailed, SupervisorError, VersionConflict
from ...kinds.kind import Kind
from ..environments.store import Environment
from ..identification.server_client import ServerClient
from ..logs.excerpt import log_tail
from ..operations.operation import RunningOperation
from ..state.context import EngineContext
from .launch import Launcher
from .planning import Planner, exhausted, kept_from, passed_over, refusal
from .provision import Provisioner
from .readiness import PortLostError
from .resolve import ResolvedRequest
from .takeover import Takeover
from .version_choice import merged, told_beside


class Ensurer:
    """The operation behind `server.ensure`. It runs inside an operation; the record exists."""

    def __init__(
        self,
        context: EngineContext,
        server_client: ServerClient,
        planner: Planner,
        takeover: Takeover,
        launcher: Launcher,
    ) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client
        self._planner = planner
        self._takeover = takeover
        self._launcher = launcher
        self._provisioner = Provisioner(context)

    async def run(
        self, resolved: ResolvedRequest, operation: RunningOperation, before: ServerRecord | None
    ) -> ServerRecord | Replace:
        """The server, ready; or what has to make room for it first: nothing was touched then.

        `before` is the row at rest that the start began with: what it is again if the start is taken back.

        Raises:
            SupervisorError: it does not run, and the record says why.
        """
        record = self._records.server(resolved.server)
        if record.state in SERVING:
            operation.progress("deciding", f"looking at {resolved.server}")
            return self._with_own(resolved, await self._planner.with_own(resolved, record))
        return await self.start(resolved, operation, replacing=True, before=before)

    async def start(
        self,
        resolved: ResolvedRequest,
        operation: RunningOperation,
        *,
        replacing: bool,
        before: ServerRecord | None = None,
    ) -> ServerRecord | Replace:
        """The server of a row without a process, ready. Not `replacing`: whatever is in its way stays there.

        Raises:
            SupervisorError: it does not run, and the record says why.
        """
        operation.progress("deciding", f"looking at {resolved.server}")
        try:
            return await self._start(resolved, operation, replacing=replacing)
        except SupervisorError as error:
            self._give_up(resolved.server, error)
            raise
        except asyncio.CancelledError:
            if operation.abandoned:
                await self._abandon(resolved)
            self._take_back(resolved.server, before)
            raise

    async def start_again(self, resolved: ResolvedRequest, operation: RunningOperation) -> ServerRecord:
        """The server, ready, after it ended by itself.

        Raises:
            SupervisorError: it is not, and its record is in BACKOFF.
        """
        try:
            started = await self._start(resolved, operation, replacing=False)
        except SupervisorError as error:
            # Another start would leave one more beside it.
            again = not error.data.get("left_behind")
            self._give_up(resolved.server, error, ServerState.BACKOFF if again else ServerState.FAILED)
            raise
        assert isinstance(started, ServerRecord)  # noqa: S101 (nothing was to be replaced)
        return started

    async def finish(self, record: ServerRecord, kind: Kind) -> ServerRecord:
        """See a server ready that an earlier daemon started.

        Raises:
            SupervisorError: it did not become ready, and was stopped.
        """
        try:
            return await self._launcher.see_ready(record, kind)
        except PortLostError as error:
            failed = StartFailed(f"{record.id} lost port {error.occupied[0].port} to another process")
            self._give_up(record.id, failed)
            raise failed from error
        except SupervisorError as error:
            self._give_up(record.id, error)
            raise

    def refuse_mismatch(self, resolved: ResolvedRequest, record: ServerRecord) -> None:
        """Refuse what cannot be had beside a server that runs, before anything is changed.

        Raises:
            InvalidParams: it runs on other ports.
        """
        plan = with_own(self._planner.spec(resolved, ()), OwnServer(record, Answer.RIGHT))
        if isinstance(plan, Refuse):
            raise refusal(record, plan)

    async def provide(self, resolved: ResolvedRequest, operation: RunningOperation) -> Environment | None:
        """Return the private environment that the demanded version runs in, None if its kind has none.

        Raises:
            InstallFailed: it cannot be made.
        """
        return await self._provisioner.provide(resolved, operation)

    def _with_own(self, resolved: ResolvedRequest, plan: Reuse | Replace | Refuse | Beside) -> ServerRecord | Replace:
        # It may have got owners while it was asked.
        record = self._records.server(resolved.server)
        match plan:
            case Replace():
                return plan
            case Beside(rival):
                raise VersionConflict(
                    f"{rival.what} runs version {rival.version} and cannot be replaced: {rival.reason}",
                    hint="ask again: another one is started beside it",
                    data={"running": rival.version, "requested": resolved.required},
                )
            case Refuse(refused):
                if refused is Refusal.UNHEALTHY and record.state is ServerState.READY:
                    self._records.move(record.id, ServerState.UNHEALTHY)
                raise refusal(record, plan)
        if record.observed_only:
            record = self._takeover.keep(
                record.id, resolved.project, resolved.asker, why="it was asked for, and will do"
            )
        record = self._records.change(record.id, chosen=merged(record, resolved))
        self._context.events.publish("server.reused", server=record.id, version=record.version)
        if record.state is ServerState.UNHEALTHY:
            return self._records.move(record.id, ServerState.READY)
        return record

    async def _start(
        self, resolved: ResolvedRequest, operation: RunningOperation, *, replacing: bool
    ) -> ServerRecord | Replace:
        private = self._context.private_of(resolved.kind, resolved.version)
        if private is None and resolved.kind.package is not None:
            # Installing takes its time, and may be for nothing.
            plan = await self._planner.without(resolved, (), replacing=replacing)
            if isinstance(plan, Adopt | Replace):
                return self._settled(resolved, plan, operation)
            private = await self.provide(resolved, operation)
            operation.extend()
        if private is not None:
            # It is the version that was really installed: 4.3 is 4.3.0.
            resolved = replace(resolved, version=private.installed)
        lost: tuple[Occupied, ...] = ()
        for _ in range(START_ATTEMPTS):
            plan = await self._planner.without(resolved, lost, replacing=replacing)
            if isinstance(plan, Adopt | Replace):
                return self._settled(resolved, plan, operation)
            record = self._reserve(resolved, plan, lost)
            operation.committed = True
            operation.progress("starting", f"{record.id} on {_ports_text(record.ports)}")
            try:
                record = await self._launcher.launch(record, resolved, private)
            except PortLostError as error:
                lost = (*lost, *error.occupied)
                self._context.events.warn("port.lost", server=record.id, port=error.occupied[0].port)
            except StartFailed as failed:
                # Another start would leave one more beside it.
                left = failed.data.get("left_behind")
                private = None if left else await self._provisioner.after_failure(resolved, private, failed, operation)
                if private is None:
                    raise
            else:
                self._provisioner.served(private)
                return record
        record = self._records.server(resolved.server)
        raise StartFailed(
            f"{resolved.server} lost its ports to other processes {START_ATTEMPTS} times; the last was "
            + ", ".join(f"{each.port}: {each.reason}" for each in lost[-1:]),
            hint=f"godot-supervisor logs {resolved.server}",
            data={"log_tail": list(log_tail(record.log)), "log": record.log},
        )

    def _settled(
        self, resolved: ResolvedRequest, plan: Adopt | Replace, operation: RunningOperation
    ) -> ServerRecord | Replace:
        """A stranger takes the place of what was to be started, or has to make room for it first."""
        if isinstance(plan, Replace):
            return plan
        found, asker = plan.foreign_server, resolved.asker
        operation.progress("adopting", f"pid {found.process.pid}")
        return self._takeover.adopt(resolved.server, resolved.kind, found, asker, named=False, why=plan.reason)

    def _reserve(
        self, resolved: ResolvedRequest, plan: Spawn | Relocate | Refuse, lost: tuple[Occupied, ...]
    ) -> ServerRecord:
        """Promise the planned ports to a launch."""
        occupied = lost
        match plan:
            case Spawn(ports):
                self._planner.tell_conflict(resolved, (), ports)
            case Relocate(ports, held, rival_servers):
                occupied = (*lost, *held)
                self._planner.tell_conflict(resolved, rival_servers, ports)
            case Refuse(reason=reason, occupied=held):
                raise exhausted(reason, (*lost, *held))
        launch = self._context.random.token(4)
        record = self._records.change(
            resolved.server,
            version=resolved.version,
            chosen=told_beside(resolved, plan),
            ports=ports,
            owners_unknown=False,
            stop_requested=False,
            foreign=False,
            by_client=False,
            **kept_from(occupied),
            launch=launch,
            origin=Origin.SPAWNED,
            root=None,
            process=None,
            failure=None,
            since=self._context.platform.clock.wall(),
            log=self._launcher.log_for(resolved.server, launch),
        )
        self._context.events.publish(
            "server.planned",
            server=record.id,
            launch=launch,
            plan=type(plan).__name__.lower(),
            reason=plan.reason,
            version=record.version,
            ports=dict(ports),
            **passed_over(occupied),
        )
        return record

    def _give_up(self, server: str, error: SupervisorError, to: ServerState = ServerState.FAILED) -> None:
        """It did not start: the row stays, and says why."""
        record = self._records.servers.get(server)
        if record is None or record.state is not ServerState.STARTING:
            return
        failure = Failure(error.code, error.message, error.data.get("exit"), tuple(error.data.get("log_tail", ())))
        record = self._records.move(server, to, failure=failure)
        if record.root is None or self._context.platform.probe.sample(record.root) is Liveness.DEAD:
            self._records.change(server, root=None, process=None)

    def _take_back(self, server: str, before: ServerRecord | None) -> None:
        """Whoever asked is told that there is no server; one that was there before is wanted by others too."""
        record = self._records.servers.get(server)
        if record is None or record.state is not ServerState.STARTING or record.root:
            return
        if before is not None:
            self._server_client.forget(record)
            self._records.take_back(before)
        elif not record.restarts:
            self._server_client.forget(record)
            self._records.drop(server)

    async def _abandon(self, resolved: ResolvedRequest) -> None:
        """Nobody wants what was begun: nothing of it is left behind."""
        record = self._records.servers.get(resolved.server)
        if record is None or record.state is not ServerState.STARTING:
            return
        await self._launcher.abandon(record, resolved.kind)
        self._records.change(resolved.server, root=None, process=None)


def _ports_text(ports: Ports) -> str:
    return ", ".join(f"{name} {port}" for name, port in ports.items()) or "no ports"
