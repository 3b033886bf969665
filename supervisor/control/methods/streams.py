"""The methods whose answers go on: notifications follow the result for as long as the connection lasts."""

from collections.abc import Callable, Sequence
from functools import partial

from ...engine.claims.calls.changes import CallChanges
from ...engine.logs.page import LogUpdate, Page
from ...engine.logs.reader import LogReader
from ...engine.state.events import Event, Events
from ...values import frozen
from ...wire.jsonrpc import Id
from ...wire.messages.daemon import StatusResult
from ...wire.messages.notifications import CallsNotice, EventNotice, LogNotice, Resync
from ...wire.messages.streams import EventsSubscribe, EventsSubscribeResult, LogsRead, LogsReadResult, Since
from .table import read

Publish = Callable[[str, object], None]
"""Sends a notification: its method, and a dataclass of `wire.messages.notifications`."""

HasRoom = Callable[[], bool]
"""Returns whether the receiver keeps up. A stream that can wait sends nothing while it returns False."""

End = Callable[[], None]
"""Ends a stream."""


@frozen
class NewStream:
    """A stream of notifications that follows the answer to its request.

    `begin` is called once, when the answer was sent, and returns the function that ends the stream.
    """

    answer: object
    begin: Callable[[Id, Publish, HasRoom], End]


class EventMethods:
    """Handler of `events.subscribe`. `snapshot` returns the status at the moment."""

    def __init__(
        self, events: Events, calls: CallChanges, instance_id: str, snapshot: Callable[[], StatusResult]
    ) -> None:
        self._events = events
        self._calls = calls
        self._instance_id = instance_id
        self._snapshot = snapshot

    @read("events.subscribe")
    def subscribe(self, params: EventsSubscribe) -> NewStream:
        """Begin where the subscriber left off, if the events since then are still known; anew otherwise."""
        if params.since is None:
            return self._anew(params, None)
        if params.since.instance_id != self._instance_id:
            return self._anew(params, "another instance")
        missed = self._events.after(params.since.seq)
        return self._anew(params, "gap") if missed is None else self._continued(params, params.since, missed)

    def _anew(self, params: EventsSubscribe, resync: str | None) -> NewStream:
        answer = EventsSubscribeResult(self._instance_id, self._events.last, self._snapshot())
        return NewStream(answer, partial(self._begin, params, (), resync))

    def _continued(self, params: EventsSubscribe, since: Since, missed: Sequence[Event]) -> NewStream:
        before = missed[0].seq - 1 if missed else since.seq
        answer = EventsSubscribeResult(self._instance_id, before, None)
        return NewStream(answer, partial(self._begin, params, missed, None))

    def _begin(
        self,
        params: EventsSubscribe,
        missed: Sequence[Event],
        resync: str | None,
        identifier: Id,
        publish: Publish,
        _: HasRoom,
    ) -> End:
        if resync is not None:
            publish("resync", Resync(identifier, resync))
        for event in missed:
            publish("event", notice(identifier, event))
        end_events = self._events.subscribe(lambda event: publish("event", notice(identifier, event)))
        if not params.calls:
            return end_events
        end_calls = self._calls.watch(lambda servers: publish("calls", CallsNotice(identifier, servers)))

        def end() -> None:
            end_events()
            end_calls()

        return end


def notice(identifier: Id, event: Event) -> EventNotice:
    """Return an event as a subscriber sees it."""
    details = {name: value for name, value in event.details.items() if name not in ("server", "editor")}
    return EventNotice(
        id=identifier,
        seq=event.seq,
        at=event.at,
        mono=event.mono,
        level=event.level,
        event=event.name,
        server=event.details.get("server"),
        editor=event.details.get("editor"),
        details=details,
    )


class LogMethods:
    """Handler of `logs.read`."""

    def __init__(self, logs: LogReader) -> None:
        self._logs = logs

    @read("logs.read")
    async def read_log(self, params: LogsRead) -> LogsReadResult | NewStream:
        """Return the end of a log. With `follow`, send what is written after it as notifications."""
        page = await self._logs.read(params.server, params.lines, whole_lines=params.follow)
        answer = LogsReadResult(page.lines, str(page.path), page.ended)
        return NewStream(answer, partial(self._begin, params.server, page)) if params.follow else answer

    def _begin(self, server: str | None, page: Page, identifier: Id, publish: Publish, has_room: HasRoom) -> End:
        def send(update: LogUpdate) -> None:
            lines, log = tuple(update.lines), str(update.path)
            publish("log", LogNotice(identifier, lines, log, update.ended, update.reason))

        return self._logs.follow(server, page, send, has_room)
