"""Prepares calls of tools: names the editor that a call is for, and has the daemon admit the call if its kind asks."""

from typing import NamedTuple

from ..client_request import TOOL_CALL, ClientRequest, RequestTable
from ..events_and_actions import BeginCall, CallAdmitted, CallRefused, EditorsChanged, EditorsExamined, EndCall, Problem
from ..forwarding import LISTS_PAUSE_S, Verdict
from ..local_answers import LocalAnswers
from ..messages.arguments import given_argument, with_argument
from ..messages.message import Message
from ..messages.shown import shown
from ..outbox import Outbox
from ..server_side import ServerSide
from ..servers import EditorSession, Pin, Server
from . import problems
from .editor_sessions import EditorSessions

NO_GATE = "off"

EDITOR_BUSY = "EDITOR_BUSY"

RESOURCE_READ = "resources/read"

ASK_PAUSE_S = 0.5
"""The pause before the daemon is asked again for a call that it could not judge."""


_NOT_ADMITTED = Problem(
    EDITOR_BUSY, "the daemon has not said in time whether other calls run on this editor", retryable=True
)

_NO_TOOLS = Problem("SERVER_NOT_READY", "the server has not listed its tools in time", retryable=True, fault="server")

CallNews = EditorsChanged | EditorsExamined | CallAdmitted | CallRefused


class _NamedCall(NamedTuple):
    """A call that says which editor it is for, if that is necessary."""

    message: Message
    editor_pid: int | None = None


_NO_EDITOR = EditorSession("", "")


class _RunningCall:
    """A call that the daemon knows: from `BeginCall` to `EndCall`."""

    def __init__(self, number: int, server: int, editor_pid: int | None) -> None:
        self.number = number
        self.server = server
        self.editor_pid = editor_pid
        self.is_admitted = self.is_sent = False


