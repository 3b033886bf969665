"""`status`, `reap`, `ports.explain`, `daemon.reload` and `daemon.shutdown`."""

from ...errors import InvalidParams
from ...values import frozen
from .common import BridgeInfo, EditorInfo, Name, OccupantInfo, Path, Port, RecipeChange, Server

EXPLAINED_PORTS = 256


@frozen
class Status:
    """No params."""


@frozen
class DaemonInfo:
    """`started_at` is wall time, seconds; `notes` are what a user should know of fallbacks in use.

    `config`: the file that the daemon reads its settings from; `logs`, `environments`: its folders of these.
    `variables`: the names of those in its environment that say whether programs may report about their user, and how
    packages are reached; never their values.
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
    """`orphans` are the ids of servers under suspicion. The lists are shortened as in `ServerListResult`."""

    LASTING = 1

    daemon: DaemonInfo
    editors: tuple[EditorInfo, ...]
    servers: tuple[Server, ...]
    orphans: tuple[str, ...]
    left_out: int = 0


@frozen
class Reap:
    """`dry_run`: judge, and leave it at that."""

    dry_run: bool


@frozen
class JudgedServer:
    """A server and what would become of it."""

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
    """The ports of a kind, or these. `project`: what its addon wants counts."""

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
    """Who holds a port, and what `server.ensure` would do about it."""

    port: int
    occupant: OccupantInfo | None
    decision: str
    reason: str


@frozen
class PortsExplainResult:
    """In the order of the ports. For a kind: the version that `server.ensure` would choose, why, and what to know."""

    ports: tuple[ExplainedPort, ...]
    version: str | None = None
    version_why: str | None = None
    notes: tuple[str, ...] = ()


@frozen
class DaemonReload:
    """Read the configuration again."""


@frozen
class OutdatedServer:
    """A server that runs by an older recipe, until it is restarted."""

    server: str
    changes: tuple[RecipeChange, ...]


@frozen
class UnusableKind:
    """A kind whose program cannot be run, and why."""

    kind: str
    reason: str


@frozen
class DaemonReloadResult:
    """`waiting`: the keys that changed and take effect with the daemon's next start. `config`: the file it has read."""

    waiting: tuple[str, ...]
    config: str = ""
    outdated: tuple[OutdatedServer, ...] = ()
    unusable: tuple[UnusableKind, ...] = ()


@frozen
class DaemonShutdown:
    """`servers`: stop these too; otherwise they live on."""

    servers: bool


@frozen
class LeftServer:
    """A server that is not stopped with the others, and why."""

    server: str
    reason: str


@frozen
class DaemonShutdownResult:
    """The daemon is on its way out. Both are empty unless servers were to be stopped.

    `stops`: those that it stops; event `server.gone` or `server.not_stopped` tells of each. `left`: those it leaves.
    `bridges`: of AI clients, that may start a server of their own afterwards.
    """

    stops: tuple[str, ...] = ()
    left: tuple[LeftServer, ...] = ()
    bridges: tuple[BridgeInfo, ...] = ()
