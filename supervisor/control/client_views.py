"""AI clients and their tool calls as the protocol shows them."""

from collections.abc import Callable, Sequence

from ..core.model import ClientName, Editor, Liveness, ProcessIdentity
from ..engine.claims.ai_clients import AiClients
from ..engine.claims.calls.tracked import TrackedCall
from ..engine.state.exit_watches import ExitWatches
from ..engine.state.records import Records
from ..wire.messages.common import AiClientInfo, AiClientName, ToolCallInfo
from .fitting import as_many_as_fit
from .view_cache import Basis, ViewCache

CLIENTS_BYTES = 128 * 1024
"""Bytes of a frame that the list may take."""

ALL = "all"
"""The name of the list of all clients in a cache of views."""

CALLS_OF_SERVER, CALLS_OF_CLIENT = 16, 4
"""How many calls are shown of each. The others are only counted."""

UNNAMED = ClientName("a client", "")


def client_name(client: ClientName | None) -> AiClientName | None:
    """Return what an AI client says of itself."""
    return None if client is None else AiClientName(client.name, client.version, client.title)


def call_info(call: TrackedCall) -> ToolCallInfo:
    """Return a tool call."""
    maker = call.maker
    return ToolCallInfo(
        client=maker.client,
        name=maker.name,
        pid=maker.pid,
        server=call.server,
        tool=call.tool,
        state="waiting" if call.waits else "running",
        since=call.since,
        gated=call.gated,
        editor_pid=call.reached.editor_pid,
        project=call.reached.project or maker.project,
    )


def first_calls(calls: Sequence[TrackedCall], shown: int) -> tuple[tuple[ToolCallInfo, ...], int]:
    """Return the first calls as they are shown, and the number of the others."""
    return tuple(map(call_info, calls[:shown])), max(0, len(calls) - shown)


def owned_servers(records: Records) -> dict[str, list[str]]:
    """Return the ids of the servers of each owner."""
    owned: dict[str, list[str]] = {}
    for record in records.servers.values():
        for ownership in record.owners:
            owned.setdefault(ownership.editor, []).append(record.id)
    return owned


class ClientViews:
    """Shows AI clients: those that are connected, and those that own a server. `liveness` asks for a process."""

    def __init__(
        self,
        ai_clients: AiClients,
        records: Records,
        exit_watches: ExitWatches,
        liveness: Callable[[ProcessIdentity], Liveness],
    ) -> None:
        self._ai_clients = ai_clients
        self._records = records
        self._exit_watches = exit_watches
        self._liveness = liveness
        self._lists: ViewCache[tuple[AiClientInfo, ...]] = ViewCache()

    def client(self, client: Editor) -> AiClientInfo:
        """Return one AI client, by the record of its process."""
        servers = tuple(record.id for record in self._records.owned_by(client.id))
        return client_info(self._ai_clients, client, self._liveness(client.process), servers)

    def clients(self) -> tuple[AiClientInfo, ...]:
        """Return all AI clients, or as many as fit into a frame."""
        revisions = (self._ai_clients.revision, self._ai_clients.tool_calls.revision)
        basis = Basis((), (self._records.revision, self._exit_watches.revision, *revisions))
        return self._lists.get(ALL, basis, self._make_list, self._list_lasts)

    def left_out(self, clients: Sequence[AiClientInfo]) -> int:
        """Return how many are missing from this list."""
        return len(self._shown()) - len(clients)

    def _list_lasts(self) -> bool:
        return all(self._exit_watches.is_watched(client.process) for client in self._shown())

    def _make_list(self) -> tuple[AiClientInfo, ...]:
        owned = owned_servers(self._records)
        shown = [
            client_info(self._ai_clients, client, self._liveness(client.process), tuple(owned.get(client.id, ())))
            for client in self._shown()
        ]
        return as_many_as_fit(shown, CLIENTS_BYTES)

    def _shown(self) -> list[Editor]:
        return [
            each
            for each in self._records.editors.values()
            if each.client is not None
            and (self._ai_clients.is_connected(each.id) or not self._records.owns_nothing(each.id))
        ]


def client_info(ai_clients: AiClients, editor: Editor, liveness: Liveness, servers: tuple[str, ...]) -> AiClientInfo:
    """Return an AI client."""
    client = editor.client or UNNAMED
    running, more = first_calls(ai_clients.calls_of(editor.id), CALLS_OF_CLIENT)
    return AiClientInfo(
        id=editor.id,
        pid=editor.process.pid,
        name=client.name,
        version=client.version,
        title=client.title,
        project=editor.project,
        since=editor.started_at,
        liveness=liveness.value,
        connected=ai_clients.is_connected(editor.id),
        servers=servers,
        calls=ai_clients.calls_so_far(editor.id),
        running=running,
        running_more=more,
    )
