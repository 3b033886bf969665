"""The verbs of servers. One server is answered as `common.Server`."""

from collections.abc import Mapping

from ...errors import InvalidParams
from ...values import frozen
from .common import Name, Path, Pid, Port, Server


@frozen
class OwnerClaim:
    """A process to attach as owner, where no editor was attached before."""

    pid: Pid
    start_token: Name | None = None
    project: Path | None = None


@frozen
class ServerEnsure:
    """For an attached editor, for an owner, or for neither."""

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
            raise InvalidParams("owner", "stands beside editor; give one of them")


@frozen
class ServerList:
    """No params."""


@frozen
class ServerListResult:
    """Every server that is known. `left_out`: how many more there are than fit into a frame; `server.get` has each.

    Where many have failed, the later ones are listed without their `log_tail`: `server.get` has that as well.
    """

    servers: tuple[Server, ...]
    left_out: int = 0


@frozen
class ServerGet:
    """One server, by id. `check`: ask it first whether it is well, and count its sessions."""

    server: Name
    check: bool = False


@frozen
class ServerStop:
    """`editor` asks for itself: its own busy state is no obstacle. `force` overrides that of others."""

    server: Name
    editor: Name | None = None
    force: bool = False
    request: Name | None = None


@frozen
class ServerAdopt:
    """A server that somebody else started: its process, or a port that it listens on. `owner` is to keep it."""

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
    """Stop and start again, on the same ports if they are free. `editor` and `force` as in `ServerStop`."""

    server: Name
    editor: Name | None = None
    force: bool = False
    request: Name | None = None


@frozen
class ServerRelease:
    """An editor no longer owns a server. It stays attached, and owns its others."""

    server: Name
    editor: Name


@frozen
class ServerHistory:
    """How servers have ended: one of them, or all that are remembered."""

    server: Name | None = None


@frozen
class EndedServer:
    """The last launch of a server that has ended. `since` and `ended` are wall time, seconds.

    `how` is stopped, restarted, replaced, reaped, exited or failed; `by` asked for it. `detail` is for people.
    `exit` is the exit status, a negative signal, or null for unknown.
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
    """The latest first. A server that was started again since is in the list, too."""

    servers: tuple[EndedServer, ...]
