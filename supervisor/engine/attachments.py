"""Who has a claim on which server: editors that come, leave and are busy; leases. Every change is followed up."""

from ..core.model import Editor, Lease, Liveness, ProcessIdentity, ServerRecord
from ..errors import EditorGone, StateNotWritable
from .holders.editors import Arrival, Editors
from .holders.leases import Leases
from .monitor import Monitor
from .state.context import EngineContext


class Attachments:
    """The part of the front door that needs no flight: nothing here starts or stops a server by itself."""

    def __init__(self, context: EngineContext, editors: Editors, leases: Leases, monitor: Monitor) -> None:
        self._records = context.records
        self._probe = context.platform.probe
        self._editors = editors
        self._leases = leases
        self._monitor = monitor

    def begin(self) -> None:
        """Wait for the end of the leases that a recovery has found."""
        self._leases.begin()

    async def introduce(self, arrival: Arrival) -> Editor:
        """As `attach`; one that gives no name gets that of its program."""
        return self.attach(await self._editors.look_at(arrival))

    def attach(self, arrival: Arrival) -> Editor:
        """An editor introduces itself. Repeated, it is the same editor.

        Raises:
            EditorGone, InvalidParams: it is no living process of this user.
            StateNotWritable: what it inherits would be forgotten by the next daemon.
        """
        editor, inherited = self._editors.arrive(arrival)
        self._monitor.watch_editor(editor)
        for record in inherited:
            self._monitor.settle(record.id)
        if inherited:
            # Whoever relies on having it back must not lose it to a daemon that is killed the moment after.
            self._records.commit()
        self._records.flush()
        return editor

    def detach(self, editor_id: str, *, stop: bool) -> Editor:
        """An editor leaves; its servers linger, unless it says that they may stop.

        Raises:
            NotFound: no such editor.
        """
        editor, left = self._editors.leave(editor_id, at_once=stop)
        for record in left:
            self._monitor.settle(record.id)
        # What was answered must outlive a daemon that is killed the moment after.
        self._records.flush()
        return editor

    def prove(self, editor: Editor) -> Editor:
        """An editor that was attached, proven alive.

        Raises:
            EditorGone: it has ended.
        """
        if self._probe.sample(editor.process) is Liveness.DEAD:
            raise EditorGone(f"editor: {editor.id} has ended", hint="attach it again", data={"field": "editor"})
        return editor

    def behind(self, pid: int) -> ProcessIdentity | None:
        """Who has this pid now; None also where the system does not tell."""
        try:
            return self._probe.identify(pid)
        except OSError:
            return None

    def release(self, server_id: str, editor_id: str) -> ServerRecord:
        """An editor no longer owns a server.

        Raises:
            NotFound: no such server or editor, or it does not own it.
        """
        record = self._editors.release(server_id, editor_id)
        self._monitor.settle(server_id)
        self._records.flush()
        return record

    def occupy(self, editor_id: str, reason: str | None, ttl_s: float) -> Editor:
        """An editor is busy for a time, and its servers are not to be disturbed; without a reason, not any more.

        Raises:
            NotFound: no such editor.
        """
        return self._editors.occupy(editor_id, reason, ttl_s)

    def acquire(self, server_id: str, holder: str, ttl_s: float) -> tuple[str, Lease]:
        """A lease on a server, for a time.

        Raises:
            NotFound: no such server.
            Busy: it is on its way out, or does not run.
            StateNotWritable: the next daemon would not know of it; there is none.
        """
        lease = self._leases.acquire(server_id, holder, ttl_s)
        try:
            return self._claimed(server_id, lease)
        except StateNotWritable:
            self._leases.release(lease.id)
            raise

    def renew(self, lease_id: str) -> tuple[str, Lease]:
        """A lease with its full time again, after its server.

        Raises:
            NotFound: no such lease, or it has expired.
            StateNotWritable: the next daemon may not know of it.
        """
        return self._claimed(*self._leases.renew(lease_id))

    def give_back(self, lease_id: str) -> tuple[str, Lease]:
        """A lease as it ended, after its server.

        Raises:
            NotFound: no such lease, or it has expired.
        """
        server_id, lease = self._leases.release(lease_id)
        self._monitor.settle(server_id)
        self._records.flush()
        return server_id, lease

    def _claimed(self, server_id: str, lease: Lease) -> tuple[str, Lease]:
        """Whoever was told of a lease may rely on it, whatever becomes of this daemon."""
        self._monitor.settle(server_id)
        self._records.commit()
        return server_id, lease
