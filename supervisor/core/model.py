"""The values that all rooms share: processes, editors, servers and ports. They only compute from their own fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from ..values import frozen
from .launches import Bridge, EndedLaunch, RecipeChange, RecipeStamp, ServerFailure, VersionChoice, VersionSource

# The parts of a server record. They are exported here too, so that other rooms import a record and its parts from one
# module.
__all__ = ["Bridge", "EndedLaunch", "RecipeChange", "RecipeStamp", "ServerFailure", "VersionChoice", "VersionSource"]

Ports = Mapping[str, int]


# Not `frozen` like the others, because reading the process table compares it thousands of times.
@dataclass(frozen=True, slots=True, order=True)
class ProcessIdentity:
    """A process. The start token is the kernel's own start time: a pid is reused, the pair of pid and token is not."""

    pid: int
    start_token: str


class Liveness(StrEnum):
    """Whether a process lives. DEAD needs proof. UNKNOWN never permits a kill."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@frozen
class ProcessRow:
    """A line of the system's process table. `session` is the POSIX session id, 0 where there is none.

    `on_terminal`: it has a controlling terminal.
    """

    identity: ProcessIdentity
    parent: int
    session: int
    on_terminal: bool = False


class Topology(StrEnum):
    """Whether editors share one server of a kind or each project has its own."""

    SHARED = "shared"
    PER_EDITOR = "per-editor"


class Origin(StrEnum):
    """How the daemon came to know a server."""

    SPAWNED = "spawned"
    ADOPTED = "adopted"
    DISCOVERED = "discovered"
    EXTERNAL = "external"


class ServerState(StrEnum):
    """The state of a server. `lifecycle` has the moves between them."""

    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@frozen
class Occupation:
    """Why an editor asks that its servers are not disturbed, and for how long: monotonic seconds."""

    reason: str
    since: float
    until: float


@frozen
class ClientName:
    """What an AI client says of itself. Texts for people."""

    name: str
    version: str
    title: str | None = None


@frozen
class Editor:
    """A process that has attached: an editor with its project, or another owner of servers, like a shell.

    `started_at` is wall time, seconds. `client` is the AI client if the process is an MCP bridge, None for all others.
    `occupation` is the latest report of the editor's plugin; it does not outlive the daemon.
    """

    id: str
    process: ProcessIdentity
    project: str | None
    started_at: float | None = None
    engine: str | None = None
    engine_version: str | None = None
    name: str | None = None
    occupation: Occupation | None = None
    client: ClientName | None = None

    def busy(self, now: float) -> Occupation | None:
        """Return the editor's occupation at a monotonic time, None if it is not busy."""
        return self.occupation if self.occupation and now < self.occupation.until else None


@frozen
class Ownership:
    """An owner of a server. `editor` is its id, `process` its process.

    `leaving_since`, monotonic seconds: the owner has detached, and has lingered since then.
    """

    editor: str
    process: ProcessIdentity
    leaving_since: float | None = None

    @property
    def leaving(self) -> bool:
        """Whether the editor has detached."""
        return self.leaving_since is not None


@frozen
class Lease:
    """A claim by a program other than an editor. `expires` is monotonic, seconds."""

    id: str
    holder: str
    ttl_s: float
    expires: float


SHOWN_LENGTH = 500
SHOWN_WORDS = 50
"""The characters and words that people are shown of another program's command line."""


RELOCATED_KEPT = 8
"""How many of the ports that a server could not get are kept in its record. The others are only counted."""


@frozen
class Occupant:
    """The process that holds a port, as far as the system tells. `since` is wall time, seconds."""

    identity: ProcessIdentity | None = None
    command: tuple[str, ...] = ()
    user: str | None = None
    since: float | None = None

    @property
    def pid(self) -> int | None:
        """The pid, for people. Signals use the identity."""
        return self.identity.pid if self.identity else None

    @property
    def brief(self) -> tuple[str, ...]:
        """The beginning of the command line, for people. Dozens of them have to fit into one answer."""
        room, shown = SHOWN_LENGTH, []
        for word in self.command[:SHOWN_WORDS]:
            shown.append(word[:room])
            room -= len(word)
            if room <= 0:
                break
        return tuple(shown)


