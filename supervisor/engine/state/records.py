"""The daemon's records in memory: editors, servers, sticky ports, and how servers have ended."""

from typing import Any

from ...core.lifecycle import move
from ...core.model import (
    Editor,
    EndedLaunch,
    Lease,
    Ownership,
    Ports,
    ProcessIdentity,
    RegistryContents,
    ServerRecord,
    ServerState,
    StickyPorts,
)
from ...errors import NotFound
from .events import Events
from .history import History
from .registry_writer import RegistryWriter, Store


class Records(RegistryWriter):
    """All state of the daemon that outlives it. Each record is frozen; a change replaces it."""

    def __init__(self, store: Store, events: Events) -> None:
        super().__init__(store, events)
        self.editors: dict[str, Editor] = {}
        self.servers: dict[str, ServerRecord] = {}
        self._owned: dict[str, set[str]] = {}
        """The servers that each editor owns, by their ids."""
        self._sticky: dict[tuple[str, str], Ports] = {}
        self.history = History()

    def restore(self, state: RegistryContents) -> None:
        """Start with the state that an earlier daemon left."""
        self.editors = dict(state.editors)
        self.servers = dict(state.servers)
        self._owned = {}
        for record in self.servers.values():
            self._index(record.id, (), record.owners)
        self._sticky = {(sticky.kind, sticky.project): sticky.ports for sticky in state.sticky}
        self.history = History(state.ended)
        self.revision += 1
        self._written = self.revision

    def server(self, server_id: str) -> ServerRecord:
        """Return the record of a server.

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
        """Return the record of an editor.

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
        """Change a server's state, as `core.lifecycle` allows it, and other fields with it.

        `why` is for people. It is given where the events before do not tell the reason.
        """
        record = self.server(server_id)
        failure = changes.get("failure")
        why = why or (failure.message if failure else None)
        if record.state is ServerState.FAILED:
            # A failed server's ports are not reserved, so another server may have them now.
            taken = not self.reserved_ports(server_id).keys().isdisjoint(record.ports.values())
            if to is ServerState.STARTING or taken:
                changes.setdefault("ports", {})
        because = {} if why is None else {"why": why}
        self._events.publish(
            "server.state", server=server_id, launch=record.launch, was=record.state, now=to, **because
        )
        return self.put(record.with_(state=move(record.state, to), **changes))

    def undo_start(self, before: ServerRecord) -> ServerRecord:
        """Restore the record from before a start, with the claims that it has now.

        The new launch has no process any more.

        A server that was stopped in order to be restarted counts as crashed, so the next request for it starts it
        again.
        """
        to = ServerState.FAILED if before.state is ServerState.FAILED else ServerState.BACKOFF
        current = self.move(before.id, to, why="its start was taken back")
        # Another server may have got the ports since.
        free = self.reserved_ports(before.id).keys().isdisjoint(before.ports.values())
        return self.put(
            before.with_(
                state=to,
                root=None,
                process=None,
                ports=before.ports if free else {},
                owners=current.owners,
                leases=current.leases,
                generation=current.generation,
                ever_owned=current.ever_owned,
                until_stopped=current.until_stopped,
            )
        )

    def set_claims(
        self,
        server_id: str,
        *,
        owners: tuple[Ownership, ...] | None = None,
        leases: tuple[Lease, ...] | None = None,
    ) -> ServerRecord:
        """Replace a server's owners, its leases, or both. Those that are None stay."""
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

    def remember(self, launch: EndedLaunch) -> None:
        """Remember how a launch has ended."""
        self.history.add(launch)
        self._touch()

    def put_editor(self, editor: Editor) -> Editor:
        """Add or replace an editor."""
        if self.editors.get(editor.id) != editor:
            self.editors[editor.id] = editor
            self._touch()
        return editor

    def drop_editor(self, editor_id: str) -> None:
        """Forget an editor."""
        editor = self.editors.pop(editor_id, None)
        if editor is not None:
            if editor.client is None:
                self._events.publish("editor.gone", editor=editor_id)
            self._touch()

    def owned_by(self, editor_id: str) -> list[ServerRecord]:
        """Return the servers that this editor owns."""
        owned = self._owned.get(editor_id, ())
        if len(owned) < 2:  # noqa: PLR2004 (one needs no order)
            return [self.servers[server_id] for server_id in owned]
        return [record for record in self.servers.values() if record.id in owned]

    def owns_nothing(self, editor_id: str) -> bool:
        """Return whether this editor owns no server."""
        return editor_id not in self._owned

    def owner_processes(self) -> set[ProcessIdentity]:
        """Return the processes of all editors and owners. No server's tree may contain them."""
        editors = {editor.process for editor in self.editors.values()}
        return editors | {owner.process for record in self.servers.values() for owner in record.owners}

    def server_processes(self) -> set[ProcessIdentity]:
        """Return the root and the listener of every server. May be called off the loop."""
        servers = list(self.servers.values())
        return {each for record in servers for each in (record.root, record.process) if each}

    def find_by_process(self, process: ProcessIdentity) -> list[ServerRecord]:
        """Return the servers that have this process as their root or their listener. May be called off the loop."""
        return [record for record in list(self.servers.values()) if process in (record.root, record.process)]

    def _index(self, server_id: str, before: tuple[Ownership, ...], now: tuple[Ownership, ...]) -> None:
        """Update the index of owned servers from a server's owners before and now."""
        for owner in before:
            owned = self._owned.get(owner.editor, set())
            owned.discard(server_id)
            if not owned:
                self._owned.pop(owner.editor, None)
        for owner in now:
            self._owned.setdefault(owner.editor, set()).add(server_id)

    def sticky_ports(self, kind: str, project: str | None) -> Ports | None:
        """Return the ports that a project's server of a kind had last time, None if it had none."""
        return None if project is None else self._sticky.get((kind, project))

    def keep_sticky_ports(self, kind: str, project: str, ports: Ports) -> None:
        """Keep the ports of a project's server of a kind for the next time."""
        self._sticky[(kind, project)] = ports
        self._touch()

    def reserved_ports(self, without: str | None = None) -> dict[int, str]:
        """Return the reserved ports, each with the id of its server. The server `without` is left out."""
        return {
            port: record.id
            for record in self.servers.values()
            if record.id != without and record.state not in (ServerState.STOPPED, ServerState.FAILED)
            for port in record.ports.values()
        }

    def own_ports(self, without: str) -> frozenset[int]:
        """Return the reserved ports, except those of the server `without` and of observed servers."""
        servers = self.servers
        return frozenset(
            port for port, server_id in self.reserved_ports(without).items() if not servers[server_id].observed_only
        )

    def state(self) -> RegistryContents:
        """Return the whole state, as it would be written now."""
        sticky = tuple(StickyPorts(kind, project, ports) for (kind, project), ports in self._sticky.items())
        # Leave out observed servers: the next daemon finds them again, and a written record could only be outdated. A
        # record with leases is kept, because no other program knows them.
        servers = {
            server_id: record
            for server_id, record in self.servers.items()
            if not record.observed_only or record.stop_requested or record.leases
        }
        return RegistryContents(self.editors, servers, sticky, self.history.launches())
