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
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.placeholders import placeholder_values
from .rebuild import Rebuilder


@frozen
class LivingLaunches:
    """The living processes that carry a launch token of this home, by token.

    `hanging`: session leaders of this user that hang in the kernel, so that their environments are unknown.
    """

    carriers: Mapping[str, tuple[TokenCarrier, ...]]
    hanging: tuple[int, ...] = ()

    def find_launched(self, token: str, fits: Fits) -> ProcessIdentity | None:
        """Return the process of a launch that an earlier daemon has spawned. `fits` judges its command line."""
        return launched_process(self.carriers.get(token, ()), fits)


class Recovery:
    """Brings the records up to date with the processes. The monitor sets the exit watches and starts operations."""

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
        living = await self._context.platform.lanes.look(self._read_launch_tokens)
        for record in list(self._records.servers.values()):
            self._prove(record, living)
        known = {self._context.launch_token(record) for record in self._records.servers.values()}
        strays = {token: carriers for token, carriers in living.carriers.items() if token not in known}
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

    def _read_launch_tokens(self) -> LivingLaunches:
        """Return the living launches of this home, from the environments of all processes. Blocks.

        A process that hangs in the kernel keeps only itself from being read.
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
        return LivingLaunches({token: tuple(carriers) for token, carriers in found.items()}, tuple(hanging))

    def _prove(self, record: ServerRecord, living: LivingLaunches) -> None:
        """Bring one record up to date with the processes that live."""
        record = self._restart_clocks(record)
        if record.state in (ServerState.FAILED, ServerState.BACKOFF):
            return
        if record.state is ServerState.STOPPING and not record.stop_requested:
            # A verdict does not outlive the daemon that gave it, so suspicions begin again.
            record = self._records.move(record.id, ServerState.READY)
        proven = record if record.root is not None else self._prove_launch(record, living)
        if proven is None:
            return
        process = proven.process or proven.root
        liveness = self._context.platform.probe.sample(process) if process else Liveness.DEAD
        self._context.events.publish(
            "server.found", server=proven.id, launch=proven.launch, state=proven.state, liveness=liveness
        )

    def _prove_launch(self, record: ServerRecord, living: LivingLaunches) -> ServerRecord | None:
        """Find the process of a launch whose record names none, because the earlier daemon ended right after the spawn.

        Returns the record with the process. Returns None if the process is not found: then the record is failed,
        dropped, or left to be restarted.
        """
        token = self._context.launch_token(record)
        root = living.find_launched(token, self._command_test(record)) if record.launch else None
        if root is not None:
            return self._records.change(record.id, root=root, process=root)
        if record.launch and living.carriers.get(token):
            pids = [carrier.row.identity.pid for carrier in living.carriers[token]]
            problem = f"an earlier daemon's launch cannot be told apart: pids {pids}"
        elif record.launch and living.hanging:
            hanging = ", ".join(map(str, living.hanging))
            problem = f"it may have been started: a process hangs in the kernel and cannot be read (pid {hanging})"
        elif record.restarts and record.state is ServerState.STARTING:
            # The server was being restarted. Whether it is still needed is checked when its operation begins.
            return None
        else:
            self._context.events.publish("server.cleared", server=record.id, reason="nothing had been started")
            self._records.drop(record.id)
            return None
        self._records.move(record.id, ServerState.FAILED, failure=ServerFailure(StartFailed.code, problem))
        return None

    def _command_test(self, record: ServerRecord) -> Fits:
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
