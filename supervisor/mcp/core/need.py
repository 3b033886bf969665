"""Whether this process needs a server, and what the daemon was asked and has said."""

from .outbox import Outbox
from .values import AskForServer, Problem, ReleaseServer

NEVER = float("inf")

RELEASE_S = 900.0
"""How long a server is kept without a request."""

PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""Between two questions to the daemon, while requests wait and the server cannot be used."""

STARTING = Problem("SERVER_NOT_READY", "the server is still starting", "Call again in a moment.", retryable=True)


class Need:
    """The need for a server: none, asked for, or met."""

    def __init__(self, outbox: Outbox, now: float) -> None:
        self._outbox = outbox
        self._asked = False
        self._is_met = False
        self._is_wanted = False
        self._used = now
        self._retry_at = now
        self._failures = 0
        self._is_blocked = False
        """The daemon has refused, and asking again does not help, until a server is ready or a new request comes."""
        self.reason = STARTING
        """Why a request that still waits cannot be served."""
        self.doing = "waiting for the server"
        """The work of the daemon at present, for people."""

    def used(self, now: float) -> None:
        """Note that a request was sent to the server."""
        self._used = now

    def met(self, now: float) -> None:
        """Note that the daemon keeps the server for us."""
        self._asked, self._is_met, self._used = False, True, now

    def settled(self) -> None:
        """Note that a server is ready."""
        self.reason, self.doing = STARTING, "waiting for the server"
        self._is_blocked = False

    def unblock(self) -> None:
        """Ask the daemon again, because the client has made another request."""
        self._is_blocked = False

    def works(self) -> None:
        """Note that the server has answered."""
        self._failures = 0

    def lost(self) -> None:
        """Note that the server has ended. The daemon starts it again only if it is asked, or still has an owner."""
        self._is_met = False

    def retry(self, now: float, problem: Problem | None = None) -> None:
        """Ask the daemon again, after a pause that grows."""
        self._is_met = False
        self._retry_at = now + PAUSES_S[min(self._failures, len(PAUSES_S) - 1)]
        self._failures += 1
        self.reason = problem or self.reason

    def refused(self, problem: Problem, now: float) -> None:
        """Note that the daemon has no server for us."""
        self._asked = self._is_met = False
        self.retry(now, problem)
        self._is_blocked = not problem.retryable
        if problem.retry_after_ms is not None:
            self._retry_at = max(self._retry_at, now + min(problem.retry_after_ms / 1000, PAUSES_S[-1]))

    def proceed(self, *, wanted: bool, idle: bool, has_server: bool, now: float) -> None:
        """Ask the daemon if a request waits. Release the server if there was no request for a long time."""
        if self._is_met and idle and now >= self._used + RELEASE_S:
            self._is_met = False
            self._outbox.put(ReleaseServer())
        wanted = wanted or (has_server and not idle)
        self._is_wanted = wanted and not self._is_met and not self._asked and not self._is_blocked
        if self._is_wanted and now >= self._retry_at:
            self._asked, self._is_wanted = True, False
            self._outbox.put(AskForServer())

    def deadline(self, *, idle: bool) -> float:
        """Return when `proceed` has something to do."""
        if self._is_wanted:
            return self._retry_at
        return self._used + RELEASE_S if idle and self._is_met else NEVER
