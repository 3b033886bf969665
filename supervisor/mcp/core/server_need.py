"""Decides when the daemon is asked for a server, when a server is used, and when it is released."""

from .events_and_actions import (
    NEVER,
    EnsureFailed,
    EnsureProgress,
    EnsureServer,
    EnsureSucceeded,
    Problem,
    ReleaseServer,
    ServerGone,
    ServerLeaving,
    ServerReady,
)
from .forwarding import Verdict
from .outbox import Outbox
from .server_side import ServerSide
from .servers import Server
from .session import SessionPhase, session_problem

RELEASE_S = 900.0
"""How long a server is kept after the last request."""

ASK_PAUSES_S = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
"""The pauses before `EnsureServer` is emitted again, while requests wait and the server cannot be used. After each
failure the next one is taken."""

STARTING = Problem("SERVER_NOT_READY", "the server is still starting", "Call again in a moment.", retryable=True)


class ServerNeed:
    """What the daemon was asked and has answered, and the time of the last request."""

    def __init__(self, outbox: Outbox, now: float) -> None:
        self._outbox = outbox
        self._is_asked = False
        """Whether `EnsureServer` was emitted and not answered."""
        self._is_kept = False
        """Whether the daemon keeps a server running for this process."""
        self._is_asking_due = False
        """Whether `EnsureServer` has to be emitted at `_retry_at`."""
        self._last_used = now
        self._retry_at = now
        self._failures = 0
        self._is_blocked = False
        """Whether asking again does not help, until a server is ready or the client makes another request."""
        self.problem = STARTING
        """Why a request that waits cannot be served at present."""
        self.progress_text = "waiting for the server"
        """What the daemon does at present, for people."""

    def note_request_sent(self, now: float) -> None:
        """Note that a request was sent to the server."""
        self._last_used = now

    def note_ensure_succeeded(self, now: float) -> None:
        """Note that the daemon keeps a server running for this process, from now on."""
        self._is_asked, self._is_kept, self._last_used = False, True, now

    def note_server_ready(self) -> None:
        """Forget why no server was there. The daemon may be asked again."""
        self.problem, self.progress_text = STARTING, "waiting for the server"
        self._is_blocked = False

    def allow_asking(self) -> None:
        """Let the daemon be asked again after a final refusal, because the client has made another request."""
        self._is_blocked = False

    def note_answer(self) -> None:
        """Begin the pauses between questions anew, because the server has answered."""
        self._failures = 0

    def note_server_lost(self) -> None:
        """Let the daemon be asked again. It starts a server that has ended only if it is asked, or an owner lives."""
        self._is_kept = False

    def ask_again_later(self, now: float, problem: Problem | None = None) -> None:
        """Let the daemon be asked again after a pause, which grows with each failure.

        `problem` answers what waits then.
        """
        self._is_kept = False
        self._retry_at = now + ASK_PAUSES_S[min(self._failures, len(ASK_PAUSES_S) - 1)]
        self._failures += 1
        self.problem = problem or self.problem

    def note_ensure_failed(self, failure: EnsureFailed, now: float) -> bool:
        """Note that the daemon could not provide a server. Returns whether to wait for one no longer.

        The daemon is then asked again when the client makes another request.
        """
        problem = failure.problem
        self._is_asked = self._is_kept = False
        self.ask_again_later(now, problem)
        self._is_blocked = failure.is_lasting or not problem.retryable
        if problem.retry_after_ms is not None:
            self._retry_at = max(self._retry_at, now + min(problem.retry_after_ms / 1000, ASK_PAUSES_S[-1]))
        return self._is_blocked

    def ask_or_release(self, *, wanted: bool, idle: bool, has_server: bool, now: float) -> None:
        """Emit `EnsureServer` or `ReleaseServer` if one of them is due. Called after each event.

        `wanted`: a request waits for a server. `idle`: the client has no unanswered request.
        """
        if self._is_kept and idle and now >= self._last_used + RELEASE_S:
            self._is_kept = False
            self._outbox.add(ReleaseServer())
        wanted = wanted or (has_server and not idle)
        self._is_asking_due = wanted and not self._is_kept and not self._is_asked and not self._is_blocked
        if self._is_asking_due and now >= self._retry_at:
            self._is_asked, self._is_asking_due = True, False
            self._outbox.add(EnsureServer())

    def deadline(self, *, idle: bool) -> float:
        """Return the monotonic time at which `ask_or_release` has something to do."""
        if self._is_asking_due:
            return self._retry_at
        return self._last_used + RELEASE_S if idle and self._is_kept else NEVER


ServerNews = ServerReady | ServerLeaving | ServerGone | EnsureSucceeded | EnsureProgress


class ServerUse:
    """Keeps the state of the present server and the need for another one in step."""

    def __init__(self, need: ServerNeed, server_side: ServerSide) -> None:
        self._need = need
        self._server_side = server_side

    def handle(self, event: ServerNews, now: float) -> None:
        """Use the server that is ready, or no longer the one that leaves or has ended."""
        match event:
            case EnsureSucceeded(server):
                self._use(server)
                self._need.note_ensure_succeeded(now)
            case EnsureProgress(message):
                self._need.progress_text = message
            case ServerReady(server):
                self._use(server)
            case ServerLeaving(number) | ServerGone(number):
                if self._server_side.is_used(number):
                    self.stop()
                self._server_side.end_work_of(number, ended=isinstance(event, ServerGone))

    def _use(self, server: Server) -> None:
        """Send requests to this server from now on."""
        self._need.note_server_ready()
        if self._server_side.server != server:
            self.stop()
            self._server_side.server = server

    def stop(self) -> None:
        """Send nothing more to the server, and let the daemon be asked for another one."""
        self._need.note_server_lost()
        self._server_side.stop_using()

    def leave(self, verdict: Verdict, server_number: int, session_number: int, now: float) -> None:
        """Leave the server or its session, if the verdict on an exchange with them says so.

        Another exchange may have said so before, and there may be a new server or session since.
        """
        if verdict.leave_server and self._server_side.is_used(server_number):
            self.stop()
            self._need.ask_again_later(now)
        elif verdict.drop_session and self._server_side.session.number == session_number:
            self._server_side.drop_session()

    def drop_failed_session(self, now: float) -> dict[str, object] | None:
        """Leave a session that could not be opened, and return the error object with which the server has refused it.

        Returns None if no session has failed, or if the server cannot be reached.
        """
        session = self._server_side.session
        if session.phase is not SessionPhase.FAILED:
            return None
        self._server_side.drop_session()
        if session.refusal is None and session.failure is not None:
            self.stop()
            self._need.ask_again_later(now, session_problem(session.failure))
        return session.refusal
