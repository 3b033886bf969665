"""A request of the client that has not been answered."""

from .messages.message import Message
from .messages.replies import progress, request_problem, tool_problem
from .values import Id, Problem

HOLD_S = 45.0
"""How long a request waits for a server. The shortest limit of a real client for a tool call is 60 s."""

PROGRESS_S = 10.0

START_S = 20.0
"""How long the first answer of all waits for a server: clients give up 30 s after they have started this process."""

LIST_S = 25.0

ANSWER_S = 3600.0
"""How long a server may take to answer. Clients have shorter limits of their own."""

TOOL_CALL = "tools/call"
GREETINGS = ("initialize", "server/discover")


class ClientRequest:
    """A request: held until a server is there (`exchange` is None), or sent in an exchange."""

    def __init__(self, message: Message, now: float) -> None:
        assert message.id is not None  # noqa: S101 (a request has one)
        self.message = message
        self.id: Id = message.id
        self.method = message.method or ""
        self.exchange: int | None = None
        self.server_number = self.session_number = 0
        """Where the request was sent to."""
        self.sends = 0
        self.repeats = 0
        """How often the request was sent again although the server may have received it."""
        self.not_before = now
        self.until = now + HOLD_S
        """When the request is answered, held or not."""
        token = message.meta.get("progressToken")
        self._token: Id | None = token if isinstance(token, str | int) and not isinstance(token, bool) else None
        self._told = 0
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
        """Let the request wait for a server again. The time that it may wait does not begin anew."""
        self.exchange = None
        self.not_before = now + pause_s
        self.until = min(self.until, now + HOLD_S)

    def sent(self, exchange: int, server: int, session: int, now: float) -> None:
        """Note where the request was sent."""
        self.exchange, self.server_number, self.session_number = exchange, server, session
        self.sends += 1
        self.until = now + ANSWER_S

    @property
    def deadline(self) -> float:
        """Return when something is due for the request."""
        return min(self.until, self.progress_at) if self.is_held else self.until

    def due_progress(self, now: float, what: str) -> bytes | None:
        """Return the progress that is due. Returns None if none is."""
        if self._token is None or now < self.progress_at:
            return None
        self.progress_at = now + PROGRESS_S
        self._told += 1
        return progress(self._token, self._told, what)

    def refusal(self, problem: Problem) -> bytes:
        """Return the answer that says why the request cannot be served."""
        return tool_problem(self.id, problem) if self.method == TOOL_CALL else request_problem(self.id, problem)
