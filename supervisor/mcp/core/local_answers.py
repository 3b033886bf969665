"""Answers of the bridge without a server: from the catalogue, or because a client cannot wait any longer."""

from collections.abc import Mapping
from typing import Any

from .client_request import TOOL_CALL, ClientRequest
from .listing import differences
from .messages import replies
from .messages.catalogue import CHANGED, LEGACY, LISTS, MODERN, Catalogue, EraCatalogue, announcing_changes, negotiated
from .messages.headers import META_VERSION
from .messages.message import METHOD_NOT_FOUND, Message

DISCOVER = "server/discover"


class LocalAnswers:
    """The catalogue, and what this client has been told from it."""

    def __init__(self, kind: str, catalogue: Catalogue) -> None:
        self._kind = kind
        self._catalogue = catalogue
        self.era = LEGACY
        self.hello: Mapping[str, Any] = {}
        """The params of the client's `initialize`."""
        self.meta: Mapping[str, Any] = {}
        """The `_meta` of the client's last request in the modern era, without what belongs to that request."""
        self.empty_lists: set[str] = set()
        """The lists that were answered as empty, because no server was there in time."""

    @property
    def is_modern(self) -> bool:
        """Return whether the client speaks the modern era."""
        return self.era == MODERN

    @property
    def known(self) -> EraCatalogue:
        """Return what the server has said in the client's era."""
        return self._catalogue.eras[self.era]

    @property
    def legacy(self) -> EraCatalogue:
        """Return what the server has said in the legacy era."""
        return self._catalogue.eras[LEGACY]

    def heard(self, message: Message) -> None:
        """Learn the client's era, and what it says of itself, from a request."""
        version = message.meta.get(META_VERSION)
        if message.method == DISCOVER or isinstance(version, str):
            self.era = MODERN
            self.meta = {name: value for name, value in message.meta.items() if name.startswith("io.modelcontext")}
        elif message.method == "initialize":
            self.era, self.hello = LEGACY, message.params

    def answer(self, request: ClientRequest, *, is_setting: bool) -> bytes | None:
        """Return the answer to a request, if it can be answered without a server."""
        if request.method == "initialize":
            hello = self.known.hello
            return None if hello is None else replies.result(request.id, self.greeting(hello))
        if request.method == DISCOVER:
            return self._discovered(request)
        if is_setting:
            # A session that is opened later begins with it.
            return replies.result(request.id, {})
        return self._listed(request) if request.method in LISTS else None

    def greeting(self, hello: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer to `initialize` from that of a server."""
        spoken = negotiated(self.hello.get("protocolVersion"), hello.get("protocolVersion"))
        return {**announcing_changes(hello), "protocolVersion": spoken}

    def last_resort(self, request: ClientRequest) -> bytes | None:
        """Return the answer for a client that cannot wait any longer. The lists follow when the server is there."""
        if request.method == "initialize":
            capabilities: dict[str, Any] = {"tools": {}, "prompts": {}, "resources": {}}
            server = {"name": self._kind, "version": ""}
            hello = {"protocolVersion": self.hello.get("protocolVersion"), "serverInfo": server}
            return replies.result(request.id, self.greeting({**hello, "capabilities": capabilities}))
        if request.method == DISCOVER:
            return no_discovery(request)
        if request.method in LISTS:
            self.empty_lists.add(request.method)
            return replies.result(request.id, {LISTS[request.method]: []})
        return None

    def may_repeat(self, request: ClientRequest) -> bool:
        """Return whether a second execution of a request does no harm."""
        return request.method != TOOL_CALL or self.known.may_repeat(request.tool)

    def take_hello(self, hello: dict[str, Any]) -> None:
        """Take what a server says of itself in the modern era. The client may have begun with `initialize` since."""
        self._catalogue.eras[MODERN].hello, self._catalogue.eras[MODERN].refused = hello, False

    def take_refusal(self) -> None:
        """Note that the server does not speak the modern era."""
        self._catalogue.eras[MODERN].refused = True
        self.era = LEGACY

    def take_lists(self, lists: dict[str, list[Any]]) -> list[str]:
        """Take new lists, and return the notifications that say which ones have changed for the client."""
        changed = {CHANGED[name] for name in differences(self.known, lists)}
        changed |= {CHANGED[name] for name in self.empty_lists & lists.keys()}
        self.empty_lists -= lists.keys()
        self.known.lists |= lists
        return sorted(changed)

    def content(self, version: str | None) -> dict[str, Any]:
        """Return the catalogue of a server of this version as JSON."""
        self._catalogue.version = version
        return self._catalogue.to_json()

    def _discovered(self, request: ClientRequest) -> bytes | None:
        modern = self._catalogue.eras[MODERN]
        if modern.refused or not self.is_modern:
            return no_discovery(request)
        return None if modern.hello is None else replies.result(request.id, announcing_changes(modern.hello))

    def _listed(self, request: ClientRequest) -> bytes | None:
        known = self.known
        if known.hello is None or "cursor" in request.message.params:
            return None
        if not known.has(request.method):
            return replies.error(request.id, METHOD_NOT_FOUND, "this server has no such list")
        listed = known.answer_to_list(request.method)
        return None if listed is None else replies.result(request.id, listed)


def no_discovery(request: ClientRequest) -> bytes:
    """Return the answer to `server/discover` that makes clients begin with `initialize`."""
    return replies.error(request.id, METHOD_NOT_FOUND, "this server begins with initialize")
