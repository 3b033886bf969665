"""The values that go into the conversation (events) and come out of it (actions)."""

from enum import Enum
from typing import Any, NamedTuple

Id = str | int | float

Text = bytes | bytearray
"""A JSON text on one line, without the end of the line. The text is forwarded as it is."""

Headers = tuple[tuple[str, str], ...]


class Problem(NamedTuple):
    """A reason why a request cannot be served. `retryable`: the same request may succeed later."""

    code: str
    message: str
    hint: str | None = None
    retryable: bool = False
    fault: str = "environment"
    retry_after_ms: int | None = None


class Server(NamedTuple):
    """A server that is ready. `number` is another one for each process of it and each of its addresses."""

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


class ClientSaid(NamedTuple):
    """The client has sent a line."""

    text: Text


class ClientSaidTooMuch(NamedTuple):
    """The client has sent a line that is too long. The line was dropped. `id` is the id in it, if that was found."""

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


class NeedMet(NamedTuple):
    """The daemon keeps a server running for this process. `ServerReady` has said which."""


class NeedRefused(NamedTuple):
    """The daemon could not provide a server."""

    problem: Problem


class NeedProgress(NamedTuple):
    """The progress of the daemon in providing a server."""

    message: str


class UpstreamSaid(NamedTuple):
    """A server has sent a message in this exchange. `session` is the session id of the response."""

    exchange: int
    text: Text
    session: str | None = None


class ExchangeEnded(NamedTuple):
    """An exchange is over. `text` is the body of a refusal, at most a few kilobytes of it."""

    exchange: int
    outcome: Outcome
    status: int = 0
    text: Text = b""
    retry_after_s: float | None = None


class TimePassed(NamedTuple):
    """The deadline of the conversation has come."""


Event = (
    ClientSaid
    | ClientSaidTooMuch
    | ServerReady
    | ServerLeaving
    | ServerGone
    | NeedMet
    | NeedRefused
    | NeedProgress
    | UpstreamSaid
    | ExchangeEnded
    | TimePassed
)


# --- actions ---


class SayToClient(NamedTuple):
    """Send a line to the client."""

    text: Text


class Send(NamedTuple):
    """Begin an exchange: send a request to the server with this number. The bearer is added by the performer."""

    exchange: int
    server: int
    method: str
    headers: Headers
    text: Text = b""


class Abort(NamedTuple):
    """End an exchange. No event of it follows."""

    exchange: int


class GiveUp(NamedTuple):
    """End an exchange with a server that has ended. `ExchangeEnded` follows, and says whether the request was sent."""

    exchange: int


class AskForServer(NamedTuple):
    """Ask the daemon for a server. `NeedMet` or `NeedRefused` follows."""


class ReleaseServer(NamedTuple):
    """Tell the daemon that this process needs the server no longer."""


class KeepCatalogue(NamedTuple):
    """Write the catalogue."""

    version: str | None
    content: dict[str, Any]


Action = SayToClient | Send | Abort | GiveUp | AskForServer | ReleaseServer | KeepCatalogue
