"""What several verbs have in common. Results say `str` where a newer daemon may know more words than this reader."""

from collections.abc import Mapping
from typing import Annotated

from ...values import frozen
from ..fields import Length, Range

Name = Annotated[str, Length(1, 256)]
Path = Annotated[str, Length(1, 4096)]
Pid = Annotated[int, Range(1, 2**32 - 1)]
Port = Annotated[int, Range(1, 65535)]


@frozen
class ProcessInfo:
    """`started_at` is wall time, seconds."""

    pid: int
    started_at: float | None


@frozen
class OccupantInfo:
    """Who holds a port; null for what the system does not tell. `since` is wall time, seconds."""

    pid: int | None
    command: tuple[str, ...]
    user: str | None
    since: float | None


@frozen
class RelocatedPort:
    """A wanted port that was passed over."""

    port: int
    occupant: OccupantInfo | None
    reason: str


@frozen
class FailureInfo:
    """`exit` is the exit status, a negative signal, or null for unknown."""

    code: str
    message: str
    exit: int | None
    log_tail: tuple[str, ...]


@frozen
class ReapVerdict:
    """Whether a server would be reaped, why, and in how many seconds."""

    verdict: str
    reasons: tuple[str, ...]
    due_in_s: float | None


@frozen
class LeaseInfo:
    """A claim by something that is not an editor."""

    id: str
    server: str
    holder: str
    ttl_s: float
    expires_in_s: float


@frozen
class Owner:
    """An editor attached to a server."""

    editor: str
    pid: int
    liveness: str
    leaving: bool


@frozen
class RecipeChange:
    """A part of a recipe that has changed since a server was launched: version, command, ports or environment.

    `detail` is for people: what it has and what it would get, or the names of variables, never their values.
    """

    part: str
    detail: str


@frozen
class BridgeInfo:
    """A bridge of an AI client. `client` and `client_pid` are the process above it; null: not told."""

    pid: int
    client: str | None
    client_pid: int | None


@frozen
class Server:
    """A supervised process. `since` is wall time, seconds; `sessions` null: cannot tell, or not counted (`check`).

    `until_stopped`: somebody asked for it without an owner. It is started again after a crash, and ends by a stop.
    `relocated` are ports that other processes hold, the first 8 of them; `relocated_more` is the number of the others.
    `version_source` is what has chosen its version: asked, addon, engine or recipe; null where others started it.
    `notes` are what a user should know of it.
    `recipe_changes`: it runs by an older recipe; a restart gets it the new one.
    `by_client`: a bridge of an AI client has started it, from an environment of ours. `bridges`, in the answer to a
    stop or a restart: those that led to it, and may start a server of their own.
    """

    LASTING = 512

    id: str
    kind: str
    version: str | None
    project: str | None
    state: str
    origin: str
    process: ProcessInfo | None
    root_pid: int | None
    ports: Mapping[str, int]
    url: str | None
    connect: tuple[str, ...]
    owners: tuple[Owner, ...]
    sessions: int | None
    leases: tuple[LeaseInfo, ...]
    restarts: int
    since: float
    relocated: tuple[RelocatedPort, ...]
    failure: FailureInfo | None
    reap: ReapVerdict
    log: str | None
    until_stopped: bool = False
    relocated_more: int = 0
    version_source: str | None = None
    version_why: str | None = None
    notes: tuple[str, ...] = ()
    recipe_changes: tuple[RecipeChange, ...] = ()
    by_client: bool = False
    bridges: tuple[BridgeInfo, ...] = ()


@frozen
class EditorInfo:
    """A Godot process and its project. `servers` are ids; `busy` is why it does not want to be disturbed."""

    LASTING = 512

    id: str
    pid: int
    started_at: float | None
    project: str | None
    engine: str | None
    engine_version: str | None
    name: str | None
    liveness: str
    state: str
    busy: str | None
    servers: tuple[str, ...]
