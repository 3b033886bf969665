"""Messages that several methods share. A field of a result is a `str` if a newer daemon may send other values."""

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
    """A process. `started_at` is wall time in seconds, or null if the system does not tell."""

    pid: int
    started_at: float | None


@frozen
class OccupantInfo:
    """The process that holds a port. A field is null if the system does not tell. `since` is wall time in seconds."""

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
    """Why a server has failed. `exit` is the exit status, the negative number of a signal, or null if unknown."""

    code: str
    message: str
    exit: int | None
    log_tail: tuple[str, ...]


@frozen
class ReapVerdict:
    """Whether a server would be reaped, why, and in how many seconds. `verdict` is keep, suspect or reap."""

    verdict: str
    reasons: tuple[str, ...]
    due_in_s: float | None


@frozen
class LeaseInfo:
    """A lease: a client that is not an editor keeps a server. `ttl_s` is its full time, `expires_in_s` what is left."""

    id: str
    server: str
    holder: str
    ttl_s: float
    expires_in_s: float


@frozen
class AiClientName:
    """What an AI client has said of itself."""

    name: str
    version: str
    title: str | None


@frozen
class Owner:
    """An editor or another process that owns a server. `client` is the AI client for which an MCP bridge owns it."""

    editor: str
    pid: int
    liveness: str
    leaving: bool
    client: AiClientName | None = None


@frozen
class ToolCallInfo:
    """A tool call of an AI client. `state` is running or waiting, and `since` the wall time of its begin, in seconds.

    `client` is the id of the client, or null if it has not introduced itself; `name` is for people.
    `gated`: it passes the gate of its server. `editor_pid` and `project` say which editor it reaches, if that is known.
    """

    client: str | None
    name: str
    pid: int | None
    server: str
    tool: str
    state: str
    since: float
    gated: bool
    editor_pid: int | None = None
    project: str | None = None


@frozen
class RecipeChange:
    """A part of a recipe that has changed since a server was launched: version, command, ports or environment.

    `detail` is text for people: the old and the new value, or the names of variables, never their values.
    """

    part: str
    detail: str


@frozen
class BridgeInfo:
    """A bridge of an AI client. `client` and `client_pid` are its parent process, or null if that is unknown."""

    pid: int
    client: str | None
    client_pid: int | None


@frozen
class BearerRecord:
    """Where a server records the bearer that it asks for: a JSON file that only its user may read, and the key."""

    file: str
    key: str


@frozen
class Pin:
    """How a tool call of an AI client names the editor that it is for, as the kind says (`kinds.NAME.pin`).

    `argument` is the argument of tools that names the session of an editor; `exempt` are tools for no editor. `tool`
    with `arguments`, or `resource`, lists the sessions under the key `sessions`. `id`, `project`, `pid` and `active`
    are keys of one session; the last two are null if the list has no such keys. An error result with the text `unknown`
    says that the server does not know the session.
    """

    argument: str
    sessions: str
    id: str
    project: str
    pid: str | None
    active: str | None
    tool: str | None
    arguments: Mapping[str, str]
    resource: str | None
    unknown: str | None
    exempt: tuple[str, ...]


@frozen
class Server:
    """A supervised server. `since` is wall time in seconds.

    `sessions` is null if the server cannot tell, or was not asked (see `check` of `server.get`).
    `until_stopped`: the server was requested without an owner, so it is restarted after a crash and runs until a stop.
    `relocated` are the first 8 wanted ports that other processes hold; `relocated_more` is the number of the others.
    `version_source` is what chose the version: asked, addon, engine or recipe; null if the daemon did not start it.
    `notes` are texts that a user should read.
    `recipe_changes` are what a restart would change, because the server was started with an older recipe.
    `by_client`: a bridge of an AI client has started the server from a private environment of the daemon.
    `bearer` is null if the server asks for no bearer, or has no ports yet. The bearer itself never travels here.
    `gate` is off, serialize or reject: what becomes of a tool call while another one runs on the same editor.
    `pin` is null if tool calls of this kind name no editor.
    `calls` are tool calls that run or wait, the oldest first; `calls_more` is the number of the others.
    `bridges`, in the answer to a stop or a restart, are those that led to the server and may start one themselves.
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
    bearer: BearerRecord | None = None
    gate: str = "off"
    pin: Pin | None = None
    calls: tuple[ToolCallInfo, ...] = ()
    calls_more: int = 0


@frozen
class EditorInfo:
    """A Godot process and its project. `servers` are ids. `busy` is why its servers must not be disturbed now."""

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


@frozen
class AiClientInfo:
    """An AI client, as its MCP bridge has introduced it. `since` is the wall time at which the bridge started.

    `connected`: the bridge has a connection to the daemon. One without may still own servers. `servers` are the ids of
    the servers that it owns. `calls` is the number of its tool calls so far. `running` are those that run or wait, the
    oldest first; `running_more` is the number of the others.
    """

    LASTING = 512

    id: str
    pid: int
    name: str
    version: str
    title: str | None
    project: str | None
    since: float | None
    liveness: str
    connected: bool
    servers: tuple[str, ...]
    calls: int
    running: tuple[ToolCallInfo, ...]
    running_more: int = 0
