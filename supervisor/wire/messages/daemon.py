"""`status`, `reap`, `ports.explain`, `daemon.reload` and `daemon.shutdown`."""

from ...errors import InvalidParams
from ...values import frozen
from .common import AiClientInfo, BridgeInfo, EditorInfo, Name, OccupantInfo, Path, Port, RecipeChange, Server

EXPLAINED_PORTS = 256


@frozen
class Status:
    """No params."""


@frozen
class DaemonInfo:
    """The daemon. `started_at` is wall time in seconds. `notes` tell a user which fallbacks are in use.

    `config` is the file with the daemon's settings; `logs` and `environments` are its folders.
    `variables` are the names of environment variables that say whether programs may report about their user, and how
    packages are reached. Their values are never sent.
    """

    pid: int
    instance_id: str
    version: str
    started_at: float
    home: str
    event_loop: str
    notes: tuple[str, ...]
    config: str = ""
    logs: str = ""
    environments: str = ""
    variables: tuple[str, ...] = ()


@frozen
class StatusResult:
    """The state of everything. `orphans` are the ids of servers that may be reaped. `clients` are AI clients.

    The lists are shortened as in `ServerListResult`.
    """

    LASTING = 1

    daemon: DaemonInfo
    editors: tuple[EditorInfo, ...]
    servers: tuple[Server, ...]
    orphans: tuple[str, ...]
    left_out: int = 0
    clients: tuple[AiClientInfo, ...] = ()


@frozen
class Reap:
    """Judge every server now, and reap those that no process needs. `dry_run`: only judge."""

    dry_run: bool


@frozen
class JudgedServer:
    """A server and the reaper's verdict."""

    server: str
    verdict: str
    reasons: tuple[str, ...]
    due_in_s: float | None


@frozen
class ReapResult:
    """Every server that was judged."""

    servers: tuple[JudgedServer, ...]


@frozen
class PortsExplain:
    """Explain the ports of a kind, or the given ports. The addon of `project` may decide the version of the kind."""

    kind: Name | None = None
    ports: tuple[Port, ...] | None = None
    project: Path | None = None

    def __post_init__(self) -> None:
        if (self.kind is None) == (self.ports is None):
            raise InvalidParams("kind", "give either kind or ports")
        if self.ports is not None and not 0 < len(self.ports) <= EXPLAINED_PORTS:
            raise InvalidParams("ports", f"expected 1 to {EXPLAINED_PORTS} of them, got {len(self.ports)}")


@frozen
class ExplainedPort:
    """The process that holds a port, and what `server.ensure` would do about it."""

    port: int
    occupant: OccupantInfo | None
    decision: str
    reason: str


@frozen
class PortsExplainResult:
    """The ports in order. For a kind also the version that `server.ensure` would choose, the reason, and notes."""

    ports: tuple[ExplainedPort, ...]
    version: str | None = None
    version_why: str | None = None
    notes: tuple[str, ...] = ()


@frozen
class DaemonReload:
    """Read the configuration again."""


@frozen
class OutdatedServer:
    """A server that was started with an older recipe. A restart applies the new one."""

    server: str
    changes: tuple[RecipeChange, ...]


@frozen
class UnusableKind:
    """A kind whose program cannot be run, and why."""

    kind: str
    reason: str


@frozen
class DaemonReloadResult:
    """`waiting` are the changed keys that take effect at the daemon's next start. `config` is the file it read."""

    waiting: tuple[str, ...]
    config: str = ""
    outdated: tuple[OutdatedServer, ...] = ()
    unusable: tuple[UnusableKind, ...] = ()


@frozen
class DaemonShutdown:
    """End the daemon. `servers`: stop all servers too; otherwise they keep running."""

    servers: bool


@frozen
class LeftServer:
    """A server that is not stopped with the others, and the reason."""

    server: str
    reason: str


@frozen
class DaemonShutdownResult:
    """The daemon is shutting down. All lists are empty unless servers were to be stopped.

    `stops` are the servers that it stops; an event `server.gone` or `server.not_stopped` follows for each.
    `left` are the servers that keep running.
    `bridges` are those of AI clients that may start their own server afterwards.
    """

    stops: tuple[str, ...] = ()
    left: tuple[LeftServer, ...] = ()
    bridges: tuple[BridgeInfo, ...] = ()
