"""The methods of servers. A single server is returned as `common.Server`."""

from collections.abc import Mapping

from ...errors import InvalidParams
from ...values import frozen
from .clients import Introduction
from .common import Name, Path, Pid, Port, Server


@frozen
class OwnerClaim:
    """A process to attach as owner, for a client that has attached no editor. `client` is that of an MCP bridge."""

    pid: Pid
    start_token: Name | None = None
    project: Path | None = None
    client: Introduction | None = None


@frozen
class ServerEnsure:
    """Ensure that a server runs: for an attached editor, for an owner, or for neither."""

    kind: Name
    editor: Name | None = None
    owner: OwnerClaim | None = None
    project: Path | None = None
    engine_version: Name | None = None
    version: Name | None = None
    ports: Mapping[str, Port] | None = None
    request: Name | None = None

    def __post_init__(self) -> None:
        if self.editor is not None and self.owner is not None:
            raise InvalidParams("owner", "give either owner or editor")


@frozen
class ServerList:
    """No params."""


@frozen
class ServerListResult:
    """Every known server. `left_out` is the number of servers that do not fit into the frame.

    If many servers have failed, the later ones are listed without their `log_tail`. `server.get` returns each in full.
    """

    servers: tuple[Server, ...]
    left_out: int = 0


@frozen
class ServerGet:
    """Return one server by id. `check`: first check its health and count its sessions."""

    server: Name
    check: bool = False


@frozen
class ServerStop:
    """Stop a server. `editor` is the editor that asks: its own busy state is no obstacle.

    `force` overrides the busy state of other editors.
    """

    server: Name
    editor: Name | None = None
    force: bool = False
    request: Name | None = None


@frozen
class ServerAdopt:
    """Adopt a server that another program started, by its process or a port that it listens on.

    `owner` becomes its owner.
    """

    pid: Pid | None = None
    port: Port | None = None
    kind: Name | None = None
    owner: OwnerClaim | None = None
    request: Name | None = None

    def __post_init__(self) -> None:
        if (self.pid is None) == (self.port is None):
            raise InvalidParams("pid", "give either pid or port")


@frozen
class ServerRestart:
    """Stop a server and start it again, on the same ports if they are free. `editor` and `force` as in `ServerStop`."""

    server: Name
    editor: Name | None = None
    force: bool = False
    request: Name | None = None


@frozen
class ServerRelease:
    """Release a server from an editor, which stays attached and keeps its other servers."""

    server: Name
    editor: Name


@frozen
class ServerHistory:
    """Return how servers have ended: one server, or all that are remembered."""

    server: Name | None = None


@frozen
class EndedServer:
    """The last launch of a server that has ended. `since` and `ended` are wall time in seconds.

    `how` is stopped, restarted, replaced, reaped, exited or failed. `by` is the client that asked for it. `detail` is
    text for people. `exit` is the exit status, the negative number of a signal, or null if unknown.
    """

    id: str
    kind: str
    version: str | None
    project: str | None
    launch: str
    ports: Mapping[str, int]
    url: str | None
    log: str | None
    since: float
    ended: float
    how: str
    exit: int | None
    by: str | None
    detail: str | None


@frozen
class ServerHistoryResult:
    """The ended launches, the latest first. Servers that were started again since are listed too."""

    servers: tuple[EndedServer, ...]
