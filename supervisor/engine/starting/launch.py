"""One launch of a server: start it and see it ready, or stop it again and explain why it failed."""

from functools import partial

from ...core.model import Liveness, ProcessIdentity, ServerRecord, ServerState
from ...errors import StartFailed, SystemExhausted
from ...kinds.kind import Kind
from ...kinds.stamp import stamp
from ...kinds.versions import kind_for_version
from ...native.facts import describe_exit
from ...values import frozen
from ..environments.store import Environment
from ..identification.server_client import ServerClient
from ..logs.excerpt import log_tail
from ..processes.leftovers import LeftoverFinder
from ..processes.spawn import LaunchInputs, Spawner, url_and_connect
from ..processes.stop import Stopper, StopReason
from ..processes.tree import Target, target_of
from ..state.context import EngineContext
from .readiness import NotReadyError, PortLostError, Readiness
from .resolve import ResolvedRequest

INPUT_ENDED = (
    'a program that reads its input ends like that: write stdin = "open" in its kind. '
    "One that speaks MCP over its input and output serves one client, and cannot be shared"
)


@frozen
class Failed:
    """A start that failed. `status`: the exit status of a server that ended by itself. `behind`: pids that are left."""

    error: NotReadyError | PortLostError
    status: int | None
    behind: tuple[int, ...]


class Launcher:
    """Launches servers whose records are in the registry."""

    def __init__(self, context: EngineContext, server_client: ServerClient, spawner: Spawner, stopper: Stopper) -> None:
        self._context = context
        self._records = context.records
        self._server_client = server_client
        self._spawner = spawner
        self._readiness = Readiness(context, server_client, stopper)
        self._stopper = stopper
        self._ready_by: dict[str, tuple[str, Kind]] = {}
        """The launch that became ready last, and its recipe, by server."""

    def recipe_of(self, record: ServerRecord) -> Kind | None:
        """Return the recipe by which a record's launch became ready. Returns None if this daemon did not start it."""
        launch, kind = self._ready_by.get(record.id, ("", None))
        return kind if launch == record.launch else None

    def log_for(self, server: str, launch: str) -> str:
        """Return the log file of a launch that is about to begin.

        Raises:
            StateNotWritable: the folder of the log cannot be made.
        """
        return str(self._spawner.log_for(server, launch))

    async def launch(
        self, record: ServerRecord, resolved: ResolvedRequest, private: Environment | None
    ) -> ServerRecord:
        """Start the server of a record, and see it ready.

        Raises:
            StartFailed: the server could not be run, or did not become ready, and was stopped.
            PortLostError: another process took one of its ports, and no process of the launch is left.
        """
        secrets = self._server_client.mint(record, resolved.kind)
        inputs = LaunchInputs(resolved.kind, private, secrets, self._living_owner(record))
        url, connect = url_and_connect(resolved.kind, record, private)
        record = self._records.change(record.id, url=url, connect=connect, recipe=stamp(resolved.kind))
        # Save now: a daemon that later finds the process by its launch token takes everything else from this record.
        await self._records.saved()
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
        ready = await self.see_ready(record, kind_for_version(resolved.kind, record.version))
        self._ready_by[ready.id] = (ready.launch, resolved.kind)
        return ready

    async def see_ready(self, record: ServerRecord, kind: Kind) -> ServerRecord:
        """Wait until a server that was started is ready.

        Raises:
            StartFailed: the server did not become ready, and was stopped.
            PortLostError: another process took one of its ports, and nothing of it is left.
        """
        target = target_of(record, self._context.token(record))
        assert target is not None  # noqa: S101 (it was spawned)
        left = LeftoverFinder(self._context, self._context.token(record), target.root)
        try:
            ready = await self._readiness.wait(record, kind, target, partial(self._moved, record.id))
        except (NotReadyError, PortLostError) as error:
            status = self._ended_with(target.root)
            behind = await self._clear_away(record, kind, target, left)
            if isinstance(error, PortLostError) and not behind:
                raise
            raise self._start_failed(record, kind, Failed(error, status, behind)) from error
        except Exception:
            await self._clear_away(record, kind, target, left)
            raise
        record = self._records.move(
            record.id,
            ServerState.READY,
            process=ready.listener,
            version=record.version or ready.version,
            since=self._context.platform.clock.wall(),
        )
        if record.project is not None and record.ports:
            self._records.stick(record.kind, record.project, record.ports)
        return record

    async def abandon(self, record: ServerRecord, kind: Kind) -> None:
        """Stop a launch that is not wanted any more. Processes that are not proven its own are left, with a warning."""
        target = target_of(record, self._context.token(record))
        if target is None:
            self._server_client.forget(record)
            return
        left = LeftoverFinder(self._context, self._context.token(record), target.root)
        await self._clear_away(record, kind, target, left)

    def _moved(self, server: str, process: ProcessIdentity) -> None:
        """Record that the server has moved to another process, which is proven to be the server."""
        self._records.change(server, root=process, process=process)
        self._context.events.publish("server.in_background", server=server, pid=process.pid)

    def _ended_with(self, root: ProcessIdentity) -> int | None:
        """Return the exit status of a server that has ended by itself, None if it is unknown or the server lives."""
        if self._context.platform.probe.sample(root) is not Liveness.DEAD:
            return None
        return self._context.platform.processes.exit_status(root)

    async def _clear_away(
        self, record: ServerRecord, kind: Kind, target: Target, left: LeftoverFinder
    ) -> tuple[int, ...]:
        """Stop the processes that are proven to be of the launch. Returns the pids of those left, and warns of them.

        The launch token alone is no proof, because a process can inherit it.
        """
        now = target_of(self._records.servers.get(record.id, record), target.token)
        told: set[int] = set()
        for tree in dict.fromkeys((target, now)):
            if tree is not None:
                told.update(await self._stopper.stop(tree, StopReason.USER, kind.stop_timeout_s))
        self._server_client.forget(record)
        pids = {process.pid for process in (await left.find()).unguarded}
        if pids - told:
            self._context.events.warn("server.left_behind", server=record.id, pids=sorted(pids - told))
        return tuple(sorted(pids | told))

    def _start_failed(self, record: ServerRecord, kind: Kind, failed: Failed) -> StartFailed:
        exit_text = "" if failed.status is None else f" ({describe_exit(failed.status)})"
        return StartFailed(
            f"{record.id} did not start: {failed.error}{exit_text}",
            hint=_hint(record, kind, failed),
            data={
                "exit": failed.status,
                "log_tail": list(log_tail(record.log)),
                "log": record.log,
                "left_behind": list(failed.behind),
            },
        )

    def _living_owner(self, record: ServerRecord) -> int | None:
        for owner in record.owners:
            if not owner.leaving and self._context.platform.probe.sample(owner.process) is Liveness.ALIVE:
                return owner.process.pid
        return None


def _hint(record: ServerRecord, kind: Kind, failed: Failed) -> str:
    logs = f"godot-supervisor logs {record.id}"
    advice = failed.error.advice if isinstance(failed.error, NotReadyError) else None
    if failed.behind:
        pids = " ".join(map(str, failed.behind))
        return f"{advice or logs}; pid {pids} was left, because it cannot be proven to be the server: kill {pids}"
    if advice is None and failed.status == 0 and kind.stdin == "closed":
        advice = INPUT_ENDED
    return f"{advice}; {logs}" if advice else logs
