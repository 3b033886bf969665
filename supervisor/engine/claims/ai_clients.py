"""The AI clients that are connected to the daemon, by their MCP bridges."""

from collections.abc import Sequence
from dataclasses import dataclass

from ...core.model import Editor
from ...errors import InvalidParams
from ..state.context import EngineContext
from .calls.tool_calls import ToolCalls
from .calls.tracked import CallMaker, TrackedCall


@dataclass(eq=False)
class AiClients:
    """The connections of AI clients. The records of their processes are those of owners: they outlive the daemon."""

    context: EngineContext
    tool_calls: ToolCalls

    def __post_init__(self) -> None:
        self._connected: dict[str, list[CallMaker]] = {}
        """The connections by the id of the client."""
        self.revision = 0
        """Rises with every change of what `makers_of` returns."""

    def new_maker(self, name: str) -> CallMaker:
        """Return the maker of calls for a new connection. `name` is for people."""
        return CallMaker(name)

    def check_new(self, maker: CallMaker, pid: int) -> None:
        """Check that a connection has not introduced another process before.

        Raises:
            InvalidParams: it has.
        """
        if maker.pid not in (None, pid):
            raise InvalidParams("pid", f"this connection is that of process {maker.pid}", hint="use another connection")

    def introduce(self, maker: CallMaker, client: Editor) -> None:
        """Note that a connection is that of an AI client, whose process is attached."""
        name = client.client.name if client.client else client.id
        maker.name = f"{name} {client.client.version}".rstrip() if client.client else name
        maker.client, maker.pid, maker.project = client.id, client.process.pid, client.project
        makers = self._connected.setdefault(client.id, [])
        self.revision += 1
        if maker in makers:
            return
        makers.append(maker)
        if len(makers) == 1:
            version = client.client.version if client.client else None
            self.context.events.publish(
                "client.attached",
                client=client.id,
                name=name,
                version=version,
                pid=client.process.pid,
                project=client.project,
            )

    def leave(self, maker: CallMaker) -> None:
        """Note that a connection has ended, and end its calls."""
        self.tool_calls.leave(maker)
        makers = self._connected.get(maker.client or "", [])
        if maker not in makers:
            return
        makers.remove(maker)
        self.revision += 1
        if not makers:
            del self._connected[maker.client or ""]
            self.context.events.publish("client.detached", client=maker.client, calls=maker.calls)

    def is_connected(self, client_id: str) -> bool:
        """Return whether a client has a connection."""
        return client_id in self._connected

    def calls_so_far(self, client_id: str) -> int:
        """Return how many calls a connected client has made."""
        return sum(maker.calls for maker in self._connected.get(client_id, ()))

    def calls_of(self, client_id: str) -> Sequence[TrackedCall]:
        """Return the calls of a client that run or wait."""
        makers = self._connected.get(client_id, ())
        return [call for maker in makers for call in self.tool_calls.of_maker(maker)]
