"""Finds the session of the editor that has the project open, in the server's own list of its sessions."""

from typing import Protocol

from ..client_request import ClientRequest
from ..events_and_actions import NEVER, EditorsExamined, ExamineEditors, ExchangeEnded, Problem
from ..forwarding import UNAUTHORIZED, UNKNOWN_SESSION, Verdict, wanted_pause
from ..local_answers import LocalAnswers
from ..messages.message import Message, parse
from ..messages.replies import request as request_text
from ..outbox import Outbox
from ..server_side import ServerSide
from ..servers import EditorSession, Outcome, Pin, Server
from . import problems
from .session_list import list_request, sessions_in

FRESH_S = 5.0
"""How long a session is used without a new look at the list, after the last sign that the server knows it.

The daemon does not hear of each editor that comes or goes: a plugin of the server's own says nothing to the daemon.
"""

RETURN_S = 45.0
"""How long an editor whose process runs may be without a session, after something has happened, before it counts as
closed. After the restart of a server, editors try again in pauses of up to 16 s."""

UNKNOWN_RETURN_S = 3.0
"""How long after a server has become ready calls wait for an editor that may exist."""

POLL_S = 0.25
"""The pause between two looks at the list, while calls wait for an editor."""

TRIES_MAX = 3
"""How often a list of another shape is read before a call is refused."""

READING_S = 10.0
"""How long one reading of the list may take, with the examination. Then it is closed, and another one begins."""


class ReadingListener(Protocol):
    """The conversation, as `EditorSessions` sees it."""

    def reading_failed(self, verdict: Verdict, server_number: int, session_number: int) -> None:
        """Leave the server or its session, if the verdict on a reading says so."""
        ...


