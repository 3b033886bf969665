"""How a server's life ends: stopped by a user, reaped, or by itself. Each runs inside an operation."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypedDict

from ...core.lifecycle import SERVING
from ...core.model import Failure, ServerRecord, ServerState
from ...core.reaping import Reap
from ...core.single_flight import Operation
from ...errors import NotOurs, StartFailed, StopFailed, SupervisorError, VersionConflict
from ...kinds.programs import is_of
from ...native.api import variable_if_told
from ..identification import bridges
from ..identification.adoption_marks import claimed_beside
from ..identification.server_client import ServerClient
from ..operations.operation import RunningOperation
from ..processes.stop import Stopper, StopReason
from ..processes.tree import Target, target_of
from ..state.context import TOKEN_VARIABLE, EngineContext
from ..state.history import ended
from ..state.standing import Standing
from .automatic_restart import ENDED_BY_ITSELF, Restarter
from .reap import Reaper


class _ReprievedError(Exception):
    """Somebody attached after the verdict."""


class Termination:
    """Ends servers, and tells whether anybody still needs them."""

    def __init__(
        self,
        context: EngineContext,
        standing: Standing,
        stopper: Stopper,
        server_client: ServerClient,
        reaper: Reaper,
        restarter: Restarter,
    ) -> None:
        self._context = context
        self._records = context.records
        self._events = context.events
        self._standing = standing
        self._stopper = stopper
        self._server_client = server_client
        self._reaper = reaper
        self._restarter = restarter

    async def stop(
        self, server_id: str, operation: RunningOperation, reason: StopReason, tell: Callable[[], None] = lambda: None
    ) -> ServerRecord:
        """Stop the tree, and forget the server. `tell` is called when it is certain to happen.

        Raises:
            NotOurs, StopFailed: it still runs, and its record says so.
        """
        found = await bridges.seen(self._context, self._records.server(server_id)) if reason is StopReason.USER else ()
        record = await self._end_tree(server_id, operation, reason, tell, finish=reason is StopReason.USER)
        self._events.publish("server.stopped", server=server_id, launch=record.launch)
        how, by = "reaped" if reason is StopReason.ORPHAN else "stopped", operation.running.request.holder
        self._remember(record, how, by=by, **_story(record.failure))
        self._forget(record)
        return record.with_(state=ServerState.STOPPED, root=None, process=None, bridges=found)

    async def end_launch(
        self,
        server_id: str,
        operation: RunningOperation,
        reason: StopReason = StopReason.USER,
        last_look: Callable[[ServerRecord, float], None] = lambda record, now: None,  # noqa: ARG005 (nobody looks)
    ) -> ServerRecord:
        """Stop the tree of a server that is to be started again; its record, which stays.

        `last_look` sees the record and the monotonic time immediately before the first signal, and may raise.

        Raises:
            NotOurs, StopFailed, VersionConflict: it still runs, and its record says so.
        """

        def tell() -> None:
            last_look(self._records.server(server_id), self._context.platform.clock.monotonic())

        # A daemon that dies meanwhile leaves no order to stop behind: the next one sees to it that the server runs.
        try:
            record = await self._end_tree(server_id, operation, reason, tell, finish=False)
        except _ReprievedError as error:
            raise VersionConflict(f"{server_id} came into use", hint="ask again") from error
        self._server_client.forget(record)
        self._events.publish("server.stopped", server=server_id, launch=record.launch)
        request = operation.running.request
        self._remember(record, "restarted" if request.operation is Operation.RESTART else "replaced", by=request.holder)
        return self._records.change(server_id, root=None, process=None)

    async def _end_tree(
        self, server_id: str, operation: RunningOperation, reason: StopReason, tell: Callable[[], None], *, finish: bool
    ) -> ServerRecord:
        """`finish`: a daemon that comes after this one is to go on with it."""
        record = self._records.server(server_id)
        if record.other_home is not None:
            raise NotOurs(f"{server_id} belongs to another godot-supervisor home", hint="stop it from there")
        target = target_of(record, self._context.token(record))
        if target is not None:
            operation.progress("stopping", f"{server_id}, pid {target.process.pid}")
            try:
                patience_s = self._context.kind_of(record).stop_timeout_s
                begin = partial(self._begin_stop, record, operation, reason, tell, finish=finish)
                left = await self._stopper.stop(target, reason, patience_s, begin)
                await self._verify_ports(record)
                await self._tell_what_is_left(target, left)
            except (StopFailed, NotOurs) as error:
                self._fail(server_id, error)
                raise
            record = self._records.move(server_id, ServerState.STOPPED)
        self._reaper.forget(server_id)
        return record

    async def reap(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Judge again behind the door, immediately before the signal; then stop."""
        verdict = await self._reaper.sample(server_id)
        record = self._records.server(server_id)
        if not isinstance(verdict, Reap):
            return record
        tell = partial(
            self._events.publish,
            "server.reaped",
            server=server_id,
            launch=record.launch,
            first_sample=verdict.suspicion.since,
            second_sample=self._context.platform.clock.monotonic(),
            reasons=verdict.reasons,
        )
        try:
            return await self.stop(server_id, operation, StopReason.ORPHAN, tell)
        except NotOurs:
            # Nothing was signalled. The same verdict would come again at once, and again; a suspicion takes a grace.
            self._reaper.forget(server_id)
            raise
        except _ReprievedError:
            self._events.publish("server.reprieved", server=server_id, launch=record.launch)
            return self._records.server(server_id)

    async def clear_away(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """A server has ended by itself: sweep what it left, and start it again if anybody still needs it."""
        record = self._records.server(server_id)
        if record.state not in SERVING or not self._standing.dead(record):
            return record
        operation.committed = True
        target = target_of(record, self._context.token(record))
        status = self._context.platform.processes.exit_status(record.process) if record.process else None
        # What a server that others started leaves behind is theirs.
        if target is not None and not record.foreign:
            try:
                await self._stopper.sweep(target, self._context.kind_of(record).stop_timeout_s)
            except StopFailed as error:
                self._records.move(server_id, ServerState.STOPPING)
                self._fail(server_id, error)
                raise
        # Somebody may have come for it, or left, while that took its time.
        record = self._records.server(server_id)
        self._events.publish("server.exited", server=server_id, launch=record.launch, exit=status)
        self._remember(record, "exited", status=status)
        if not self._standing.wanted(record):
            return self._let_go(record)
        self._server_client.forget(record)
        failure = Failure(StartFailed.code, ENDED_BY_ITSELF, status)
        record = self._records.move(server_id, ServerState.BACKOFF, failure=failure, root=None, process=None)
        return await self._restarter.after_exit(record, operation)

    async def start_again(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """The pause after an exit has passed."""
        record = self._records.server(server_id)
        if record.state is not ServerState.BACKOFF:
            return record
        if not self._standing.wanted(record):
            return self._let_go(record)
        record = await self._restarter.start(record, operation)
        return await self._restarter.after_exit(record, operation) if record.state is ServerState.BACKOFF else record

    async def resume(self, server_id: str, operation: RunningOperation) -> ServerRecord:
        """Its start broke off before a process was there. That counts as an exit: what breaks always is given up."""
        record = self._records.server(server_id)
        if record.state is not ServerState.BACKOFF:
            return record
        return (
            await self._restarter.after_exit(record, operation)
            if self._standing.expected(record)
            else self._let_go(record)
        )

    def _let_go(self, record: ServerRecord) -> ServerRecord:
        """It has no process, and nobody needs it."""
        record = self._records.move(record.id, ServerState.STOPPED)
        self._forget(record)
        return record

    def _begin_stop(
        self,
        judged: ServerRecord,
        operation: RunningOperation,
        reason: StopReason,
        tell: Callable[[], None],
        command: Sequence[str],
        *,
        finish: bool,
    ) -> None:
        """The last moment before the signal. Whoever came since a verdict was given has saved the server.

        `command` was read together with the tree, off the loop: the kernel may take its time over a command line.
        """
        record = self._records.server(judged.id)
        if reason is StopReason.ORPHAN and (record.launch, record.generation) != (judged.launch, judged.generation):
            raise _ReprievedError
        if (reason is StopReason.ORPHAN or record.by_client) and record.foreign:
            self._prove_kind(record, command)
            self._refuse_the_claimed(record)
        operation.committed = True
        tell()
        if record.state is not ServerState.STOPPING:
            self._records.move(record.id, ServerState.STOPPING, stop_requested=finish)
        self._records.flush()

    def _refuse_the_claimed(self, record: ServerRecord) -> None:
        """Another home may have adopted it since it was judged.

        Raises:
            NotOurs: it has, or that cannot be told.
        """
        reason = claimed_beside(self._context, record)
        if reason is not None:
            raise NotOurs(f"{record.id}: {reason}", hint="if you know it, name it: down")

    def _prove_kind(self, record: ServerRecord, command: Sequence[str]) -> None:
        """A process keeps its identity when it becomes another program: its command line has to be of the kind still.

        Raises:
            NotOurs: it is not.
        """
        if not is_of(self._context.kind_of(record), command):
            self._events.warn(
                "signal.refused",
                server=record.id,
                pid=record.process.pid if record.process else None,
                reason="its command line is not of the kind any more",
            )
            raise NotOurs(f"{record.id} is not recognised any more", hint="if you know it, name it: down")

    def _fail(self, server_id: str, error: SupervisorError) -> None:
        """It could not be stopped. One that was not even signalled goes on as it was."""
        if self._records.server(server_id).state is ServerState.STOPPING:
            self._records.move(server_id, ServerState.FAILED, failure=Failure(error.code, error.message))

    async def _verify_ports(self, record: ServerRecord) -> None:
        """A process of this launch that we could not prove to be in its tree may still hold a port: then say so."""
        platform = self._context.platform
        facts = await platform.lanes.look(platform.ports.facts, record.ports.values())
        for fact in facts.values():
            for listener in fact.listeners:
                holder = listener.occupant.identity
                if holder is None:
                    continue
                token = await platform.lanes.look(variable_if_told, platform.processes, holder, TOKEN_VARIABLE)
                if token == self._context.token(record):
                    raise StopFailed(
                        f"port {fact.port} is still held by pid {holder.pid}, which {record.id} left behind",
                        hint=f"it cannot be proven to be the server's; if you know it, end it: kill {holder.pid}",
                        data={"pids": [holder.pid], "port": fact.port},
                    )

    async def _tell_what_is_left(self, target: Target, told: tuple[int, ...]) -> None:
        """A descendant that left its session, and whose parents have ended, cannot be proven ours any more."""
        if target.token is not None and not target.foreign:
            pids = [pid for pid in await self._stopper.left_behind(target) if pid not in told]
            if pids:
                self._events.warn("server.left_behind", server=target.label, pids=pids)

    def _remember(
        self,
        record: ServerRecord,
        how: str,
        *,
        status: int | None = None,
        by: str | None = None,
        detail: str | None = None,
    ) -> None:
        """Keep how a launch has ended. What others started and nobody touched has its story elsewhere."""
        if not record.launch or (record.observed_only and how == "exited"):
            return
        if status is None and (record.root or record.process) and not record.foreign:
            ended_processes = [process for process in (record.root, record.process) if process]
            status = self._context.platform.processes.exit_status(ended_processes[0])
        wall = self._context.platform.clock.wall()
        self._records.remember(ended(record, how, wall, status=status, by=by, detail=detail))

    def give_up(self, record: ServerRecord) -> None:
        """Forget one that has failed, and that nobody wants any more."""
        self._remember(record, "failed", **_story(record.failure))
        self._records.drop(record.id)

    def _forget(self, record: ServerRecord) -> None:
        self._server_client.forget(record)
        self._records.drop(record.id)


class _Story(TypedDict, total=False):
    status: int | None
    detail: str


def _story(failure: Failure | None) -> _Story:
    """What a failure tells of how a launch has ended."""
    return {} if failure is None else {"status": failure.exit, "detail": failure.message}
