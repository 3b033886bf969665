"""Proves again, after a start, the servers that an earlier daemon left. No process is stopped for a missing record."""

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import replace

from ...core.model import Liveness, ProcessIdentity, ServerFailure, ServerRecord, ServerState
from ...core.processes.token_carriers import Fits, TokenCarrier, ends_with, launched_process
from ...errors import ConfigInvalid, StartFailed
from ...kinds.kind import expand
from ...kinds.programs import is_command_of
from ...registry.store import Found, Loaded
from ...values import frozen
from ..processes.spawn import placeholder_values
from ..state.context import TOKEN_VARIABLE, EngineContext
from .rebuild import Rebuilder


@frozen
class RecoveryReport:
    """The living processes that carry a launch token of this home, by token.

    `hanging`: session leaders of this user that hang in the kernel, so that their environments are unknown.
    """

    carriers: Mapping[str, tuple[TokenCarrier, ...]]
    hanging: tuple[int, ...] = ()

    def leader(self, token: str, fits: Fits) -> ProcessIdentity | None:
        """Return the process of a launch that an earlier daemon has spawned. `fits` judges its command line."""
        return launched_process(self.carriers.get(token, ()), fits)


class Recovery:
    """Brings the records up to date with the processes. Exit watches and operations are left to the supervisor."""

    def __init__(self, context: EngineContext, rebuilder: Rebuilder) -> None:
        self._context = context
        self._records = context.records
        self._rebuilder = rebuilder

    async def run(self, loaded: Loaded) -> None:
        """Restore the records from the registry, and prove them."""
        events = self._context.events
        if loaded.found is Found.SET_ASIDE:
            events.warn("registry.set_aside", aside=str(loaded.aside), reason=loaded.reason)
        self._records.restore(loaded.state)
        report = await self._report()
        for record in list(self._records.servers.values()):
            self._prove(record, report)
        known = {self._context.launch_token(record) for record in self._records.servers.values()}
        strays = {token: carriers for token, carriers in report.carriers.items() if token not in known}
        for token, carriers in strays.items():
            if loaded.found is Found.READ:
                pids = [carrier.row.identity.pid for carrier in carriers]
                events.warn("process.unknown", token=token, pids=pids)
            else:
                await self._rebuild(token, carriers)

    async def _rebuild(self, token: str, carriers: tuple[TokenCarrier, ...]) -> None:
        """Rebuild one server; a failure must not keep the daemon from the others."""
        try:
            await self._rebuilder.rebuild(token, carriers)
        except Exception as error:  # noqa: BLE001 (a defect: logged here, and nothing was started or stopped)
            self._context.events.report_failure("server.not_rebuilt", error, token=token)

    async def _report(self) -> RecoveryReport:
        return await self._context.platform.lanes.look(self._look_at_all)

    def _look_at_all(self) -> RecoveryReport:
        """Read the launch tokens of all processes. Blocks.

        A process that hangs in the kernel costs only its own look.
        """
        found: dict[str, list[TokenCarrier]] = {}
        hanging: list[int] = []
        processes, probe = self._context.platform.processes, self._context.platform.probe
        for row in processes.table():
            if row.identity == self._context.me:
                continue
            try:
                token = processes.variable(row.identity, TOKEN_VARIABLE)
            except TimeoutError:
                if row.session == row.identity.pid and probe.same_user(row.identity) is not False:
                    hanging.append(row.identity.pid)
                continue
            except OSError:
                continue
            if token is not None and token.startswith(f"{self._context.home_id}."):
                command = probe.describe(row.identity.pid).command
                found.setdefault(token, []).append(TokenCarrier(row, token, command))
        return RecoveryReport({token: tuple(carriers) for token, carriers in found.items()}, tuple(hanging))

    def _prove(self, record: ServerRecord, report: RecoveryReport) -> None:
        record = self._restart_clocks(record)
        if record.state in (ServerState.FAILED, ServerState.BACKOFF):
            return
        if record.state is ServerState.STOPPING and not record.stop_requested:
            # A verdict does not outlive the daemon that gave it, so suspicions begin again.
            record = self._records.move(record.id, ServerState.READY)
        if record.root is None:
            token = self._context.launch_token(record)
            leader = report.leader(token, self._fits(record)) if record.launch else None
            if leader is None and record.launch and report.carriers.get(token):
                pids = [carrier.row.identity.pid for carrier in report.carriers[token]]
                failure = ServerFailure(
                    StartFailed.code, f"an earlier daemon's launch cannot be told apart: pids {pids}"
                )
                self._records.move(record.id, ServerState.FAILED, failure=failure)
                return
            if leader is None and record.launch and report.hanging:
                hanging = ", ".join(map(str, report.hanging))
                problem = f"it may have been started: a process hangs in the kernel and cannot be read (pid {hanging})"
                failure = ServerFailure(StartFailed.code, problem)
                self._records.move(record.id, ServerState.FAILED, failure=failure)
                return
            if leader is None and record.restarts and record.state is ServerState.STARTING:
                # The server was being restarted. Whether it is still needed is checked when its operation begins.
                return
            if leader is None:
                self._context.events.publish("server.cleared", server=record.id, reason="nothing had been started")
                self._records.drop(record.id)
                return
            record = self._records.change(record.id, root=leader, process=leader)
        process = record.process or record.root
        alive = self._context.platform.probe.sample(process) if process else Liveness.DEAD
        self._context.events.publish(
            "server.found", server=record.id, launch=record.launch, state=record.state, liveness=alive
        )

    def _fits(self, record: ServerRecord) -> Fits:
        """Return a function that says whether a command line is that of this launch, or what it has become."""
        kind = self._context.kind_of(record)
        values = placeholder_values(record, self._context.private_environment(kind, record.version))
        words: tuple[str, ...] = ()
        with contextlib.suppress(ConfigInvalid):
            words = tuple(expand(word, values) for word in kind.command[1:])
        ports = {str(port) for port in record.ports.values()}

        def fits(command: Sequence[str]) -> bool:
            # A shell may have executed the program that it was given. Then its words include the ports of this launch.
            return ends_with(command, words) or (
                is_command_of(kind, command) and (not words or ports.issubset(command))
            )

        return fits

    def _restart_clocks(self, record: ServerRecord) -> ServerRecord:
        """Give lingering owners and leases their full time again."""
        now = self._context.platform.clock.monotonic()
        owners = tuple(replace(o, leaving_since=now) if o.leaving else o for o in record.owners)
        leases = tuple(replace(lease, expires=now + lease.ttl_s) for lease in record.leases)
        return self._records.change(record.id, owners=owners, leases=leases)
