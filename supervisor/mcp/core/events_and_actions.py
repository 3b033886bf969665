"""What goes into a conversation (events) and comes out of it (actions), and the values in them."""

from enum import Enum
from typing import Any, NamedTuple

Id = str | int | float

Text = bytes | bytearray
"""A JSON text on one line, without the end of the line. The text is forwarded as it is."""

Headers = tuple[tuple[str, str], ...]


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


class Server(NamedTuple):
    """A server that is ready. Each process of it and each of its addresses has a `number` of its own, from 1 on.

    `name` is the id of the server in the daemon.
    """

    number: int
    version: str | None = None
    name: str = ""


class Outcome(Enum):
    """How an exchange with a server has ended.

    NOT_SENT proves that the server has not received the whole request. LOST proves nothing. REFUSED is an answer of a
    status other than 2xx. INVALID is an answer that is no HTTP, or not of a content type that MCP knows.
    """

    NOT_SENT = "not sent"
    COMPLETE = "complete"
    REFUSED = "refused"
    LOST = "lost"
    INVALID = "invalid"


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
    """`server.ensure` has succeeded: the daemon keeps a server running for this process.

    `ServerReady` came before, and says which server.
    """


class EnsureFailed(NamedTuple):
    """`server.ensure` has failed, or was not called, for the reason in `problem`."""

    problem: Problem


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

    `text` is the body of a refusal; it is empty for every other outcome, and may be cut off.
    """

    exchange: int
    outcome: Outcome
    status: int = 0
    text: Text = b""
    retry_after_s: float | None = None


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


Action = SendToClient | BeginExchange | AbortExchange | FailExchange | EnsureServer | ReleaseServer | WriteCatalogue
