"""Answers that need no server: from the catalogue, or because a client cannot wait any longer."""

from collections.abc import Mapping
from typing import Any

from .client_request import TOOL_CALL, ClientRequest
from .events_and_actions import IntroduceClient, Problem, Text
from .list_reading import changed_lists
from .messages import replies
from .messages.catalogue import (
    CHANGE_NOTIFICATIONS,
    LEGACY,
    LIST_KEYS,
    MODERN,
    Catalogue,
    EraCatalogue,
    negotiate_version,
    with_list_changed,
)
from .messages.headers import META_CLIENT, META_VERSION
from .messages.message import INVALID_REQUEST, METHOD_NOT_FOUND, Message, whole_body
from .messages.modern_rules import DISCOVER, modern_refusal, says_modern
from .messages.shown import shown
from .outbox import Outbox

UNNAMED = "an AI client"
"""The name of a client that does not give one."""


class LocalAnswers:
    """The catalogue, the era of the client, and what the client says of itself."""

    def __init__(self, kind: str, catalogue: Catalogue, outbox: Outbox) -> None:
        self._kind = kind
        self._outbox = outbox
        self._catalogue = catalogue
        self.era = LEGACY
        self.initialize_params: Mapping[str, Any] = {}
        """The params of the client's `initialize`."""
        self.client_meta: Mapping[str, Any] = {}
        """The `_meta` of the client's last request in the modern era, without what belongs to that request."""
        self._introduced: IntroduceClient | None = None
        """What the daemon was told last of the client."""
        self.lists_answered_empty: set[str] = set()
        """The lists that were answered as empty, because no server was there in time."""

    @property
    def is_modern(self) -> bool:
        """Return whether the client speaks the modern era."""
        return self.era == MODERN

    @property
    def era_catalogue(self) -> EraCatalogue:
        """Return what the server has said in the client's era."""
        return self._catalogue.eras[self.era]

    @property
    def legacy_catalogue(self) -> EraCatalogue:
        """Return what the server has said in the legacy era."""
        return self._catalogue.eras[LEGACY]

    def learn_client(self, message: Message) -> None:
        """Learn the client's era, and what the client says of itself, from a request. Called for each one."""
        version = message.meta.get(META_VERSION)
        if message.method == DISCOVER or isinstance(version, str):
            self.era = MODERN
            self.client_meta = {
                name: value for name, value in message.meta.items() if name.startswith("io.modelcontext")
            }
            self._introduce(message.meta.get(META_CLIENT))
        elif message.method == "initialize":
            self.era, self.initialize_params = LEGACY, message.params
            self._introduce(message.params.get("clientInfo"))

    def _introduce(self, info: object) -> None:
        """Let the daemon be told who the client is, unless it was told the same."""
        said: Mapping[str, Any] = info if isinstance(info, dict) else {}
        title = shown(said.get("title")) or None
        found = IntroduceClient(shown(said.get("name")) or UNNAMED, shown(said.get("version")), title)
        if found != self._introduced:
            self._introduced = found
            self._outbox.add(found)

    def answer_at_once(self, message: Message) -> bytes | None:
        """Return the answer to a request that no server has to be asked about. Returns None if one has to be."""
        assert message.id is not None  # noqa: S101 (a request has one)
        spoken = (self._catalogue.eras[MODERN].hello or {}).get("supportedVersions")
        refusal = modern_refusal(message, spoken if isinstance(spoken, list) else None)
        if refusal is not None:
            return refusal
        return replies.result(message.id, {}) if message.method == "ping" else None

    def answer(self, request: ClientRequest, *, is_setting: bool) -> bytes | None:
        """Return the answer to a request. Returns None if only a server can answer."""
        if request.method == "initialize":
            hello = self.era_catalogue.hello
            return None if hello is None else replies.result(request.id, self.initialize_result(hello))
        if request.method == DISCOVER:
            return self._discovery_answer(request)
        if is_setting:
            # A session that is opened later begins with it.
            return replies.result(request.id, {})
        return self._list_answer(request) if request.method in LIST_KEYS else None

    def initialize_result(self, hello: Mapping[str, Any]) -> dict[str, Any]:
        """Return the result of `initialize` for this client. `hello` is what a server has answered."""
        spoken = negotiate_version(self.initialize_params.get("protocolVersion"), hello.get("protocolVersion"))
        return {**with_list_changed(hello), "protocolVersion": spoken}

    def fallback_answer(self, request: ClientRequest) -> bytes | None:
        """Return the answer for a client that cannot wait any longer. Returns None if it has to be an error.

        Lists are answered as empty, and announced as changed when the server is there.
        """
        if request.method == "initialize":
            capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
            server = {"name": self._kind, "version": ""}
            hello = {"protocolVersion": self.initialize_params.get("protocolVersion"), "serverInfo": server}
            return replies.result(request.id, self.initialize_result({**hello, "capabilities": capabilities}))
        if request.method == DISCOVER:
            return discovery_refusal(request)
        if request.method in LIST_KEYS:
            self.lists_answered_empty.add(request.method)
            extra = replies.COMPLETE_LIST if self.is_modern else {}
            return replies.result(request.id, {**extra, LIST_KEYS[request.method]: []})
        return None

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of a request does no harm: it is no call, or the tool says so."""
        return request.method != TOOL_CALL or self.era_catalogue.may_repeat(request.tool)

    def store_discovery(self, request: ClientRequest, answer: Message | None, problem: Problem | None) -> Text:
        """Keep what a server says to `server/discover`, and return the answer for the client.

        A server that answers with an error of another revision, or not at all for a reason of HTTP, does not speak the
        modern era. The client is then one of the legacy era too.
        """
        modern = self._catalogue.eras[MODERN]
        if answer is not None and answer.is_error and says_modern(request.message, answer.body.get("code")):
            return answer.text
        if answer is not None and not answer.is_error and isinstance(hello := whole_body(answer), dict):
            modern.hello, modern.refused = hello, False
            return replies.result(request.id, with_list_changed(hello))
        # A server that has died on the way may speak this era.
        modern.refused = modern.refused or problem is None or problem.code == "SERVER_REFUSED"
        self.era = LEGACY
        return discovery_refusal(request)

    def update_lists(self, lists: dict[str, list[Any]]) -> list[str]:
        """Replace lists of the catalogue, and return the methods of the notifications that announce changes."""
        changed = {CHANGE_NOTIFICATIONS[name] for name in changed_lists(self.era_catalogue, lists)}
        changed |= {CHANGE_NOTIFICATIONS[name] for name in self.lists_answered_empty & lists.keys()}
        self.lists_answered_empty -= lists.keys()
        self.era_catalogue.lists |= lists
        return sorted(changed)

    def use_catalogue(self, other: Catalogue) -> list[str]:
        """Take over another catalogue, and return the methods of the notifications that announce changes."""
        changed = self.update_lists(other.eras[self.era].lists)
        for era, known in self._catalogue.eras.items():
            # Sessions have these objects.
            known.hello, known.refused, known.lists = (
                other.eras[era].hello,
                other.eras[era].refused,
                other.eras[era].lists,
            )
        return changed

    def catalogue_json(self, version: str | None) -> dict[str, Any]:
        """Set the version of the catalogue, and return the catalogue as JSON."""
        self._catalogue.version = version
        return self._catalogue.to_json()

    def _discovery_answer(self, request: ClientRequest) -> bytes | None:
        """Return the answer to `server/discover`. Returns None if the catalogue does not know the modern era."""
        modern = self._catalogue.eras[MODERN]
        if modern.refused or not self.is_modern:
            return discovery_refusal(request)
        return None if modern.hello is None else replies.result(request.id, with_list_changed(modern.hello))

    def _list_answer(self, request: ClientRequest) -> bytes | None:
        """Return the whole list. Returns None for a later page, and for a list that the catalogue does not have."""
        known = self.era_catalogue
        if known.hello is None or "cursor" in request.message.params:
            return None
        if not known.has_list(request.method):
            return replies.error(request.id, METHOD_NOT_FOUND, "this server has no such list")
        listed = known.list_result(request.method)
        return None if listed is None else replies.result(request.id, listed)


def session_refusal(request: ClientRequest, refusal: Mapping[str, Any]) -> bytes:
    """Return the answer to a request that waits for a session, when the server has refused to open one."""
    code, message = refusal.get("code", INVALID_REQUEST), str(refusal.get("message", "refused"))
    if request.method == "initialize":
        return replies.error(request.id, code, message, refusal.get("data"))
    text = f"the server has refused the session: {message}"
    return request.error_answer(Problem("SERVER_REFUSED", text, fault="server"))


def discovery_refusal(request: ClientRequest) -> bytes:
    """Return the answer to `server/discover` that makes clients begin with `initialize`."""
    return replies.error(request.id, METHOD_NOT_FOUND, "this server begins with initialize")