class CallPreparation:
    """Prepares calls, and knows the calls that run.

    Every call that has begun is ended exactly once: `end_abandoned` ends, after each event, those that no other method
    has ended.
    """

    def __init__(
        self,
        outbox: Outbox,
        requests: RequestTable,
        local: LocalAnswers,
        server_side: ServerSide,
        sessions: EditorSessions,
    ) -> None:
        self._outbox = outbox
        self._requests = requests
        self._local = local
        self._server_side = server_side
        self._sessions = sessions
        self._count = 0
        self._running: dict[ClientRequest, _RunningCall] = {}
        self._read_for: set[tuple[int, int, str]] = set()
        """The unknown tools for which the lists were read again, with the server and session."""
        self._read_again_at = 0.0
        """When the lists may be read again, after they could not be read."""

    def prepare(self, request: ClientRequest, server: Server, now: float) -> Message | Problem | None:
        """Return the message to send, or why it cannot be sent. Returns None if something else has to happen first."""
        request.waits_for = None
        if request.method == TOOL_CALL:
            return self._prepare_call(request, server, now)
        if request.method != RESOURCE_READ or server.pin is None or not self._reads_editor(request.message, server.pin):
            return request.message
        request.problem = problems.UNREADABLE
        found = self._sessions.find_active(request, server.pin, now)
        return found if found is None or isinstance(found, Problem) else request.message

    def _prepare_call(self, request: ClientRequest, server: Server, now: float) -> Message | Problem | None:
        """Prepare a call of a tool, as `prepare` does."""
        message = request.message
        if not self._needs_tool(server):
            self._begin_unasked(request, server, None)
            return message
        if not self._knows_tool(request, server, now):
            request.waits_for, request.problem = "waiting for the server's list of tools", _NO_TOOLS
            return None
        named = self._name_editor(request, server.pin, now)
        if not isinstance(named, _NamedCall):
            request.waits_for = f"waiting for the editor of {self._sessions.project}"
            request.problem = problems.UNREADABLE
            return named
        pid = named.editor_pid
        if server.gate != NO_GATE and not self._is_read_only(request) and not self._is_admitted(request, server, pid):
            request.waits_for = "waiting for other calls on this editor"
            if request.problem in (None, _NO_TOOLS, problems.UNREADABLE):
                request.problem = _NOT_ADMITTED
            return None
        self._begin_unasked(request, server, pid)
        return named.message

    def _name_editor(self, request: ClientRequest, pin: Pin | None, now: float) -> _NamedCall | Problem | None:
        """Return the call for its editor, or why it cannot be sent. Returns None if the editor is not known yet."""
        message, tool = request.message, request.tool
        if pin is None or tool in pin.exempt or tool == pin.tool:
            return _NamedCall(message)
        if not self._takes_editor(tool, pin):
            # The server sends it to the editor that is active.
            active = self._sessions.find_active(request, pin, now) if self._needs_active(pin) else _NO_EDITOR
            return _NamedCall(message, active.pid) if isinstance(active, EditorSession) else active
        given = given_argument(message, pin.argument)
        if given is not None or not self._sessions.has_project:
            return _NamedCall(message, self._sessions.find_process(given) if isinstance(given, str) else None)
        found = self._sessions.find(request, pin, now)
        if not isinstance(found, EditorSession):
            return found
        request.session = found
        return _NamedCall(with_argument(message, pin.argument, found.id), found.pid)

    def note_sent(self, request: ClientRequest) -> None:
        """Note that a request was sent, which may be a call."""
        if request in self._running:
            self._running[request].is_sent = True

    def end(self, request: ClientRequest) -> None:
        """End the call of this request, if it has begun. It begins again if it is sent again."""
        call = self._running.pop(request, None)
        if call is not None:
            self._outbox.add(EndCall(call.number))

    def end_abandoned(self) -> None:
        """End the calls that will not be sent, and those whose exchange was aborted. Called after each event."""
        server = self._server_side.server
        for request, call in list(self._running.items()):
            if not self._requests.has(request):
                # A server may go on with a call that the client has cancelled, and tells so by the exchange.
                is_over = request.exchange is None or not self._outbox.is_open(request.exchange)
            else:
                is_over = not call.is_sent and (server is None or server.number != call.server)
            if is_over:
                self.end(request)

    def handle(self, event: CallNews, now: float) -> None:
        """Handle what the daemon or the shell says about calls and editors."""
        match event:
            case EditorsChanged(pids):
                self._sessions.note_editors(pids, now)
            case EditorsExamined():
                self._sessions.on_examined(event, now)
            case CallAdmitted(number):
                self._admit(number)
            case CallRefused(number, problem):
                self._refuse(number, problem, now)

    def _admit(self, number: int) -> None:
        """Note that the daemon has admitted a call. Its editor is looked at again, because the call may have waited."""
        for request, call in self._running.items():
            if call.number == number:
                call.is_admitted, request.first_look = True, None

    def _refuse(self, number: int, problem: Problem, now: float) -> None:
        """Answer a call that the daemon has not admitted. Without a verdict of the daemon, it is asked again."""
        request = next((request for request, call in self._running.items() if call.number == number), None)
        if request is None:
            return
        del self._running[request]
        if not self._requests.has(request):
            return
        if problem.code != EDITOR_BUSY and problem.retryable:
            request.hold(now, ASK_PAUSE_S)
            request.problem = problem
        else:
            self._requests.answer(request, request.error_answer(problem))

    def judge(self, request: ClientRequest, verdict: Verdict, now: float) -> Verdict:
        """Return how a request goes on after an exchange, given what the exchange says about its editor's session."""
        session, pin = request.session, None if self._server_side.server is None else self._server_side.server.pin
        if session is None:
            # Another editor may be the active one when the request is sent again.
            request.first_look = None
            return verdict
        request.session = None
        answer = verdict.answer
        if answer is not None and not _is_error_result(answer):
            self._sessions.confirm(session, now)
            return verdict
        self._sessions.forget()
        # Releases of one server write it in different cases: godot-ai 2.4.2 says SESSION_NOT_FOUND.
        unknown = None if pin is None or pin.unknown is None else pin.unknown.lower().encode()
        if answer is None or unknown is None or unknown not in answer.text.lower():
            return verdict
        if self._local.may_repeat(request) and request.times_repeated == 0:
            request.times_repeated += 1
        else:
            # The server need not have found that out before it did anything, so the call is not sent again.
            request.has_lost_session = True
        request.first_look = None
        return Verdict()

    def _needs_tool(self, server: Server) -> bool:
        """Return whether it matters what the called tool is."""
        return server.gate != NO_GATE or (server.pin is not None and self._sessions.has_project)

    def _knows_tool(self, request: ClientRequest, server: Server, now: float) -> bool:
        """Return whether the lists say all there is to know about the called tool. If not, let them be read.

        Without the list, the call might go to the editor of another project, so it waits until the list was read.
        """
        if self._local.era_catalogue.tool(request.tool):
            return True
        key = (server.number, self._server_side.session.number, request.tool)
        if now < self._read_again_at:
            request.not_before = self._read_again_at
        elif key in self._read_for and self._server_side.has_read_tools is not None:
            if self._server_side.has_read_tools:
                return True
            self._read_for.discard(key)
            request.not_before = self._read_again_at = now + LISTS_PAUSE_S
        elif key in self._read_for:
            self._server_side.want_lists()
        elif not self._server_side.is_reading_lists:
            self._read_for.add(key)
            self._server_side.read_lists_again()
            self._server_side.want_lists()
        return False

    def _takes_editor(self, tool: str, pin: Pin) -> bool:
        """Return whether a tool takes the argument that names an editor."""
        schema = self._local.era_catalogue.tool(tool).get("inputSchema")
        properties = schema.get("properties") if isinstance(schema, dict) else None
        return isinstance(properties, dict) and pin.argument in properties

    def _needs_active(self, pin: Pin) -> bool:
        """Return whether what names no editor has to wait until this project's editor is the active one."""
        return pin.active is not None and self._sessions.has_project

    def _reads_editor(self, message: Message, pin: Pin) -> bool:
        """Return whether a resource is read from an editor, which is then the active one."""
        return self._needs_active(pin) and message.params.get("uri") not in (pin.resource, *pin.exempt)

    def _is_read_only(self, request: ClientRequest) -> bool:
        """Return whether the called tool says that it changes nothing."""
        hints = self._local.era_catalogue.tool(request.tool).get("annotations")
        return isinstance(hints, dict) and hints.get("readOnlyHint") is True

    def _is_admitted(self, request: ClientRequest, server: Server, pid: int | None) -> bool:
        """Return whether the daemon has admitted the call for this editor. If it was not asked, it is asked now."""
        call = self._running.get(request)
        if call is not None and (call.server != server.number or call.editor_pid != pid):
            self.end(request)
            call = None
        if call is None:
            self._begin(request, server, pid, needs_admission=True)
        return call is not None and call.is_admitted

    def _begin_unasked(self, request: ClientRequest, server: Server, pid: int | None) -> None:
        """Let a call begin, unless it has."""
        if request not in self._running:
            self._begin(request, server, pid, needs_admission=False)

    def _begin(self, request: ClientRequest, server: Server, pid: int | None, *, needs_admission: bool) -> None:
        self._count += 1
        self._running[request] = _RunningCall(self._count, server.number, pid)
        self._outbox.add(BeginCall(self._count, server.number, shown(request.tool) or "?", pid, needs_admission))


def _is_error_result(answer: Message) -> bool:
    """Return whether an answer to a call says that the call has failed."""
    return answer.is_error or (isinstance(answer.body, dict) and answer.body.get("isError") is True)
