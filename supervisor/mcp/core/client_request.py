"""The requests of the client that have not been answered."""

from collections.abc import Iterator

from .events_and_actions import NEVER, Id, Problem, Text
from .messages.headers import META_VERSION
from .messages.message import Message
from .messages.replies import progress, request_problem, tool_problem
from .outbox import Outbox
from .servers import EditorSession

HOLD_S = 45.0
"""How long a request waits for a server. The shortest limit of a real client for a tool call is 60 s."""

PROGRESS_S = 10.0
"""The time between two notifications of progress, while a request waits."""

GREETING_WAIT_S = 20.0
"""How long the answer to a greeting waits for a server, from the start of this process. Clients give up after 30 s."""

LIST_WAIT_S = 25.0
"""How long the answer to a list waits for a server, from the start of this process, without a catalogue."""

LATE_WAIT_S = 1.0
"""How long a greeting or a list waits that comes when the time from the start of this process is over."""

ANSWER_WAIT_S = 3600.0
"""How long a server may take to answer. Clients have shorter limits of their own."""

TOOL_CALL = "tools/call"
GREETING_METHODS = ("initialize", "server/discover")


class ClientRequest:
    """A request: held until a server is there (`exchange` is None), or sent in an exchange."""

    def __init__(self, message: Message, now: float) -> None:
        assert message.id is not None  # noqa: S101 (a request has one)
        self.message = message
        self.id: Id = message.id
        self.method = message.method or ""
        self.exchange: int | None = None
        self.server_number = self.session_number = 0
        """The server and the session that the request was sent to last."""
        self.times_sent = 0
        self.times_repeated = 0
        """How often the request was sent again although a server may have received it."""
        self.waits_for_project = False
        """Whether the request waits until the project is known. No server is asked for it before."""
        self.not_before = now
        """When the request may be sent."""
        self.expires_at = now + HOLD_S
        """When the bridge answers the request in place of a server, whether it is held or was sent."""
        self.first_look: int | None = None
        """The number of the first reading of the editors that counts for this request: one that began later."""
        self.session: EditorSession | None = None
        """The session of an editor that the bridge has put into the call that was sent last."""
        self.has_lost_session = False
        """Whether the server did not know that session, and may have executed a part of the call."""
        self.waits_for: str | None = None
        """What the request waits for, for people. None if no server is ready."""
        self.problem: Problem | None = None
        """Why the request could not be sent last. None if no server is ready."""
        token = message.meta.get("progressToken")
        self._token: Id | None = token if isinstance(token, str | int) and not isinstance(token, bool) else None
        self._progress_count = 0
        self.progress_at = now + PROGRESS_S if self._token is not None else NEVER

    @property
    def tool(self) -> str:
        """Return the name of the called tool, or an empty text."""
        name = self.message.params.get("name")
        return name if self.method == TOOL_CALL and isinstance(name, str) else ""

    @property
    def is_held(self) -> bool:
        """Return whether the request waits for a server."""
        return self.exchange is None

    def hold(self, now: float, pause_s: float = 0.0) -> None:
        """Let the request wait for a server again, at least for the pause.

        The time that it may wait does not begin anew.
        """
        self.exchange = None
        self.not_before = now + pause_s
        self.expires_at = min(self.expires_at, now + HOLD_S)

    def mark_sent(self, exchange: int, server: int, session: int, now: float) -> None:
        """Note that the request was sent in this exchange, and give the server its time to answer."""
        self.exchange, self.server_number, self.session_number = exchange, server, session
        self.times_sent += 1
        self.expires_at = now + ANSWER_WAIT_S

    @property
    def deadline(self) -> float:
        """Return when progress or the answer of the bridge is due."""
        return min(self.expires_at, self.progress_at) if self.is_held else self.expires_at

    def next_progress(self, now: float, what: str) -> bytes | None:
        """Return a notification of progress, if one is due, and wait for the next one. Returns None if none is due.

        `what` is said unless it is known what this very request waits for.
        """
        if self._token is None or now < self.progress_at:
            return None
        self.progress_at = now + PROGRESS_S
        self._progress_count += 1
        return progress(self._token, self._progress_count, self.waits_for or what)

    def error_answer(self, problem: Problem) -> bytes:
        """Return the answer that says why the request cannot be served: a tool result for a call, else an error."""
        if self.method == TOOL_CALL:
            return tool_problem(self.id, problem, modern=META_VERSION in self.message.meta)
        return request_problem(self.id, problem)


class RequestTable:
    """Unanswered requests by id, the oldest first."""

    def __init__(self, outbox: Outbox) -> None:
        self._outbox = outbox
        self._requests: dict[Id, ClientRequest] = {}

    def __contains__(self, identifier: object) -> bool:
        """Return whether a request with this id is unanswered."""
        return identifier in self._requests

    def __len__(self) -> int:
        """Return the number of unanswered requests."""
        return len(self._requests)

    def add(self, request: ClientRequest) -> None:
        """Add a request."""
        self._requests[request.id] = request

    def has(self, request: ClientRequest) -> bool:
        """Return whether this very request is unanswered, and not another one with the same id."""
        return self._requests.get(request.id) is request

    def held(self) -> Iterator[ClientRequest]:
        """Yield the requests that wait for a server. Requests may be answered during the iteration."""
        return (request for request in list(self._requests.values()) if request.is_held and self.has(request))

    def waiting_for_server(self) -> Iterator[ClientRequest]:
        """Yield the requests that wait for a server, and not for the project. Compare `held`."""
        return (request for request in self.held() if not request.waits_for_project)

    def all(self) -> list[ClientRequest]:
        """Return all requests."""
        return list(self._requests.values())

    def answer(self, request: ClientRequest, text: Text) -> None:
        """Send the client the answer to a request, and remove the request."""
        del self._requests[request.id]
        self._outbox.send_to_client(text)

    def remove(self, identifier: Id) -> ClientRequest | None:
        """Remove a request, and return it. Returns None if there is none with this id."""
        return self._requests.pop(identifier, None)

    def deadline(self, now: float) -> float:
        """Return when something is due for one of the requests.

        `now` is needed because pauses that are over do not count.
        """
        times = [request.deadline for request in self._requests.values()]
        times += [each.not_before for each in self._requests.values() if each.is_held and each.not_before > now]
        return min(times, default=NEVER)
