"""The claims of clients on servers: editors that attach, detach and are busy, and leases."""

from ..core.model import Editor, Lease, Liveness, ProcessIdentity, ServerRecord
from ..errors import EditorGone, StateNotWritable
from ..native.api import identify_if_told
from .claims.calls.tool_calls import ToolCalls
from .claims.editors import Arrival, Editors
from .claims.leases import Leases
from .monitor import Monitor
from .state.context import EngineContext


class Attachments:
    """Changes the claims that clients make, and has the monitor follow up on the servers that they concern.

    None of this is an operation, because no server is started or stopped here.
    """

    def __init__(
        self, context: EngineContext, editors: Editors, leases: Leases, monitor: Monitor, tool_calls: ToolCalls
    ) -> None:
        self._records = context.records
        self._probe = context.platform.probe
        self._editors = editors
        self._leases = leases
        self._monitor = monitor
        self._tool_calls = tool_calls

    def begin(self) -> None:
        """Start the timers of the leases that a recovery has found."""
        self._leases.begin()

    async def attach_with_program_name(self, arrival: Arrival) -> Editor:
        """Attach an editor. An editor that gives no name gets the name of its program."""
        return self.attach(await self._editors.describe(arrival))

    def attach(self, arrival: Arrival) -> Editor:
        """Attach an editor, and return it. An editor that attaches again stays the same editor.

        Raises:
            EditorGone, InvalidParams: the pid is no living process of this user.
            StateNotWritable: the next daemon would not know of the servers that the editor inherits.
        """
        editor, inherited = self._editors.register_arrival(arrival)
        self._monitor.watch_editor(editor)
        for record in inherited:
            self._monitor.follow_up(record.id)
        if inherited:
            # The editor relies on having its server back, so a daemon that is killed now must not lose it.
            self._records.commit()
        self._records.flush()
        return editor

    def detach(self, editor_id: str, *, stop: bool) -> Editor:
        """Detach an editor. Its servers linger, or with `stop` may end at once.

        Raises:
            NotFound: no such editor.
        """
        editor, left = self._editors.register_departure(editor_id, at_once=stop)
        for record in left:
            self._monitor.follow_up(record.id)
        # The answer must hold even if the daemon is killed the moment after.
        self._records.flush()
        return editor

    def prove_alive(self, editor: Editor) -> Editor:
        """Return an attached editor after proving that it is alive.

        Raises:
            EditorGone: it has ended.
        """
        if self._probe.sample(editor.process) is Liveness.DEAD:
            raise EditorGone(f"editor: {editor.id} has ended", hint="attach it again", data={"field": "editor"})
        return editor

    def process_of_pid(self, pid: int) -> ProcessIdentity | None:
        """Return the process that has a pid now, None if there is none or the system does not tell."""
        return identify_if_told(self._probe, pid)

    def release_server(self, server_id: str, editor_id: str) -> ServerRecord:
        """Take an editor from the owners of a server.

        Raises:
            NotFound: no such server or editor, or it does not own it.
        """
        record = self._editors.release_server(server_id, editor_id)
        self._monitor.follow_up(server_id)
        self._records.flush()
        return record

    def occupy(self, editor_id: str, reason: str | None, ttl_s: float) -> Editor:
        """Mark an editor as busy for a time, in which its servers are not disturbed. Without a reason, end that time.

        Raises:
            NotFound: no such editor.
        """
        editor = self._editors.occupy(editor_id, reason, ttl_s)
        self._tool_calls.editor_changed()
        return editor

    def acquire_lease(self, server_id: str, holder: str, ttl_s: float) -> tuple[str, Lease]:
        """Grant a lease on a server, and return it after the id of the server.

        Raises:
            NotFound: no such server.
            Busy: the server is stopping, or does not run.
            StateNotWritable: no lease is granted, because the next daemon would not know of it.
        """
        lease = self._leases.acquire(server_id, holder, ttl_s)
        try:
            return self._commit_lease(server_id, lease)
        except StateNotWritable:
            self._leases.release(lease.id)
            raise

    def renew_lease(self, lease_id: str) -> tuple[str, Lease]:
        """Give a lease its full time again, and return it after the id of its server.

        Raises:
            NotFound: there is no such lease, or it has expired.
            StateNotWritable: the next daemon may not know of it.
        """
        return self._commit_lease(*self._leases.renew(lease_id))

    def release_lease(self, lease_id: str) -> tuple[str, Lease]:
        """End a lease, and return it after the id of its server.

        Raises:
            NotFound: no such lease, or it has expired.
        """
        server_id, lease = self._leases.release(lease_id)
        self._monitor.follow_up(server_id)
        self._records.flush()
        return server_id, lease

    def _commit_lease(self, server_id: str, lease: Lease) -> tuple[str, Lease]:
        """Write a lease to disk before its holder is answered, as the holder relies on it even if the daemon ends."""
        self._monitor.follow_up(server_id)
        self._records.commit()
        return server_id, lease
