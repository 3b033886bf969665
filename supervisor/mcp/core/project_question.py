"""Asks the client which folders it works in (`roots/list`), if nothing else tells the project of the bridge."""

from typing import Any

from .client_request import GREETING_METHODS, ClientRequest, RequestTable
from .events_and_actions import NEVER, FindProject, Id
from .local_answers import LocalAnswers
from .messages import replies
from .messages.headers import META_CAPABILITIES
from .messages.message import Message, UnusableMessageError, encode, parse, whole_message
from .outbox import Outbox

ROOTS_WAIT_S = 2.0
"""How long requests wait for the client's answer. Without one, the bridge works without a project."""

ROOTS_MAX = 100
"""How many roots are looked at."""

ROOTS_CHANGED = "notifications/roots/list_changed"
INITIALIZED = "notifications/initialized"

INPUT_METHODS = frozenset({"tools/call", "prompts/get", "resources/read"})
"""Requests of the modern era that may be answered by a question, which the client answers by a second request."""


class ProjectQuestion:
    """The question, and the requests that wait for its answer.

    In the legacy era it is a request to the client. In the modern era, which has no such requests, it is the answer to
    the first request that may be answered by a question (`input_required`).
    """

    def __init__(
        self, outbox: Outbox, requests: RequestTable, local: LocalAnswers, prefix: str, *, is_needed: bool
    ) -> None:
        """`is_needed`: nothing else tells the project."""
        self._outbox = outbox
        self._requests = requests
        self._local = local
        self._id_prefix = f"{prefix}-roots"
        self._is_needed = is_needed
        self._is_open = is_needed
        """Whether requests wait for the project."""
        self._asked: Id | None = None
        """The id of the last question, which an answer has to repeat. None if there is none, or it was answered."""
        self._count = 0
        self.deadline = NEVER
        """When requests wait no longer."""

    def handle_notification(self, message: Message, now: float) -> None:
        """Ask a client of the legacy era when its session has begun, and again when its roots have changed."""
        if not self._is_needed or self._local.is_modern or not _has_roots(self._local.initialize_params):
            return
        if message.method == ROOTS_CHANGED or (message.method == INITIALIZED and self._count == 0):
            self._asked = self._next_id()
            self._outbox.send_to_client(replies.request(self._asked, "roots/list"))
            if self._is_open:
                self.deadline = now + ROOTS_WAIT_S

    def take_answer(self, message: Message) -> bool:
        """Handle an answer of the client if it belongs to the last question. Returns whether it does."""
        if self._asked is None or message.id != self._asked:
            return False
        self._find_project(None if message.is_error else message.body)
        return True

    def take_input(self, message: Message) -> Message:
        """Return a request without the answer to our question, which is handled if the request has it."""
        state = message.params.get("requestState")
        if not isinstance(state, str) or not state.startswith(self._id_prefix):
            return message
        if state == self._asked:
            responses = message.params.get("inputResponses")
            self._find_project(responses.get(state) if isinstance(responses, dict) else None)
        # A client may send a request with the answer twice. The server knows nothing of it.
        return _without_input(message)

    def holds(self, request: ClientRequest, now: float) -> bool:
        """Return whether a request has to wait for the project, or was answered by the question just now."""
        request.waits_for_project = self._is_open and self._concerns(request) and self._waits(now)
        if request.waits_for_project and self._local.is_modern and self._count == 0:
            self._asked = self._next_id()
            asked = {self._asked: {"method": "roots/list"}}
            answer = {"resultType": "input_required", "inputRequests": asked, "requestState": self._asked}
            self._requests.answer(request, replies.result(request.id, answer))
        return request.waits_for_project

    def close(self, now: float) -> None:
        """Let requests wait no longer if their time is over. Called after each event."""
        if now >= self.deadline:
            self.note_project()

    def note_project(self) -> None:
        """Let requests wait no longer, because the project is known now."""
        self._is_open, self.deadline = False, NEVER

    def _concerns(self, request: ClientRequest) -> bool:
        """Return whether a request may wait for the project: the client can be asked, and does not wait itself."""
        if self._local.is_modern:
            declared = request.message.meta.get(META_CAPABILITIES)
            return request.method in INPUT_METHODS and _has_roots({"capabilities": declared})
        return request.method not in GREETING_METHODS and _has_roots(self._local.initialize_params)

    def _waits(self, now: float) -> bool:
        """Return whether there is time left for the answer. The time begins with the first request that waits."""
        if self.deadline == NEVER:
            self.deadline = now + ROOTS_WAIT_S
        return now < self.deadline

    def _next_id(self) -> str:
        self._count += 1
        return f"{self._id_prefix}{self._count}"

    def _find_project(self, result: Any) -> None:
        """Have the project looked for in the roots of a result. Anything else has none."""
        self._asked = None
        roots = result.get("roots") if isinstance(result, dict) else None
        found = [root.get("uri") for root in roots if isinstance(root, dict)] if isinstance(roots, list) else []
        self._outbox.add(FindProject(tuple(uri for uri in found[:ROOTS_MAX] if isinstance(uri, str))))


def _has_roots(hello: Any) -> bool:
    """Return whether a client declares that it can be asked for its roots."""
    capabilities = hello.get("capabilities")
    return isinstance(capabilities, dict) and isinstance(capabilities.get("roots"), dict)


def _without_input(message: Message) -> Message:
    """Return a request without `inputResponses` and `requestState`. Its text is written anew."""
    members = whole_message(message)
    if members is None:
        return message
    members["params"].pop("inputResponses", None)
    members["params"].pop("requestState", None)
    try:
        return parse(encode(members))
    except (UnusableMessageError, ValueError):
        return message
