"""The conversation of one client with the servers of one project: events in, actions out.

Pure: no I/O, no clock. The time of each event is handed in, and `deadline` says when `DeadlineReached` is due.
"""

from collections.abc import Iterator

from .calls.editor_sessions import EditorSessions
from .calls.preparation import CallPreparation
from .client_request import GREETING_METHODS, GREETING_WAIT_S, LATE_WAIT_S, LIST_WAIT_S, ClientRequest, RequestTable
from .events_and_actions import (
    Action,
    CallAdmitted,
    CallRefused,
    ClientSentLine,
    ClientSentTooLongLine,
    EditorsChanged,
    EditorsExamined,
    EnsureFailed,
    EnsureProgress,
    EnsureSucceeded,
    Event,
    ExchangeEnded,
    Headers,
    Id,
    Problem,
    ProjectDecided,
    ServerGone,
    ServerLeaving,
    ServerReady,
    ServerSentMessage,
    Text,
)
from .forwarding import Forwarding, Verdict
from .local_answers import LocalAnswers, discovery_refusal, session_refusal
from .messages import modern_rules, replies
from .messages.catalogue import LIST_KEYS, Catalogue
from .messages.message import INVALID_REQUEST, Message, UnusableMessageError, as_id, parse
from .outbox import Outbox
from .project_question import ProjectQuestion
from .server_need import ServerNeed, ServerUse
from .server_side import ServerSide
from .servers import Server
from .streams.response_streams import ResponseStreams
from .streams.subscriptions import LISTEN


