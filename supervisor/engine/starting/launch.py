"""One launch of a server: start it and wait until it is ready, or stop it again and explain why it failed."""

from functools import partial

from ...core.model import Liveness, ProcessIdentity, ServerRecord, ServerState
from ...errors import StartFailed, SystemExhausted
from ...kinds.kind import Kind
from ...kinds.stamp import recipe_stamp
from ...kinds.versions import kind_for_version
from ...native.facts import describe_exit
from ...values import frozen
from ..environments.store import Environment
from ..identification.server_client import ServerClient
from ..logs.excerpt import read_log_tail
from ..processes.leftovers import LeftoverFinder
from ..processes.spawn import LaunchInputs, Spawner, url_and_connect
from ..processes.stop import Stopper, StopReason
from ..processes.tree import Target, target_of
from ..state.context import EngineContext
from .readiness import NotReadyError, PortLostError, ReadinessWatch
from .resolve import ResolvedRequest

INPUT_ENDED = (
    'a program that reads its input ends like that: write stdin = "open" in its kind. '
    "One that speaks MCP over its input and output serves one client, and cannot be shared"
)


@frozen
class FailedLaunch:
    """A launch that failed, after its processes were stopped.

    `exit_status` is None unless the server ended by itself. `left_behind`: the pids that were not proven to be its own.
    """

    error: NotReadyError | PortLostError
    exit_status: int | None
    left_behind: tuple[int, ...]


