"""A request of the client that has not been answered."""

from .events_and_actions import Id, Problem
from .messages.message import Message
from .messages.replies import progress, request_problem, tool_problem

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
        token = message.meta.get("progressToken")
        self._token: Id | None = token if isinstance(token, str | int) and not isinstance(token, bool) else None
        self._progress_count = 0
        self.progress_at = now + PROGRESS_S if self._token is not None else float("inf")

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
        """Return a notification of progress, if one is due, and wait for the next one. Returns None if none is due."""
        if self._token is None or now < self.progress_at:
            return None
        self.progress_at = now + PROGRESS_S
        self._progress_count += 1
        return progress(self._token, self._progress_count, what)

    def error_answer(self, problem: Problem) -> bytes:
        """Return the answer that says why the request cannot be served: a tool result for a call, else an error."""
        return tool_problem(self.id, problem) if self.method == TOOL_CALL else request_problem(self.id, problem)
