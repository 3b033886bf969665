"""The conversation of one client with the servers of one project: events in, actions out.

Pure: no I/O, no clock. The time of each event is handed in, and `deadline` says when `TimePassed` is due.
"""

from collections.abc import Mapping
from typing import Any

from .client_request import GREETINGS, LIST_S, START_S, ClientRequest
from .forwarding import Forwarding, Verdict
from .local_answers import DISCOVER, LocalAnswers, no_discovery
from .messages import replies
from .messages.catalogue import LISTS, Catalogue
from .messages.message import INVALID_REQUEST, Message, UnusableMessageError, parse
from .need import Need
from .outbox import Outbox
from .request_table import RequestTable
from .server_side import ServerSide
from .session import Phase, explained
from .subscriptions import LISTEN
from .values import (
    Action,
    ClientSaid,
    ClientSaidTooMuch,
    Event,
    ExchangeEnded,
    Headers,
    Id,
    NeedMet,
    NeedProgress,
    NeedRefused,
    Problem,
    Server,
    ServerGone,
    ServerLeaving,
    ServerReady,
    Text,
    TimePassed,
    UpstreamSaid,
)


class Conversation:
    """All state of one bridge. `receive` takes an event and returns the actions that follow from it."""

    def __init__(self, kind: str, prefix: str, catalogue: Catalogue | None, now: float) -> None:
        """`prefix` begins the ids of our own requests: a text that no client uses."""
        self._began = self._now = now
        self._outbox = Outbox()
        self._local = LocalAnswers(kind, catalogue or Catalogue())
        self._requests = RequestTable(self._outbox)
        self._side = ServerSide(self._outbox, self._local, prefix)
        self._need = Need(self._outbox, now)

    def receive(self, event: Event, now: float) -> list[Action]:
        """Take an event at a monotonic time, and return what is to be done."""
        self._now = max(now, self._now)
        match event:
            case ClientSaid(text):
                self._from_client(text)
            case ClientSaidTooMuch(limit, identifier):
                identifier = None if identifier in self._requests else identifier
                self._outbox.say(replies.error(identifier, INVALID_REQUEST, f"a line is longer than {limit} bytes"))
            case UpstreamSaid(exchange, text, session):
                self._from_server(exchange, text, session)
            case ExchangeEnded(exchange):
                handler = self._outbox.close(exchange)
                if handler is not None:
                    handler.ended(event)
            case TimePassed():
                pass
            case _:
                self._from_daemon(event)
        self._proceed()
        return self._outbox.take()

    @property
    def deadline(self) -> float:
        """Return the monotonic time at which `TimePassed` is due; infinite if nothing waits."""
        return min(self._requests.deadline(self._now), self._need.deadline(idle=not self._requests))

    def goodbye(self) -> tuple[Server, Headers] | None:
        """Return the server and the headers of the session that ends with this process. Returns None without one."""
        session = self._side.session
        return (session.server, session.headers) if session.server is not None and session.has_id else None

    # --- the client ---

    def _from_client(self, text: Text) -> None:
        try:
            message = parse(text)
        except UnusableMessageError as problem:
            identifier = None if problem.id in self._requests else problem.id
            self._outbox.say(replies.error(identifier, problem.code, str(problem)))
            return
        if message.is_answer:
            self._side.relay.answer(message)
        elif message.id is None:
            self._notified(message)
        elif message.id in self._requests or message.id in self._side.subscriptions:
            self._outbox.say(replies.error(None, INVALID_REQUEST, "the id of a request is in use by another one"))
        elif message.method == "ping":
            self._outbox.say(replies.result(message.id, {}))
        else:
            self._requested(message, message.id)

    def _requested(self, message: Message, identifier: Id) -> None:
        self._local.heard(message)
        if self._local.is_modern and message.method == LISTEN:
            self._side.subscriptions.add(message)
            return
        request = ClientRequest(message, self._now)
        if request.method == "initialize":
            for other in self._requests.held():
                if other.method == DISCOVER:
                    self._requests.answer(other, no_discovery(other))
        if request.method in GREETINGS:
            request.until = max(self._began + START_S, self._now + 1.0)
        elif request.method in LISTS and not self._local.known.lists:
            request.until = max(self._began + LIST_S, self._now + 1.0)
        self._side.remember(message)
        assert request.id == identifier  # noqa: S101 (the table finds it by this id)
        self._requests.add(request)
        self._need.unblock()

    def _notified(self, message: Message) -> None:
        if message.method == "notifications/cancelled":
            self._cancelled(message)
        elif message.method != "notifications/initialized" and not self._local.is_modern:
            self._side.session.tell(message.text)

    def _cancelled(self, message: Message) -> None:
        identifier = message.params.get("requestId")
        request = self._requests.take(identifier)
        if request is None:
            if isinstance(identifier, str | int | float):
                self._side.subscriptions.remove(identifier)
        elif request.exchange is not None and self._local.is_modern:
            # In this era the end of the exchange tells the server.
            self._outbox.abort(request.exchange)
        elif request.exchange is not None:
            self._side.session.tell(message.text)

    # --- the daemon ---

    def _from_daemon(self, event: Event) -> None:
        match event:
            case ServerReady() | ServerLeaving() | ServerGone():
                self._server_changed(event)
            case NeedMet():
                self._need.met(self._now)
            case NeedProgress(message):
                self._need.doing = message
            case NeedRefused(problem):
                self._need.refused(problem, self._now)
                if not problem.retryable:
                    for request in self._requests.held():
                        self._give_up(request, problem)

    def _server_changed(self, event: ServerReady | ServerLeaving | ServerGone) -> None:
        match event:
            case ServerReady(server):
                self._need.settled()
                if self._side.server != server:
                    self._leave()
                    self._side.server = server
            case ServerLeaving(number) | ServerGone(number):
                if self._side.is_used(number):
                    self._leave()
                self._side.lose(number, ended=isinstance(event, ServerGone))

    def _leave(self) -> None:
        """Use the server no longer."""
        self._need.lost()
        self._side.leave()

    # --- the server ---

    def _from_server(self, exchange: int, text: Text, session: str | None) -> None:
        handler = self._outbox.handler(exchange)
        if handler is None:
            return
        try:
            message = parse(text)
        except UnusableMessageError:
            # The exchange will end without an answer, and that is judged then.
            return
        handler.said(message, session)

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of the request does no harm."""
        return self._local.may_repeat(request)

    def finished(self, request: ClientRequest, answer: Message | None, verdict: Verdict) -> None:
        """Take the end of an exchange with a request: its answer, or what is known of its fate."""
        if not self._requests.has(request):
            return
        if request.method == DISCOVER and (answer is not None or verdict.problem is not None):
            self._discovered(request, answer)
            return
        if answer is not None:
            self._need.works()
            self._requests.answer(request, answer.text)
            return
        # Another request may have found out before, and there may be a new server or session since.
        if verdict.leave_server and self._side.is_used(request.server_number):
            self._leave()
            self._need.retry(self._now)
        elif verdict.drop_session and self._side.session.number == request.session_number:
            self._side.drop_session()
        if verdict.list_again:
            self._side.list_again()
        if verdict.problem is None:
            request.hold(self._now, verdict.pause_s)
        else:
            self._requests.answer(request, request.refusal(verdict.problem))

    def _discovered(self, request: ClientRequest, answer: Message | None) -> None:
        """Take what the server says of the modern era. Anything but a success means that it does not speak it."""
        if answer is not None and not answer.is_error and isinstance(answer.body, dict):
            self._local.take_hello(answer.body)
        else:
            self._local.take_refusal()
        # From now on the request can be answered from the catalogue.
        request.hold(self._now)
        self._side.keep({})

    # --- what follows ---

    def _proceed(self) -> None:
        """Do everything that is possible now."""
        self._look_at_session()
        for request in self._requests.held():
            self._serve(request)
        for request in self._requests.all():
            if self._now >= request.until:
                self._give_up(request, self._need.reason)
        for request in self._requests.held():
            said = request.due_progress(self._now, self._need.doing)
            if said is not None:
                self._outbox.say(said)
        wanted = any(self._requests.held()) or bool(self._local.empty_lists)
        self._side.open(wanted=wanted or bool(self._requests))
        self._side.read_lists(busy=bool(self._requests))
        has_server = self._side.server is not None
        self._need.proceed(wanted=wanted, idle=not self._requests, has_server=has_server, now=self._now)

    def _look_at_session(self) -> None:
        session = self._side.session
        if session.phase is Phase.FAILED:
            self._side.drop_session()
            if session.refusal is not None:
                self._refuse_session(session.refusal)
            elif session.failure is not None:
                self._leave()
                self._need.retry(self._now, explained(session.failure))

    def _refuse_session(self, refusal: Mapping[str, Any]) -> None:
        """Answer what waits for a session with the reason why the server has refused to open one."""
        code, message = refusal.get("code", INVALID_REQUEST), str(refusal.get("message", "refused"))
        problem = Problem("SERVER_REFUSED", f"the server has refused the session: {message}", fault="server")
        for request in self._requests.held():
            if request.method == "initialize":
                self._requests.answer(request, replies.error(request.id, code, message, refusal.get("data")))
            else:
                self._requests.answer(request, request.refusal(problem))

    def _serve(self, request: ClientRequest) -> None:
        """Answer a held request from what is known, or send it, if that is possible now."""
        server = self._side.ready_server
        if server is None or request.method in GREETINGS:
            known = self._local.answer(request, is_setting=self._side.is_setting(request.message))
            if known is not None:
                self._requests.answer(request, known)
                return
        if server is not None and self._now >= request.not_before and request.method != "initialize":
            self._need.used(self._now)
            self._side.is_served(server)
            exchange = Forwarding(request, self._side.relay, self._side.session, self)
            sent = self._outbox.send(server, self._side.headers(request.message), request.message.text, exchange)
            request.sent(sent, server.number, self._side.session.number, self._now)

    def _give_up(self, request: ClientRequest, problem: Problem) -> None:
        """Answer a request that no server will answer in time."""
        if request.exchange is not None:
            self._outbox.abort(request.exchange)
            problem = Problem("OUTCOME_UNKNOWN", "the server has not answered in time", fault="server")
        self._requests.answer(request, self._local.last_resort(request) or request.refusal(problem))
