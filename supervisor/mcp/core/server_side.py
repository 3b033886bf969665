"""The server that a conversation uses at present, if there is one: its session, its lists, and its requests."""

from collections.abc import Mapping
from typing import Any

from .events_and_actions import FailExchange, Headers, Text, WriteCatalogue
from .list_reading import ListReading
from .local_answers import LocalAnswers
from .messages import headers, replies
from .messages.catalogue import Catalogue
from .messages.message import Message
from .outbox import Outbox
from .relay import Relay
from .servers import Server
from .session import LegacySession, SessionPhase
from .streams.subscriptions import Subscriptions

SETTING_METHODS = ("logging/setLevel", "resources/subscribe")
"""Requests of the legacy era that set something in the session."""


class ServerSide:
    """The state that belongs to the present server, and the settings and subscriptions that the next one gets."""

    def __init__(self, outbox: Outbox, local: LocalAnswers, prefix: str) -> None:
        self._outbox = outbox
        self._local = local
        self._prefix = prefix
        self._sessions = 0
        self._settings: dict[str, Text] = {}
        self._list_reading: ListReading | None = None
        """The reading of the server's lists in this session. None if it has not begun."""
        self._lists_are_wanted = False
        """Whether a request of the client waits for the lists."""
        self._last_sent_to = 0
        """The number of the server that a request of the client was sent to last. 0 is none."""
        self.relay = Relay(outbox, prefix)
        self.subscriptions = Subscriptions(outbox)
        self.server: Server | None = None
        self.session = self._new_session()

    @property
    def ready_server(self) -> Server | None:
        """Return the server if requests can be sent to it. Returns None otherwise."""
        return self.server if self._local.is_modern or self.session.phase is SessionPhase.READY else None

    def is_used(self, number: int) -> bool:
        """Return whether the server of this number is the one that is used."""
        return self.server is not None and self.server.number == number

    def stop_using(self) -> None:
        """Send nothing more to the server. It may still answer what it has received. What it had asked is cancelled."""
        if self.server is not None:
            self.relay.cancel_questions_of_server(self.server.number)
        self.server = None
        self.drop_session()

    def end_work_of(self, number: int, *, ended: bool) -> None:
        """Cancel at the client what a server had asked. `ended`: the server has ended, so its exchanges fail too.

        The server need not be the present one: old servers may still have exchanges.
        """
        for exchange in self._outbox.exchanges_with(number) if ended else ():
            self._outbox.add(FailExchange(exchange))
        self.relay.cancel_questions_of_server(number)

    def drop_session(self) -> None:
        """Forget the session, and cancel at the client what it had asked."""
        self._list_reading = None
        if self.session.phase is not SessionPhase.NONE:
            self.relay.cancel_questions_of_session(self.session)
            self.session = self._new_session()

    def is_setting(self, message: Message) -> bool:
        """Return whether a request sets something in the session."""
        return not self._local.is_modern and message.method in SETTING_METHODS

    def remember_setting(self, message: Message) -> None:
        """Remember what a request sets in the session, for the sessions that follow."""
        if self.is_setting(message):
            self._settings[_setting_key(message)] = message.text
        elif message.method == "resources/unsubscribe":
            self._settings.pop(_setting_key(message), None)

    def headers_for(self, message: Message) -> Headers:
        """Return the headers with which a request of the client goes to the server."""
        if not self._local.is_modern:
            return self.session.headers
        name = message.params.get("name")
        return headers.modern(message, self._local.era_catalogue.tool(name) if isinstance(name, str) else {})

    def note_request_sent(self, server: Server) -> None:
        """Note that a request of the client was sent to this server. In the modern era no list is read before."""
        self._last_sent_to = server.number

    def open_session_and_streams(self, *, wanted: bool) -> None:
        """Do the next step of these: open the session, if `wanted`; restore it; open the streams.

        Called after each event. In the modern era there is no session, and only the subscriptions are opened.
        """
        if self.server is None:
            return
        if self._local.is_modern:
            self.subscriptions.open(self.server)
        elif self.session.phase is SessionPhase.READY and not self.session.is_restored:
            self.session.restore(self._settings)
        elif wanted and self.session.phase is SessionPhase.READY:
            self.session.open_stream()
        elif wanted and self.session.phase is SessionPhase.NONE:
            self.session.open(self.server, self._local.initialize_params)

    def read_lists_again(self) -> None:
        """Let `read_lists` read the lists once more, because they have changed."""
        self._list_reading = None

    def want_lists(self) -> None:
        """Let `read_lists` read the lists now, if they are not being read, because a request of the client waits."""
        self._lists_are_wanted = self._list_reading is None

    @property
    def is_reading_lists(self) -> bool:
        """Return whether a reading of the lists has begun and its result is not kept."""
        return self._list_reading is not None and (not self._list_reading.is_done or bool(self._list_reading.lists))

    @property
    def has_read_tools(self) -> bool | None:
        """Return whether the list of tools was read in this session. Returns None while it is still to be read.

        A server that declares no tools has nothing to read.
        """
        reading = self._list_reading
        if reading is None or self.is_reading_lists:
            return None
        known = self._local.era_catalogue
        return reading.has_read_tools or (known.hello is not None and not known.has_list("tools/list"))

    def take_lists(self) -> None:
        """Keep the lists that were read. Called after each event."""
        reading = self._list_reading
        if reading is not None and reading.is_done and reading.lists:
            self.update_catalogue(reading.lists)
            reading.lists = {}

    def read_lists(self, *, busy: bool) -> None:
        """Begin to read the lists, once in each session. Called after each event.

        `busy`: requests of the client are unanswered. They come first, because a server takes long to list its tools.
        """
        server = self.ready_server
        if self._list_reading is not None or server is None:
            return
        if not self._lists_are_wanted and not self._may_read_lists(server, busy=busy):
            return
        self._lists_are_wanted = False
        prefix = f"{self._prefix}-{self.session.number}"
        self._list_reading = ListReading(self._outbox, self._local.era_catalogue, prefix)
        if self._local.is_modern:
            meta = self._local.client_meta
            self._list_reading.begin(server, lambda method: headers.modern_list(method, meta), {"_meta": dict(meta)})
        else:
            session = self.session
            self._list_reading.begin(server, lambda _: session.headers, {})

    def _may_read_lists(self, server: Server, *, busy: bool) -> bool:
        """Return whether this is the time to read the lists, if no request waits for them."""
        if self._local.era_catalogue.hello is None or (busy and not self._local.lists_answered_empty):
            return False
        return not self._local.is_modern or self._last_sent_to == server.number

    def update_catalogue(self, lists: dict[str, list[Any]]) -> None:
        """Replace lists of the catalogue, tell the client which ones have changed, and write the catalogue."""
        self._announce(self._local.update_lists(lists))
        version = self.server.version if self.server is not None else None
        self._outbox.add(WriteCatalogue(version, self._local.catalogue_json(version)))

    def use_catalogue(self, content: Mapping[str, Any] | None) -> None:
        """Replace the catalogue by that of another project, and tell the client which lists have changed."""
        catalogue = Catalogue.from_json(content)
        if catalogue is not None:
            self._announce(self._local.use_catalogue(catalogue))

    def _announce(self, methods: list[str]) -> None:
        """Send notifications of these methods to the client."""
        for method in methods:
            if self._local.is_modern:
                self.subscriptions.notify(method)
            else:
                self._outbox.send_to_client(replies.notification(method))

    def _new_session(self) -> LegacySession:
        self._sessions += 1
        return LegacySession(self._outbox, self.relay, self._local.legacy_catalogue, self._prefix, self._sessions)


def _setting_key(message: Message) -> str:
    """Return the key of a setting, under which a later one replaces it: the log level, or the URI of a resource."""
    return "level" if message.method == "logging/setLevel" else f"uri {message.params.get('uri')}"