class Launches:
    """Performs the launches of servers whose records are in the registry."""

    def __init__(self, context: EngineContext, server_client: ServerClient, spawner: Spawner, stopper: Stopper) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client
        self._spawner = spawner
        self._readiness = ReadinessWatch(context, server_client, stopper)
        self._stopper = stopper
        self._recipes: dict[str, tuple[str, Kind]] = {}
        """The launch that became ready last, and its recipe, by the server's id."""

    def recipe_of(self, record: ServerRecord) -> Kind | None:
        """Return the recipe by which a record's launch became ready. Returns None if this daemon did not start it."""
        launch, kind = self._recipes.get(record.id, ("", None))
        return kind if launch == record.launch else None

    def log_for(self, server_id: str, launch: str) -> str:
        """Return the log file of a launch that is about to begin.

        Raises:
            StateNotWritable: the folder of the log cannot be made.
        """
        return str(self._spawner.log_for(server_id, launch))

    async def launch(
        self, record: ServerRecord, resolved: ResolvedRequest, private: Environment | None
    ) -> ServerRecord:
        """Start the server of a record, wait until it is ready, and return its record.

        Raises:
            StartFailed: the server could not be run, or did not become ready, and was stopped.
            PortLostError: another process took one of its ports, and no process of the launch is left.
            SystemExhausted: the system has no process, memory or descriptor for the server.
        """
        secrets = self._server_client.make_secrets(record, resolved.kind)
        inputs = LaunchInputs(resolved.kind, private, secrets, self._living_owner(record))
        url, connect = url_and_connect(resolved.kind, record, private)
        record = self._records.change(record.id, url=url, connect=connect, recipe=recipe_stamp(resolved.kind))
        # Save now: a daemon that later finds the process by its launch token takes everything else from this record.
        await self._records.wait_until_saved()
        try:
            identity = self._spawner.spawn(record, inputs)
        except (StartFailed, SystemExhausted):
            # The failed launch may have left a log, and a client that retries would collect such logs.
            self._spawner.prune_logs(record)
            raise
        record = self._records.change(record.id, root=identity, process=identity)
        self._context.events.publish(
            "server.spawned",
            server=record.id,
            launch=record.launch,
            pid=identity.pid,
            owner_pid=inputs.owner_pid,
            log=record.log,
        )
        self._spawner.prune_logs(record)
        record = await self.wait_until_ready(record, kind_for_version(resolved.kind, record.version))
        self._recipes[record.id] = (record.launch, resolved.kind)
        return record

    async def wait_until_ready(self, record: ServerRecord, kind: Kind) -> ServerRecord:
        """Wait until a server that was started is ready, and return its record, READY.

        Raises:
            StartFailed: the server did not become ready, and was stopped.
            PortLostError: another process took one of its ports, and no process of the launch is left.
        """
        target = target_of(record, self._context.launch_token(record))
        assert target is not None  # noqa: S101 (it was spawned)
        leftovers = LeftoverFinder(self._context, self._context.launch_token(record), target.root)
        try:
            ready = await self._readiness.wait(record, kind, target, partial(self._record_process, record.id))
        except (NotReadyError, PortLostError) as error:
            exit_status = self._exit_status(target.root)
            left_behind = await self._clear_away(record, kind, target, leftovers)
            if isinstance(error, PortLostError) and not left_behind:
                raise
            raise _start_failed(record, kind, FailedLaunch(error, exit_status, left_behind)) from error
        except Exception:
            await self._clear_away(record, kind, target, leftovers)
            raise
        record = self._records.move(
            record.id,
            ServerState.READY,
            process=ready.listener,
            version=record.version or ready.version,
            since=self._context.platform.clock.wall(),
        )
        if record.project is not None and record.ports:
            self._records.keep_sticky_ports(record.kind, record.project, record.ports)
        return record

    async def abandon(self, record: ServerRecord, kind: Kind) -> None:
        """Stop a launch that no caller wants. Leave processes that are not proven to be its own, and warn of them."""
        target = target_of(record, self._context.launch_token(record))
        if target is None:
            self._server_client.forget(record)
            return
        leftovers = LeftoverFinder(self._context, self._context.launch_token(record), target.root)
        await self._clear_away(record, kind, target, leftovers)

    def _record_process(self, server_id: str, process: ProcessIdentity) -> None:
        """Record the process in which the server goes on in the background. It is proven to be the server."""
        self._records.change(server_id, root=process, process=process)
        self._context.events.publish("server.in_background", server=server_id, pid=process.pid)

    def _exit_status(self, root: ProcessIdentity) -> int | None:
        """Return the exit status of a server that has ended by itself, None if it is unknown or the server lives."""
        if self._context.platform.probe.sample(root) is not Liveness.DEAD:
            return None
        return self._context.platform.processes.exit_status(root)

    async def _clear_away(
        self, record: ServerRecord, kind: Kind, target: Target, leftovers: LeftoverFinder
    ) -> tuple[int, ...]:
        """Stop the processes that are proven to be of the launch. Return the pids of those left, and warn of them.

        The launch token alone is no proof, because a process can inherit it.
        """
        in_background = target_of(self._records.servers.get(record.id, record), target.token)
        spared: set[int] = set()
        for tree in dict.fromkeys((target, in_background)):
            if tree is not None:
                spared.update(await self._stopper.stop(tree, StopReason.DAEMON, kind.stop_timeout_s))
        self._server_client.forget(record)
        pids = {process.pid for process in (await leftovers.find()).unguarded}
        if pids - spared:
            # The stopper has warned of those that it spared.
            self._context.events.warn("server.left_behind", server=record.id, pids=sorted(pids - spared))
        return tuple(sorted(pids | spared))

    def _living_owner(self, record: ServerRecord) -> int | None:
        """Return the pid of the first owner that lives and stays, None if there is none."""
        for owner in record.owners:
            if not owner.leaving and self._context.platform.probe.sample(owner.process) is Liveness.ALIVE:
                return owner.process.pid
        return None


def _start_failed(record: ServerRecord, kind: Kind, failed: FailedLaunch) -> StartFailed:
    exit_text = "" if failed.exit_status is None else f" ({describe_exit(failed.exit_status)})"
    return StartFailed(
        f"{record.id} did not start: {failed.error}{exit_text}",
        hint=_hint(record, kind, failed),
        data={
            "exit": failed.exit_status,
            "log_tail": list(read_log_tail(record.log)),
            "log": record.log,
            "left_behind": list(failed.left_behind),
        },
    )


def _hint(record: ServerRecord, kind: Kind, failed: FailedLaunch) -> str:
    logs = f"godot-supervisor logs {record.id}"
    advice = failed.error.advice if isinstance(failed.error, NotReadyError) else None
    if failed.left_behind:
        pids = " ".join(map(str, failed.left_behind))
        return f"{advice or logs}; pid {pids} was left, because it cannot be proven to be the server: kill {pids}"
    if advice is None and failed.exit_status == 0 and kind.stdin == "closed":
        advice = INPUT_ENDED
    return f"{advice}; {logs}" if advice else logs