class EditorSessions:
    """The list of the present server, and which of the sessions in it is the one of this project."""

    def __init__(
        self,
        outbox: Outbox,
        local: LocalAnswers,
        server_side: ServerSide,
        listener: ReadingListener,
        prefix: str,
        project: str | None,
    ) -> None:
        self._outbox = outbox
        self._local = local
        self._server_side = server_side
        self._listener = listener
        self._prefix = prefix
        self.project = project
        self._count = 0
        self._server: Server | None = None
        self._reading: _Reading | None = None
        """The reading that has begun and is not examined."""
        self._known: _Reading | None = None
        """The last reading that is examined. None if nothing is known of the present state."""
        self._match: EditorSession | None = None
        """The session of this project in `_known`."""
        self._confirmed_at = 0.0
        """When the server has last shown that it knows the session."""
        self._ready_at = self._happened_at = 0.0
        """When the server became ready; when an editor may have lost its session last, or one may have come."""
        self._failed: _Reading | None = None
        """The last reading, if it has failed."""
        self._pause_s: float | None = None
        """The pause that the server wants before the list is read again, until the pause begins."""
        self._failed_until = 0.0
        """When the list may be read again."""
        self._failures = 0
        self._processes: dict[str, int | None] = {}
        """The sessions in the last list, and the processes of their editors."""
        self._used: EditorSession | None = None
        """The session that was used last, with whichever server."""
        self._attached: frozenset[int] = frozenset()
        """The editors of this project that the daemon knows."""
        self.deadline = NEVER
        """When `find` has something to do for a call that waits."""

    @property
    def has_project(self) -> bool:
        """Return whether this client works for one project. Otherwise calls may be for any editor."""
        return self.project is not None

    def begin_round(self, server: Server | None, now: float) -> None:
        """Note which server is used at present, and forget all about another one.

        Called after each event, before `find` is called for all that waits.
        """
        self.deadline = NEVER
        if self._pause_s is not None:
            self._failed_until, self._pause_s = now + self._pause_s, None
        if self._reading is not None and now >= self._reading.began_at + READING_S:
            self._outbox.abort_exchange(self._reading.exchange)
            self._failed, self._reading = self._reading, None
        if server == self._server:
            return
        self._server, self._match, self._failed, self._failures = server, None, None, 0
        self._failed_until = 0.0
        self._ready_at = self._happened_at = now
        self.forget()

    def note_editors(self, pids: frozenset[int], now: float) -> None:
        """Note that an editor has come or gone. `pids` are the editors of this project that the daemon knows."""
        self._attached = pids
        self._happened_at = now
        self.forget()

    def forget(self) -> None:
        """Look at the list again before the next call: the sessions may be others."""
        self._known = self._reading = None

    def confirm(self, session: EditorSession, now: float) -> None:
        """Note that the server has executed a call in this session."""
        if session == self._match:
            self._confirmed_at = now

    def find(self, request: ClientRequest, pin: Pin, now: float) -> EditorSession | Problem | None:
        """Return the session of this project's editor, or why there is none. Returns None if that is not known yet."""
        if request.first_look is None:
            request.first_look = self._count + 1
        known = self._known
        if known is None:
            return self._look(request.first_look, pin, now)
        if self._match is not None and not request.has_lost_session:
            return self._match if now < self._confirmed_at + FRESH_S else self._look(request.first_look, pin, now)
        if known.number < request.first_look:
            return self._look(request.first_look, pin, now)
        until = min(self._waits_until(known), request.expires_at)
        if now >= until or request.has_lost_session:
            return problems.editor_closed(self.project, known.sessions, has_new_session=self._match is not None)
        self.deadline = min(self.deadline, until)
        if now >= known.began_at + POLL_S:
            return self._look(request.first_look, pin, now)
        self.deadline = min(self.deadline, known.began_at + POLL_S)
        return None

    def find_active(self, request: ClientRequest, pin: Pin, now: float) -> EditorSession | Problem | None:
        """Return the session of this project's editor if it is the active one, or why it is not.

        Returns None if that is not known yet. Each request needs a new look, because any client may choose the editor
        that is active.
        """
        found = self.find(request, pin, now)
        if not isinstance(found, EditorSession) or self._known is None:
            return found
        if self._known.number < (request.first_look or 0):
            return self._look(request.first_look or 0, pin, now)
        return (
            found if found.is_active else problems.editor_not_active(self.project, self._known.sessions, pin.argument)
        )

    def find_process(self, name: str) -> int | None:
        """Return the process of the editor with this session. Returns None if it is not known."""
        return self._processes.get(name)

    def on_examined(self, found: EditorsExamined, now: float) -> None:
        """Choose the session of this project from the list that was read, and use it from now on."""
        reading = self._reading
        if reading is None or reading.number != found.reading:
            # The sessions may be others since.
            return
        ours = [session for session in reading.sessions if session.project in found.projects]
        if self._match is not None and self._match not in ours:
            self._happened_at = now
        reading.running = found.pids
        self._processes = {session.id: session.pid for session in reading.sessions}
        self._reading, self._known, self._match, self._confirmed_at = None, reading, self._choose(ours), now
        self._used = self._match or self._used

    def on_read(self, reading: "_Reading") -> None:
        """Let the shell find out which of the projects in the list is this one, and which editors run."""
        if reading is self._reading:
            self._failures = 0
            used = frozenset() if self._used is None or self._used.pid is None else frozenset({self._used.pid})
            projects = frozenset(session.project for session in reading.sessions)
            self._outbox.add(ExamineEditors(reading.number, projects, self._attached | used))

    def on_failure(self, reading: "_Reading", end: ExchangeEnded) -> None:
        """Read the list again later. If the server has not answered, it may be lost."""
        if reading is not self._reading:
            return
        self._reading, self._failed, self._failed_until = None, reading, reading.began_at + POLL_S
        is_lost = end.outcome in (Outcome.NOT_SENT, Outcome.LOST) or end.status == UNAUTHORIZED
        is_unknown = end.outcome is Outcome.REFUSED and end.status == UNKNOWN_SESSION
        self._pause_s = wanted_pause(end)
        if not is_lost and not is_unknown and self._pause_s is None:
            self._failures += 1
        verdict = Verdict(leave_server=is_lost, drop_session=is_unknown)
        self._listener.reading_failed(verdict, reading.server.number, reading.session_number)

    def _look(self, first: int, pin: Pin, now: float) -> Problem | None:
        """Begin to read the list, if that is not done already. Returns why it cannot be read.

        `first` is the number of the first reading that counts.
        """
        failed = self._failed
        if failed is not None and self._failures >= TRIES_MAX and failed.number >= first:
            return problems.UNREADABLE
        if self._server is None:
            return None
        if self._reading is None and now < self._failed_until:
            self.deadline = min(self.deadline, self._failed_until)
            return None
        reading = self._reading or self._begin(self._server, pin, now)
        self.deadline = min(self.deadline, reading.began_at + READING_S)
        return None

    def _begin(self, server: Server, pin: Pin, now: float) -> "_Reading":
        self._count += 1
        method, params = list_request(pin)
        if self._local.is_modern:
            params["_meta"] = dict(self._local.client_meta)
        message = parse(request_text(f"{self._prefix}-p{self._count}", method, params))
        reading = self._reading = _Reading(self, self._count, server, self._server_side.session.number, pin, now)
        headers = self._server_side.headers_for(message)
        reading.exchange = self._outbox.begin_exchange(server, headers, message.text, reading)
        return reading

    def _choose(self, ours: list[EditorSession]) -> EditorSession | None:
        """Return the session to use, if several editors have the project open.

        The one that was used before, so that no agent changes editors in the middle of its work; else one that the
        daemon knows, because its plugin takes part; else the newest, because servers add sessions at the end.
        """
        used = self._used
        if used is not None:
            same = [each for each in ours if each.id == used.id or (each.pid is not None and each.pid == used.pid)]
            if same:
                return same[-1]
        attached = [session for session in ours if session.pid in self._attached]
        return next(reversed(attached or ours), None)

    def _waits_until(self, known: "_Reading") -> float:
        """Return how long the editor of this project may still come back, or come."""
        return self._happened_at + RETURN_S if known.running else self._ready_at + UNKNOWN_RETURN_S


class _Reading:
    """A reading of the list, and the handler of its exchange."""

    def __init__(
        self, owner: EditorSessions, number: int, server: Server, session_number: int, pin: Pin, now: float
    ) -> None:
        self._owner = owner
        self.number = number
        self._pin = pin
        self.server = server
        self.session_number = session_number
        self.began_at = now
        self.exchange = 0
        self.sessions: tuple[EditorSession, ...] = ()
        self.running: frozenset[int] = frozenset()
        """The editors of this project that had no session and whose processes were running."""
        self.was_answered = self.is_read = False

    def on_message(self, message: Message, session_id: str | None) -> None:  # noqa: ARG002 (as `Handler` has it)
        """Keep the list in the answer."""
        if not message.is_answer or self.was_answered:
            return
        self.was_answered = True
        found = sessions_in(message, self._pin)
        if found is not None:
            self.sessions, self.is_read = found, True
            self._owner.on_read(self)

    def on_end(self, end: ExchangeEnded) -> None:
        """Report that the list was not read."""
        if not self.is_read:
            self._owner.on_failure(self, end)
