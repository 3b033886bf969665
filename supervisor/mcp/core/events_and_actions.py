"""What goes into a conversation (events) and comes out of it (actions), and the values in them."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from .servers import Outcome, Server

Id = str | int | float

Text = bytes | bytearray
"""A JSON text on one line, without the end of the line. The text is forwarded as it is."""

Headers = tuple[tuple[str, str], ...]

NEVER = float("inf")
"""The deadline of what has none."""


class Problem(NamedTuple):
    """A reason why a request cannot be served, in the fields of the daemon's errors (docs/protocol.md).

    `retryable`: the same request may succeed later.
    """

    code: str
    message: str
    hint: str | None = None
    retryable: bool = False
    fault: str = "environment"
    retry_after_ms: int | None = None
    data: Mapping[str, Any] | None = None
    """More about the problem, for programs: what the error of the daemon has in its `data`."""


# --- events ---


class ClientSentLine(NamedTuple):
    """The client has sent a line, which may be no message."""

    text: Text


class ClientSentTooLongLine(NamedTuple):
    """The client has sent a line of more than `limit` bytes. The line was dropped. `id` is the id in it, if found."""

    limit: int
    id: Id | None = None


class ServerReady(NamedTuple):
    """The daemon says that a server for this project is ready."""

    server: Server


class ServerLeaving(NamedTuple):
    """The server of this number takes no further requests. It may still answer what it has received."""

    number: int


class ServerGone(NamedTuple):
    """The server of this number has ended. Nothing that it has not answered will be answered."""

    number: int


class EnsureSucceeded(NamedTuple):
    """`server.ensure` has succeeded: the daemon keeps this server running for this process, and it is ready.

    One event says both, because the server may be left again between two.
    """

    server: Server


class EnsureFailed(NamedTuple):
    """`server.ensure` has failed, or was not called, for the reason in `problem`.

    `is_lasting`: the reason will hold for longer than a request waits, although asking again later may succeed.
    """

    problem: Problem
    is_lasting: bool = False


class EnsureProgress(NamedTuple):
    """`server.ensure` goes on. `message` says how far it is, for people."""

    message: str


class ServerSentMessage(NamedTuple):
    """A server has sent a message in this exchange. `session` is the session id in the headers of the response."""

    exchange: int
    text: Text
    session: str | None = None


class ExchangeEnded(NamedTuple):
    """An exchange is over.

    `text` is the body of a refusal; it is empty for every other outcome, and may be cut off. `last_event_id` is the id
    of the last event of a stream, if it has ids: the rest of the stream can be asked for. `retry_after_s` is the pause
    that the server wants before.
    """

    exchange: int
    outcome: Outcome
    status: int = 0
    text: Text = b""
    retry_after_s: float | None = None
    last_event_id: str | None = None


class EditorsChanged(NamedTuple):
    """The daemon says that an editor has come or gone, so the sessions of editors may be others.

    `pids` are the processes of the editors that the daemon knows and that have this project open.
    """

    pids: frozenset[int] = frozenset()


class EditorsExamined(NamedTuple):
    """Answers `ExamineEditors`: those of the paths that are this project, and those of the processes that run.

    `reading` is the one of that action.
    """

    reading: int
    projects: frozenset[str]
    pids: frozenset[int]


class CallAdmitted(NamedTuple):
    """The daemon has admitted the call that `BeginCall` has asked for."""

    call: int


class CallRefused(NamedTuple):
    """The daemon has not admitted the call, or could not be asked, for the reason in `problem`.

    The call needs no `EndCall` any more.
    """

    call: int
    problem: Problem


class ProjectDecided(NamedTuple):
    """Follows each `FindProject`. `has_changed`: it is another project. `content` is its catalogue, if it has one."""

    has_changed: bool
    content: Mapping[str, Any] | None = None
    project: str | None = None


class DeadlineReached(NamedTuple):
    """The time that `Conversation.deadline` has named has come."""


Event = (
    ClientSentLine
    | ClientSentTooLongLine
    | ServerReady
    | ServerLeaving
    | ServerGone
    | EnsureSucceeded
    | EnsureFailed
    | EnsureProgress
    | ServerSentMessage
    | ExchangeEnded
    | EditorsChanged
    | EditorsExamined
    | CallAdmitted
    | CallRefused
    | ProjectDecided
    | DeadlineReached
)


# --- actions ---


class SendToClient(NamedTuple):
    """Send a line to the client."""

    text: Text


class BeginExchange(NamedTuple):
    """Begin an exchange: send an HTTP request to the server with this number.

    The code that performs the action adds the bearer. `ExchangeEnded` follows.
    """

    exchange: int
    server: int
    method: str
    headers: Headers
    text: Text = b""


class AbortExchange(NamedTuple):
    """Close an exchange that nothing waits for any more. No event of it follows."""

    exchange: int


class FailExchange(NamedTuple):
    """Close an exchange whose server has ended. `ExchangeEnded` follows, and says whether the request was sent."""

    exchange: int


class EnsureServer(NamedTuple):
    """Call `server.ensure` of the daemon. `EnsureSucceeded` or `EnsureFailed` follows, after any `EnsureProgress`."""


class ReleaseServer(NamedTuple):
    """Call `server.release` of the daemon: this process needs the server no longer. No event follows."""


class WriteCatalogue(NamedTuple):
    """Write the catalogue of a server of this version. No event follows."""

    version: str | None
    content: dict[str, Any]


class FindProject(NamedTuple):
    """Find the project in the folders that these URIs name, and work for it from now on. `ProjectDecided` follows."""

    roots: tuple[str, ...]


class ExamineEditors(NamedTuple):
    """Find out which of these paths are this project, and which of these processes run. `EditorsExamined` follows.

    `reading` is the number of the reading that has found the paths.
    """

    reading: int
    projects: frozenset[str]
    pids: frozenset[int]


class IntroduceClient(NamedTuple):
    """Tell the daemon who the client is: the `clientInfo` that it gives of itself. No event follows."""

    name: str
    version: str
    title: str | None = None


class BeginCall(NamedTuple):
    """A call of a tool begins. Each call has a number of its own, and is sent to the server of this number.

    `needs_admission`: ask the daemon to admit the call (`call.begin`); `CallAdmitted` or `CallRefused` follows.
    Otherwise the call is sent at once, no event follows, and the bridge reports the call when there is time.
    `editor_pid` is the process of the editor that the call is for. None if it is not known. `tool` is for people.
    """

    call: int
    server: int
    tool: str
    editor_pid: int | None = None
    needs_admission: bool = False


class EndCall(NamedTuple):
    """A call that has begun is over, or is not wanted any more although it was not admitted yet. No event follows.

    Follows each `BeginCall` exactly once, unless `CallRefused` came before.
    """

    call: int


Action = (
    SendToClient
    | BeginExchange
    | AbortExchange
    | FailExchange
    | EnsureServer
    | ReleaseServer
    | WriteCatalogue
    | FindProject
    | ExamineEditors
    | IntroduceClient
    | BeginCall
    | EndCall
)