class Conversation:
    """All state of one MCP bridge. `receive` takes an event and returns the actions that follow from it."""

    def __init__(
        self,
        kind: str,
        prefix: str,
        catalogue: Catalogue | None,
        now: float,
        *,
        project: str | None = None,
        asks_project: bool = False,
    ) -> None:
        """`prefix` begins all our own ids: no client uses it. `asks_project`: only the client knows the project."""
        self._began = self._now = now
        self._outbox = Outbox()
        self._local = LocalAnswers(kind, catalogue or Catalogue(), self._outbox)
        self._requests = RequestTable(self._outbox)
        self._server_side = ServerSide(self._outbox, self._local, prefix)
        self._need = ServerNeed(self._outbox, now)
        self._server_use = ServerUse(self._need, self._server_side)
        self._sessions = EditorSessions(self._outbox, self._local, self._server_side, self, prefix, project)
        self._calls = CallPreparation(self._outbox, self._requests, self._local, self._server_side, self._sessions)
        self._question = ProjectQuestion(self._outbox, self._requests, self._local, prefix, is_needed=asks_project)
        self._streams = ResponseStreams(self._outbox, self._requests)

    def receive(self, event: Event, now: float) -> Iterator[Action]:
        """Handle an event at this monotonic time. Yields the actions to perform, in order.

        The client gets the answer that is in the event, and the server what it can be sent, before the rest is done.
        """
        self._now = max(now, self._now)
        match event:
            case ClientSentLine(text):
                self._handle_line(text)
            case ClientSentTooLongLine(limit, identifier):
                self._refuse_line(identifier, f"a line is longer than {limit} bytes")
            case ServerSentMessage(exchange, text, session_id):
                self._outbox.deliver_message(exchange, text, session_id)
            case ExchangeEnded():
                self._outbox.deliver_end(event)
            case _:
                # `DeadlineReached` is no more than the time.
                self._handle_daemon_event(event)
        yield from self._outbox.drain()
        self._answer_and_send()
        yield from self._outbox.drain()
        self._do_the_rest()
        yield from self._outbox.drain()

    @property
    def deadline(self) -> float:
        """Return the monotonic time at which `DeadlineReached` is due; infinite if nothing waits."""
        waits = min(self._question.deadline, self._sessions.deadline, self._streams.deadline)
        return min(self._requests.deadline(self._now), self._need.deadline(idle=not self._requests), waits)

    def session_to_end(self) -> tuple[Server, Headers] | None:
        """Return the server and the headers for the request that ends the session. Returns None if there is no session.

        Called when this process ends.
        """
        session = self._server_side.session
        return (session.server, session.headers) if session.server is not None and session.has_id else None

    # --- the client ---

    def _handle_line(self, text: Text) -> None:
        try:
            message = parse(text)
        except UnusableMessageError as problem:
            self._refuse_line(problem.reply_to, str(problem), problem.code)
            return
        if message.is_answer:
            if not self._question.take_answer(message):
                self._server_side.relay.answer_server(message)
        elif message.id is None:
            self._handle_notification(message)
        elif self._is_in_use(message.id):
            self._refuse_line(None, "the id of a request is in use by another one")
        elif (answer := self._local.answer_at_once(message)) is not None:
            self._outbox.send_to_client(answer)
        else:
            self._handle_request(message)

    def _refuse_line(self, identifier: Id | None, reason: str, code: int = INVALID_REQUEST) -> None:
        """Answer a line that is no usable message. An id in use is left out: its request gets its own answer."""
        self._outbox.send_to_client(replies.error(None if self._is_in_use(identifier) else identifier, code, reason))

    def _is_in_use(self, identifier: Id | None) -> bool:
        return identifier is not None and (
            identifier in self._requests or identifier in self._server_side.subscriptions
        )

    def _handle_request(self, message: Message) -> None:
        self._local.learn_client(message)
        message = self._question.take_input(message)
        if self._local.is_modern and message.method == LISTEN:
            self._server_side.subscriptions.add(message)
            return
        request = ClientRequest(message, self._now)
        if request.method == "initialize":
            for other in self._requests.held():
                if other.method == modern_rules.DISCOVER:
                    self._requests.answer(other, discovery_refusal(other))
        if request.method in GREETING_METHODS:
            request.expires_at = max(self._began + GREETING_WAIT_S, self._now + LATE_WAIT_S)
        elif request.method in LIST_KEYS and not self._local.era_catalogue.lists:
            request.expires_at = max(self._began + LIST_WAIT_S, self._now + LATE_WAIT_S)
        self._server_side.remember_setting(message)
        self._requests.add(request)
        self._need.allow_asking()

    def _handle_notification(self, message: Message) -> None:
        if message.method == "notifications/cancelled":
            self._handle_cancellation(message)
            return
        self._question.handle_notification(message, self._now)
        if message.method != "notifications/initialized" and not self._local.is_modern:
            self._server_side.session.send_to_server(message.text)

    def _handle_cancellation(self, message: Message) -> None:
        identifier = as_id(message.params.get("requestId"))
        if identifier is None:
            return
        request = self._requests.remove(identifier)
        if request is None:
            self._server_side.subscriptions.remove(identifier)
        elif request.exchange is not None and self._local.is_modern:
            # In this era the end of the exchange tells the server.
            self._outbox.abort_exchange(request.exchange)
        elif request.exchange is not None:
            self._streams.note_cancelled(request.exchange, self._now)
            self._server_side.session.send_to_server(message.text)

    # --- the daemon ---

    def _handle_daemon_event(self, event: Event) -> None:
        match event:
            case ServerReady() | ServerLeaving() | ServerGone() | EnsureSucceeded() | EnsureProgress():
                self._server_use.handle(event, self._now)
            case EditorsChanged() | EditorsExamined() | CallAdmitted() | CallRefused():
                self._calls.handle(event, self._now)
            case EnsureFailed(problem):
                if self._need.note_ensure_failed(event, self._now):
                    for request in self._requests.waiting_for_server():
                        self._answer_without_server(request, problem)
            case ProjectDecided(has_changed, content, project):
                self._question.note_project()
                if has_changed:
                    self._sessions.project = project
                    self._server_use.stop()
                    self._server_side.use_catalogue(content)

    # --- the server ---

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of the request does no harm."""
        return self._local.may_repeat(request)

    def reading_failed(self, verdict: Verdict, server_number: int, session_number: int) -> None:
        """Judge an exchange in which the server has not listed its editors. Called by `EditorSessions`."""
        self._server_use.leave(verdict, server_number, session_number, self._now)

    def forwarding_ended(self, request: ClientRequest, verdict: Verdict) -> None:
        """Answer the request, or let it wait, as the verdict says. Called by `Forwarding`, once for each exchange."""
        if verdict.closed_stream is not None:
            self._streams.resume_later(request, verdict.closed_stream, self._now)
            return
        self._calls.end(request)
        if not self._requests.has(request):
            return
        verdict = self._calls.judge(request, verdict, self._now)
        if request.method == modern_rules.DISCOVER and (verdict.answer is not None or verdict.problem is not None):
            self._requests.answer(request, self._local.store_discovery(request, verdict.answer, verdict.problem))
            self._server_side.update_catalogue({})
            return
        if verdict.answer is not None:
            self._need.note_answer()
            self._streams.note_answered(request.exchange, self._now)
            self._requests.answer(request, verdict.answer.text)
            return
        self._server_use.leave(verdict, request.server_number, request.session_number, self._now)
        if verdict.read_lists_again:
            self._server_side.read_lists_again()
        if verdict.problem is None:
            request.hold(self._now, verdict.pause_s)
        else:
            self._requests.answer(request, request.error_answer(verdict.problem))

    # --- what follows ---

    def _answer_and_send(self) -> None:
        """Answer and send the requests for which this is possible now. Called after each event."""
        if (refusal := self._server_use.drop_failed_session(self._now)) is not None:
            for request in self._requests.held():
                self._requests.answer(request, session_refusal(request, refusal))
        self._question.close(self._now)
        self._server_side.take_lists()
        self._sessions.begin_round(self._server_side.server, self._now)
        self._streams.advance(self._server_side.session, self._now)
        for request in self._requests.held():
            if not self._question.holds(request, self._now):
                self._answer_or_send(request)

    def _do_the_rest(self) -> None:
        """Do everything else that is possible now. Called after each event."""
        for request in self._requests.all():
            if self._now >= request.expires_at:
                self._answer_without_server(request, request.problem or self._need.problem)
        for request in self._requests.held():
            progress = request.next_progress(self._now, self._need.progress_text)
            if progress is not None:
                self._outbox.send_to_client(progress)
        wanted = any(self._requests.waiting_for_server()) or bool(self._local.lists_answered_empty)
        self._server_side.open_session_and_streams(wanted=wanted or bool(self._requests))
        self._server_side.read_lists(busy=bool(self._requests))
        self._calls.end_abandoned()
        has_server = self._server_side.server is not None
        self._need.ask_or_release(wanted=wanted, idle=not self._requests, has_server=has_server, now=self._now)

    def _answer_or_send(self, request: ClientRequest) -> None:
        """Answer a held request from what is known, or send it, if that is possible now."""
        server = self._server_side.ready_server
        if server is None:
            request.waits_for = request.problem = None
        if server is None or request.method in GREETING_METHODS:
            answer = self._local.answer(request, is_setting=self._server_side.is_setting(request.message))
            if answer is not None:
                self._requests.answer(request, answer)
                return
        if server is not None and self._now >= request.not_before and request.method != "initialize":
            prepared = self._calls.prepare(request, server, self._now)
            if isinstance(prepared, Problem):
                self._requests.answer(request, request.error_answer(prepared))
            elif prepared is not None:
                self._send(request, prepared, server)

    def _send(self, request: ClientRequest, message: Message, server: Server) -> None:
        self._need.note_request_sent(self._now)
        self._server_side.note_request_sent(server)
        session = self._server_side.session
        handler = Forwarding(request, self._server_side.relay, session, self)
        exchange = self._outbox.begin_exchange(server, self._server_side.headers_for(message), message.text, handler)
        request.mark_sent(exchange, server.number, session.number, self._now)
        self._calls.note_sent(request)

    def _answer_without_server(self, request: ClientRequest, problem: Problem) -> None:
        """Answer a request whose time is over, or that no server can answer: by a fallback, or by the problem."""
        if request.exchange is not None:
            self._outbox.abort_exchange(request.exchange)
            problem = Problem("OUTCOME_UNKNOWN", "the server has not answered in time", fault="server")
        self._requests.answer(request, self._local.fallback_answer(request) or request.error_answer(problem))
