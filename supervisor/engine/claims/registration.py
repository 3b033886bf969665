"""The record and the owner of a server, registered before its operation runs."""

from collections.abc import Callable
from functools import partial

from ...core.model import Editor, Liveness, Origin, Ownership, ServerRecord, ServerState
from ...errors import SupervisorError
from ..starting.resolve import ResolvedRequest
from ..state.context import EngineContext
from ..state.exit_watches import ExitWatches


class Registrar:
    """Registers the owners of servers, and takes a registration back when its request is cancelled or refused.

    `on_unregistered` gets the server; `engine.assembly` sets it.
    """

    def __init__(self, context: EngineContext, exit_watches: ExitWatches) -> None:
        self._records = context.records
        self._clock = context.platform.clock
        self._probe = context.platform.probe
        self._exit_watches = exit_watches
        self.on_unregistered: Callable[[str], None]

    def register(
        self, resolved: ResolvedRequest, editor: Editor | None, *, until_stopped: bool = True
    ) -> Callable[[], None]:
        """Begin the record of a server and add the owner, on disk too, before the requester gets `accepted`.

        `until_stopped`: a server without an owner runs until a user stops it.

        Returns:
            A function that takes the registration back.

        Raises:
            StateNotWritable: nothing is registered, because the next daemon would not know of the owner.
        """
        before = self._records.servers.get(resolved.server)
        self.begin_record(resolved, until_stopped=until_stopped)
        if editor is not None:
            self.add_owner(resolved.server, editor)
        try:
            self._records.commit()
        except SupervisorError:
            if before is None:
                self._records.drop(resolved.server)
            else:
                self._records.put(before)
            raise
        return partial(self.unregister, resolved.server, editor, before)

    def begin_record(
        self, resolved: ResolvedRequest, owners: tuple[Ownership, ...] = (), *, until_stopped: bool = True
    ) -> None:
        """Write the record of a server that is about to be started, unless the server has one."""
        if resolved.server in self._records.servers:
            return
        self._records.put(
            ServerRecord(
                id=resolved.server,
                kind=resolved.kind.name,
                version=resolved.version,
                chosen=resolved.chosen,
                project=resolved.project,
                state=ServerState.STARTING,
                origin=Origin.SPAWNED,
                launch="",
                ports={},
                since=self._clock.wall(),
                owners=owners,
                ever_owned=bool(owners),
                until_stopped=until_stopped and resolved.intended_owner is None,
            )
        )

    def add_owner(self, server_id: str, editor: Editor) -> ServerRecord:
        """Add an editor to a server's owners, and drop those that are proven dead.

        An owner whose exit would be noticed is not sampled, because hundreds of owners may join one after the other.
        """
        record = self._records.server(server_id)
        others = tuple(
            owner
            for owner in record.owners
            if owner.process != editor.process
            and (self._exit_watches.is_watched(owner.process) or self._probe.sample(owner.process) is not Liveness.DEAD)
        )
        return self._records.set_claims(server_id, owners=(*others, Ownership(editor.id, editor.process)))

    def unregister(self, server_id: str, editor: Editor | None, before: ServerRecord | None) -> None:
        """Take a registration back after its request was cancelled or refused.

        `before` is the server's record from before the request, None if there was none.
        """
        record = self._records.servers.get(server_id)
        if editor is None and before is None and record is not None and record.owners:
            # Owners that asked at the same time have the server, so it ends with them.
            self._records.change(server_id, until_stopped=False)
        if editor is None or (before and any(owner.process == editor.process for owner in before.owners)):
            return
        # A foreign server had owners before this daemon was asked for it.
        ever_owned = before.ever_owned if before else record is not None and record.foreign and record.ever_owned
        if record is not None:
            others = tuple(owner for owner in record.owners if owner.process != editor.process)
            self._records.set_claims(server_id, owners=others)
            self._records.change(server_id, ever_owned=ever_owned or bool(others))
        self.on_unregistered(server_id)
