"""The nouns of the house: frozen, without behaviour beyond what follows from their own fields."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Self

from ..values import frozen
from .launches import Bridge, Ended, RecipeChange, RecipeStamp

__all__ = ["Bridge", "Ended", "RecipeChange", "RecipeStamp"]

Ports = Mapping[str, int]


# Not `frozen` like all others: a look at the process table compares it thousands of times.
@dataclass(frozen=True, slots=True, order=True)
class ProcessIdentity:
    """A process. The start token is the kernel's own start time: (pid, token) cannot repeat, a pid can."""

    pid: int
    start_token: str


class Liveness(StrEnum):
    """DEAD needs proof. UNKNOWN never kills."""

    ALIVE = "alive"
    DEAD = "dead"
    UNKNOWN = "unknown"


@frozen
class ProcessRow:
    """One line of the system's process table. `session` is the POSIX session id, 0 where there is none.

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
    """How a server came to be known."""

    SPAWNED = "spawned"
    ADOPTED = "adopted"
    DISCOVERED = "discovered"
    EXTERNAL = "external"


class ServerState(StrEnum):
    """See `lifecycle` for the moves between them."""

    STARTING = "starting"
    READY = "ready"
    UNHEALTHY = "unhealthy"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    STOPPED = "stopped"
    FAILED = "failed"


@frozen
class Occupation:
    """Why an editor does not want its servers disturbed, and for how long: monotonic seconds."""

    reason: str
    since: float
    until: float


@frozen
class Editor:
    """A Godot process and the project that is open in it. `started_at` is wall time, seconds.

    `occupation` is what its plugin said last; it does not outlive the daemon.
    """

    id: str
    process: ProcessIdentity
    project: str | None
    started_at: float | None = None
    engine: str | None = None
    engine_version: str | None = None
    name: str | None = None
    occupation: Occupation | None = None

    def busy(self, now: float) -> Occupation | None:
        """What it is busy with at a monotonic time."""
        return self.occupation if self.occupation and now < self.occupation.until else None


@frozen
class Ownership:
    """An editor attached to a server. `leaving_since`: monotonic seconds; it detached, and lingers."""

    editor: str
    process: ProcessIdentity
    leaving_since: float | None = None

    @property
    def leaving(self) -> bool:
        """Whether it has detached."""
        return self.leaving_since is not None


@frozen
class Lease:
    """A claim by something that is not an editor. `expires` is monotonic, seconds."""

    id: str
    holder: str
    ttl_s: float
    expires: float


SHOWN_LENGTH = 500
SHOWN_WORDS = 50
"""Characters and words of a stranger's command line that people are shown."""


RELOCATED_KEPT = 8
"""How many of the ports that a server was kept from are kept in its record. Of the others, their number."""


@frozen
class Occupant:
    """Who holds a port, as far as the system tells. `since` is wall time, seconds."""

    identity: ProcessIdentity | None = None
    command: tuple[str, ...] = ()
    user: str | None = None
    since: float | None = None

    @property
    def pid(self) -> int | None:
        """The pid, for people. Never for signals."""
        return self.identity.pid if self.identity else None

    @property
    def brief(self) -> tuple[str, ...]:
        """The beginning of the command line, for people: dozens of them have to fit into one answer."""
        room, shown = SHOWN_LENGTH, []
        for word in self.command[:SHOWN_WORDS]:
            shown.append(word[:room])
            room -= len(word)
            if room <= 0:
                break
        return tuple(shown)


@frozen
class Listener:
    """A socket in state LISTEN. `occupant.identity` is None where the system does not tell whose it is."""

    address: str
    port: int
    occupant: Occupant


class Bind(StrEnum):
    """What a trial bind on 127.0.0.1 said."""

    FREE = "free"
    TAKEN = "taken"
    EXCLUDED = "excluded"
    FAILED = "failed"


@frozen
class PortFact:
    """Everything the system says of one port. `reason` is its own text where the bind was not FREE."""

    port: int
    bind: Bind
    listeners: tuple[Listener, ...] = ()
    reason: str | None = None


@frozen
class Occupied:
    """A wanted port that was passed over, and why."""

    port: int
    occupant: Occupant | None
    reason: str


@frozen
class Failure:
    """Why a server is not running. `exit` is the exit status, a negative signal, or None for unknown."""

    code: str
    message: str
    exit: int | None = None
    log_tail: tuple[str, ...] = ()


class VersionSource(StrEnum):
    """Who has chosen the version of a server, the strongest last."""

    RECIPE = "recipe"
    ENGINE = "engine"
    ADDON = "addon"
    ASKED = "asked"

    @property
    def rank(self) -> int:
        """Its place in that order."""
        return list(VersionSource).index(self)


@frozen
class Chosen:
    """Why a server has its version. Texts are for people.

    `project` is the project whose addon was read, `engine` the engine version that was known. `passed_over` is why the
    addon's version is not the server's; `beside` is what held the ports where the addon's plugin looks.
    """

    source: VersionSource
    why: str
    project: str | None = None
    engine: str | None = None
    passed_over: str | None = None
    beside: str | None = None


@frozen
class ServerRecord:
    """What the daemon knows and remembers of one server. `since` is wall time, seconds.

    `launch` names one start of it; `process` is the listener, `root` the process that we started (or, adopted, the
    topmost one that is the server's). `connect` is the command line of a bridge for AI clients. `generation` counts the
    changes of its claims (owners and leases). `recipe`: what it was launched by. `owners_unknown`: its row was rebuilt,
    it may have owners that we do not know. `until_stopped`: it was asked for without an owner, so it runs until it is
    stopped, whoever owns it.
    `stop_requested`: a user asked for it to be stopped. `foreign`: no daemon of this home started it. `other_home`: the
    home whose launch token it carries, if that is not ours: then it is shown and never touched. `chosen` is why it has
    its version, None for one that others started. `by_client`: a bridge of an AI client started it, from our
    environment. `bridges`: those seen when it was stopped; never written.
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
    relocated: tuple[Occupied, ...] = ()
    relocated_more: int = 0
    failure: Failure | None = None
    log: str | None = None
    url: str | None = None
    connect: tuple[str, ...] = ()
    chosen: Chosen | None = None
    recipe: RecipeStamp | None = None
    by_client: bool = False
    bridges: tuple[Bridge, ...] = ()

    @property
    def observed_only(self) -> bool:
        """Whether it was merely found: nobody asked this daemon to look after it."""
        return self.origin in (Origin.DISCOVERED, Origin.EXTERNAL)

    def with_(self, **changes: Any) -> Self:
        """A copy with these fields changed."""
        return replace(self, **changes)


@frozen
class StickyPorts:
    """The set that a project had last time."""

    kind: str
    project: str
    ports: Ports


@frozen
class State:
    """All that outlives the daemon."""

    editors: Mapping[str, Editor] = field(default_factory=dict)
    servers: Mapping[str, ServerRecord] = field(default_factory=dict)
    sticky: tuple[StickyPorts, ...] = ()
    ended: tuple[Ended, ...] = ()
