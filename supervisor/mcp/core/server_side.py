"""The server that a conversation uses at present: its session, its lists, and what it asks the client."""

from typing import Any

from .listing import Listing
from .local_answers import LocalAnswers
from .messages import headers, replies
from .messages.message import Message
from .outbox import Outbox
from .relay import Relay
from .session import LegacySession, Phase
from .subscriptions import Subscriptions
from .values import GiveUp, Headers, KeepCatalogue, Server, Text

SETTINGS = ("logging/setLevel", "resources/subscribe")
"""Requests of the legacy era that set something in the session."""


class ServerSide:
    """The state that is bound to one server, and the settings and subscriptions that the next one gets."""

    def __init__(self, outbox: Outbox, local: LocalAnswers, prefix: str) -> None:
        self._outbox = outbox
        self._local = local
        self._prefix = prefix
        self._sessions = 0
        self._settings: dict[str, Text] = {}
        self._listing: Listing | None = None
        """The reading of the server's lists, one for each session or server."""
        self._served = 0
        """The number of the server that was sent a request last."""
        self.relay = Relay(outbox, prefix)
        self.subscriptions = Subscriptions(outbox)
        self.server: Server | None = None
        self.session = self._new_session()

    @property
    def ready_server(self) -> Server | None:
        """Return the server if requests can be sent to it. Returns None otherwise."""
        return self.server if self._local.is_modern or self.session.phase is Phase.READY else None

    def is_used(self, number: int) -> bool:
        """Return whether the server of this number is the one that is used."""
        return self.server is not None and self.server.number == number

    def leave(self) -> None:
        """Use the server no longer. The server may still answer what it has received, but ask nothing any more."""
        if self.server is not None:
            self.relay.server_ended(self.server.number)
        self.server = None
        self.drop_session()

    def lose(self, number: int, *, ended: bool) -> None:
        """Cancel at the client what a server had asked. `ended`: end all exchanges with that server too."""
        for exchange in self._outbox.exchanges_with(number) if ended else ():
            self._outbox.put(GiveUp(exchange))
        self.relay.server_ended(number)

    def drop_session(self) -> None:
        """Forget the session, and cancel at the client what it had asked."""
        self._listing = None
        if self.session.phase is not Phase.NONE:
            self.relay.session_ended(self.session)
            self.session = self._new_session()

    def is_setting(self, message: Message) -> bool:
        """Return whether a request sets something in the session."""
        return not self._local.is_modern and message.method in SETTINGS

    def remember(self, message: Message) -> None:
        """Remember what a request sets in the session, for the sessions that follow."""
        if self.is_setting(message):
            self._settings[_subject(message)] = message.text
        elif message.method == "resources/unsubscribe":
            self._settings.pop(_subject(message), None)

    def headers(self, message: Message) -> Headers:
        """Return the headers of a request to the server."""
        if not self._local.is_modern:
            return self.session.headers
        name = message.params.get("name")
        return headers.modern(message, self._local.known.tool(name) if isinstance(name, str) else {})

    def is_served(self, server: Server) -> None:
        """Note that a request was sent to the server."""
        self._served = server.number

    def open(self, *, wanted: bool) -> None:
        """Open a session at the server if a request waits for it, and the client's subscriptions."""
        if self.server is None:
            return
        if self._local.is_modern:
            self.subscriptions.open(self.server)
        elif self.session.phase is Phase.READY and not self.session.is_restored:
            self.session.restore(self._settings)
        elif wanted and self.session.phase is Phase.READY:
            self.session.open_stream()
        elif wanted and self.session.phase is Phase.NONE:
            self.session.open(self.server, self._local.hello)

    def list_again(self) -> None:
        """Read the lists again, because they have changed."""
        self._listing = None

    def read_lists(self, *, busy: bool) -> None:
        """Read the lists once in each session, for the catalogue and for changes.

        `busy`: requests of the client are unanswered. They come first, because a server takes long to list its tools.
        """
        listing, server = self._listing, self.ready_server
        if listing is not None and listing.is_done and listing.lists:
            self.keep(listing.lists)
            listing.lists = {}
        if listing is not None or server is None or self._local.known.hello is None:
            return
        if (busy and not self._local.empty_lists) or (self._local.is_modern and self._served != server.number):
            return
        self._listing = Listing(self._outbox, self._local.known, f"{self._prefix}-{self.session.number}")
        if self._local.is_modern:
            meta = self._local.meta
            self._listing.begin(server, lambda method: headers.modern_list(method, meta), {"_meta": dict(meta)})
        else:
            session = self.session
            self._listing.begin(server, lambda _: session.headers, {})

    def keep(self, lists: dict[str, list[Any]]) -> None:
        """Take new lists into the catalogue, and tell the client which ones have changed."""
        for method in self._local.take_lists(lists):
            if self._local.is_modern:
                self.subscriptions.tell(method)
            else:
                self._outbox.say(replies.notification(method))
        version = self.server.version if self.server is not None else None
        self._outbox.put(KeepCatalogue(version, self._local.content(version)))

    def _new_session(self) -> LegacySession:
        self._sessions += 1
        return LegacySession(self._outbox, self.relay, self._local.legacy, self._prefix, self._sessions)


def _subject(message: Message) -> str:
    """Return what a setting is about: the log level, or the resource of a subscription."""
    return "level" if message.method == "logging/setLevel" else f"uri {message.params.get('uri')}"