@frozen
class ListeningSocket:
    """A socket in state LISTEN. `occupant.identity` is None where the system does not tell the process."""

    address: str
    port: int
    occupant: Occupant


class Bind(StrEnum):
    """The result of a trial bind on 127.0.0.1."""

    FREE = "free"
    TAKEN = "taken"
    EXCLUDED = "excluded"
    FAILED = "failed"


@frozen
class PortFact:
    """Everything the system tells about one port. `reason` is the system's own text where the bind was not FREE."""

    port: int
    bind: Bind
    listeners: tuple[ListeningSocket, ...] = ()
    reason: str | None = None


@frozen
class PassedOverPort:
    """A wanted port that was passed over, and why."""

    port: int
    occupant: Occupant | None
    reason: str


@frozen
class ServerRecord:
    """The daemon's record of one server.

    `launch` names one start of the server. `since` is wall time, seconds.
    `process` is the listener. `root` is the process that the daemon started or, for an adopted server, the topmost
    process that belongs to it.
    `generation` counts the changes of its claims: owners and leases.
    `owners_unknown`: the record was rebuilt, so the server may have owners that no record names.
    `until_stopped`: it was requested without an owner, so it runs until it is stopped, also if it has owners.
    `stop_requested`: a user asked to stop it.
    `foreign`: no daemon of this home started it. `other_home` is the home whose launch token it carries, if that is
    another one; such a server is shown and never touched.
    `started_by_bridge`: a bridge of an AI client started it, from this home's private environment.
    `relocated` are the wanted ports that it could not get; `relocated_more` is the number of those left out.
    `connect` is the command line of a bridge for AI clients. `recipe` has the recipe of its launch.
    `chosen` says why it has its version, None if another program started it.
    `bridges` are those that were seen at its stop. `left_behind` describes for people the processes that its stop left
    behind. Both are never written to the registry.
    """

    id: str
    kind: str
    version: str | None
    project: str | None
    state: ServerState
    origin: Origin
    launch: str
    ports: Ports
    since: float
    process: ProcessIdentity | None = None
    root: ProcessIdentity | None = None
    owners: tuple[Ownership, ...] = ()
    leases: tuple[Lease, ...] = ()
    ever_owned: bool = False
    owners_unknown: bool = False
    until_stopped: bool = False
    stop_requested: bool = False
    foreign: bool = False
    other_home: str | None = None
    generation: int = 0
    restarts: int = 0
    relocated: tuple[PassedOverPort, ...] = ()
    relocated_more: int = 0
    failure: ServerFailure | None = None
    log: str | None = None
    url: str | None = None
    connect: tuple[str, ...] = ()
    chosen: VersionChoice | None = None
    recipe: RecipeStamp | None = None
    started_by_bridge: bool = False
    bridges: tuple[Bridge, ...] = ()
    left_behind: tuple[str, ...] = ()

    @property
    def observed_only(self) -> bool:
        """Whether the daemon only found it: no user or program asked this daemon to manage it."""
        return self.origin in (Origin.DISCOVERED, Origin.EXTERNAL)

    def with_(self, **changes: Any) -> Self:
        """Return a copy with these fields changed."""
        return replace(self, **changes)


@frozen
class StickyPorts:
    """The port set that a project had last time."""

    kind: str
    project: str
    ports: Ports


@frozen
class RegistryContents:
    """The contents of the registry: all data that outlives the daemon."""

    editors: Mapping[str, Editor] = field(default_factory=dict)
    servers: Mapping[str, ServerRecord] = field(default_factory=dict)
    sticky: tuple[StickyPorts, ...] = ()
    ended: tuple[EndedLaunch, ...] = ()
