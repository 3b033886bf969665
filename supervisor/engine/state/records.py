"""The daemon's memory: editors, servers, sticky ports; written to the registry, once for each turn of the loop."""

import asyncio
import contextlib
from typing import Any, Protocol

from ...core.lifecycle import move
from ...core.model import Editor, Ended, Lease, Ownership, Ports, ServerRecord, ServerState, State, StickyPorts
from ...errors import NotFound, StateNotWritable
from .events import Events
from .history import History

RETRY_S = 5.0
"""After how long a write that failed is tried again."""


class Store(Protocol):
    """Where the state is kept."""

    def write(self, state: State) -> None:
        """Replace what is kept. Raises OSError: the old state stands."""
        ...


class Records:
    """The one writer of the state. Records are frozen; a change puts a new one in place."""

    def __init__(self, store: Store, events: Events) -> None:
        self._store = store
        self._events = events
        self._scheduled = False
        self._retry: asyncio.TimerHandle | None = None
        self._closed = False
        self.editors: dict[str, Editor] = {}
        self.servers: dict[str, ServerRecord] = {}
        self._owned: dict[str, set[str]] = {}
        """The servers that each editor owns, by their ids."""
        self._sticky: dict[tuple[str, str], Ports] = {}
        self.history = History()
        self.trouble: str | None = None
        self.revision = 0
        """Rises with every change of what is kept here."""
        self._written = 0
        """The revision that is on the disk; -1: whatever is there, it is to be written again."""

    def restore(self, state: State) -> None:
        """Begin with what an earlier daemon left."""
        self.editors = dict(state.editors)
        self.servers = dict(state.servers)
        self._owned = {}
        for record in self.servers.values():
            self._index(record.id, (), record.owners)
        self._sticky = {(row.kind, row.project): row.ports for row in state.sticky}
        self.history = History(state.ended)
        self.revision += 1
        self._written = self.revision

    def server(self, server_id: str) -> ServerRecord:
        """The record.

        Raises:
            NotFound: no such server.
        """
        try:
            return self.servers[server_id]
        except KeyError:
            known = ", ".join(sorted(self.servers)) or "none"
            ended = self.history.get(server_id) is not None
            hint = f"it has ended: godot-supervisor inspect {server_id}" if ended else f"servers: {known}"
            raise NotFound(f"no server {server_id!r}", hint=hint) from None

    def editor(self, editor_id: str) -> Editor:
        """The editor.

        Raises:
            NotFound: no such editor.
        """
        try:
            return self.editors[editor_id]
        except KeyError:
            known = ", ".join(sorted(self.editors)) or "none"
            raise NotFound(f"no editor {editor_id!r}", hint=f"editors: {known}") from None

    def put(self, record: ServerRecord) -> ServerRecord:
        """Add or replace a server."""
        before = self.servers.get(record.id)
        if before is None or before.owners is not record.owners:
            self._index(record.id, before.owners if before is not None else (), record.owners)
        self.servers[record.id] = record
        self._touch()
        return record

    def change(self, server_id: str, **changes: Any) -> ServerRecord:
        """Replace some fields of a server. The state changes through `move` only."""
        return self.put(self.server(server_id).with_(**changes))

    def move(self, server_id: str, to: ServerState, *, why: str | None = None, **changes: Any) -> ServerRecord:
        """Change a server's state along the table. `why` is for people, where the events before do not tell it."""
        record = self.server(server_id)
        failure = changes.get("failure")
        why = why or (failure.message if failure else None)
        if record.state is ServerState.FAILED:
            # A failed server's ports are promised to nobody: by now they may be another's.
            taken = not self.reserved(server_id).keys().isdisjoint(record.ports.values())
            if to is ServerState.STARTING or taken:
                changes.setdefault("ports", {})
        because = {} if why is None else {"why": why}
        self._events.publish(
            "server.state", server=server_id, launch=record.launch, was=record.state, now=to, **because
        )
        return self.put(record.with_(state=move(record.state, to), **changes))

    def take_back(self, before: ServerRecord) -> ServerRecord:
        """Undo a start: the row is at rest again, as before, with the claims that it has now.

        One that was stopped in order to be started counts as ended by itself: who wants it gets it again.
        """
        to = ServerState.FAILED if before.state is ServerState.FAILED else ServerState.BACKOFF
        now = self.move(before.id, to, why="its start was taken back")
        # By now they may be another's.
        free = self.reserved(before.id).keys().isdisjoint(before.ports.values())
        return self.put(
            before.with_(
                state=to,
                root=None,
                process=None,
                ports=before.ports if free else {},
                owners=now.owners,
                leases=now.leases,
                generation=now.generation,
                ever_owned=now.ever_owned,
                until_stopped=now.until_stopped,
            )
        )

    def claim(
        self,
        server_id: str,
        owners: tuple[Ownership, ...] | None = None,
        leases: tuple[Lease, ...] | None = None,
    ) -> ServerRecord:
        """Replace a server's owners, its leases, or both: a change of its claims."""
        record = self.server(server_id)
        return self.change(
            server_id,
            owners=record.owners if owners is None else owners,
            leases=record.leases if leases is None else leases,
            generation=record.generation + 1,
            ever_owned=record.ever_owned or bool(owners),
        )

    def drop(self, server_id: str) -> None:
        """Forget a server."""
        record = self.servers.pop(server_id, None)
        if record is not None:
            self._index(server_id, record.owners, ())
            self._events.publish("server.gone", server=server_id, launch=record.launch, was=record.state)
            self._touch()

    def remember(self, row: Ended) -> None:
        """Keep how a launch has ended."""
        self.history.add(row)
        self._touch()

    def put_editor(self, editor: Editor) -> Editor:
        """Add or replace an editor."""
        if self.editors.get(editor.id) != editor:
            self.editors[editor.id] = editor
            self._touch()
        return editor

    def drop_editor(self, editor_id: str) -> None:
        """Forget an editor."""
        if self.editors.pop(editor_id, None) is not None:
            self._events.publish("editor.gone", editor=editor_id)
            self._touch()

    def owned_by(self, editor_id: str) -> list[ServerRecord]:
        """The servers that count this editor among their owners."""
        owned = self._owned.get(editor_id, ())
        if len(owned) < 2:  # noqa: PLR2004 (one needs no order)
            return [self.servers[server_id] for server_id in owned]
        return [record for record in self.servers.values() if record.id in owned]

    def owns_nothing(self, editor_id: str) -> bool:
        """Whether no server counts this editor among its owners."""
        return editor_id not in self._owned

    def _index(self, server_id: str, before: tuple[Ownership, ...], now: tuple[Ownership, ...]) -> None:
        """Note who owns a server now, and who did before."""
        for owner in before:
            owned = self._owned.get(owner.editor, set())
            owned.discard(server_id)
            if not owned:
                self._owned.pop(owner.editor, None)
        for owner in now:
            self._owned.setdefault(owner.editor, set()).add(server_id)

    def sticky(self, kind: str, project: str | None) -> Ports | None:
        """The ports that a project had last time."""
        return None if project is None else self._sticky.get((kind, project))

    def stick(self, kind: str, project: str, ports: Ports) -> None:
        """Remember the ports of a project."""
        self._sticky[(kind, project)] = ports
        self._touch()

    def reserved(self, but: str) -> dict[int, str]:
        """The ports promised to servers other than this one."""
        return {
            port: record.id
            for record in self.servers.values()
            if record.id != but and record.state not in (ServerState.STOPPED, ServerState.FAILED)
            for port in record.ports.values()
        }

    def own_ports(self, but: str) -> frozenset[int]:
        """The ports promised to servers of ours other than this one; not those of what was merely found."""
        servers = self.servers
        return frozenset(port for port, server_id in self.reserved(but).items() if not servers[server_id].observed_only)

    def state(self) -> State:
        """Everything, as it would be written now."""
        sticky = tuple(StickyPorts(kind, project, ports) for (kind, project), ports in self._sticky.items())
        # What was merely found is found again by the next daemon; a row of it could only be out of date. Its leases
        # are ours, though, and known to nobody else.
        servers = {
            name: row for name, row in self.servers.items() if not row.observed_only or row.stop_requested or row.leases
        }
        return State(self.editors, servers, sticky, self.history.rows())

    def commit(self) -> None:
        """Write now.

        Raises:
            StateNotWritable: the registry on the disk is older than the state in memory.
        """
        try:
            self._store.write(self.state())
        except OSError as error:
            if self.trouble is None:
                self._events.warn("registry.not_writable", reason=str(error))
            self.trouble = str(error)
            self._written = -1
            self._try_again_later()
            raise StateNotWritable(
                f"the registry cannot be written: {error}", hint="free some space, or make the folder writable"
            ) from error
        self._written = self.revision
        self.trouble = None
        self._forget_the_retry()

    def write_again(self) -> None:
        """What lies on the disk is gone, or another's: write all of it."""
        self._written = -1
        self.flush()

    async def saved(self) -> None:
        """Return once all that is in memory now is on the disk. Whoever asks in one turn of the loop shares one write.

        Raises:
            StateNotWritable: it is not.
        """
        wanted = self.revision
        if self._written < wanted:
            # The write of this turn comes first in the next one.
            await asyncio.sleep(0)
        if self._written < wanted:
            self.commit()

    def close(self) -> None:
        """Write once more what was not written, and try no more."""
        self._closed = True
        self.flush()
        self._forget_the_retry()

    def _try_again_later(self) -> None:
        """Nobody may change anything for hours: what is in memory only would be lost with the daemon."""
        if self._retry is None and not self._closed:
            self._retry = asyncio.get_running_loop().call_later(RETRY_S, self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        self.flush()

    def _forget_the_retry(self) -> None:
        if self._retry is not None:
            self._retry.cancel()
            self._retry = None

    def _touch(self) -> None:
        self.revision += 1
        self._schedule()

    def _schedule(self) -> None:
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._flush_as_scheduled)

    def _flush_as_scheduled(self) -> None:
        self._scheduled = False
        self.flush()

    def note(self) -> str | None:
        """What a user should know: the registry cannot be written. None: it can."""
        return f"the registry cannot be written: {self.trouble}" if self.trouble else None

    def flush(self) -> None:
        """Write now if anything changed. Trouble is told, kept in `trouble`, and tried again."""
        if self._written < self.revision:
            with contextlib.suppress(StateNotWritable):
                self.commit()
