"""The tool calls of AI clients: those that were begun, and those that clients have only reported."""

import asyncio
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from ....core.lifecycle import SERVING
from ....core.model import ServerRecord
from ....core.tool_calls import Gate, ReachedEditor
from ....errors import Busy, Cancelled, EditorBusy, InvalidParams, NotFound
from ...state.context import EngineContext
from ...state.events import Event
from .changes import CallChanges
from .events import CallEvents
from .gate import CallGates
from .refusals import RETRY_AFTER_MS
from .tracked import CallMaker, NewCall, TrackedCall

CALLS_MAX = 256
"""How many calls of one connection may run or wait."""

ANSWERED, CLIENT_GONE, SERVER_GONE = "answered", "its client has gone", "its server has ended"
"""How calls end, for people."""


@dataclass(eq=False)
class _CallsOfMaker:
    """The calls of one connection. `begun` has the daemon's numbers by the maker's own ones."""

    begun: dict[int, int] = field(default_factory=dict)
    reported: Mapping[int, TrackedCall] = field(default_factory=dict)


class ToolCalls:
    """Admits tool calls, and knows which run. A call ends with `end`, with its connection, or with its server."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._records = context.records
        self._clock = context.platform.clock
        self._events = CallEvents(context.events, context.platform.clock)
        self._gates = CallGates(context, self)
        self._makers: dict[CallMaker, _CallsOfMaker] = {}
        self._calls: dict[int, TrackedCall] = {}
        """Every call that was begun and has not ended, by the daemon's number."""
        self.changes = CallChanges()
        self._numbers = 0
        self._by_server: dict[str, list[TrackedCall]] = {}
        self._by_server_revision = 0
        self.revision = 0
        """Rises with every change of what `of_server` and `of_maker` return."""

    # --- what clients say ---

    def begin(self, maker: CallMaker, call: NewCall) -> asyncio.Future[None] | None:
        """Begin a call. Returns None if it runs now, else a future that is done when it does.

        Raises:
            NotFound: no such server.
            Busy: the server does not run, or the connection has too many calls.
            InvalidParams: the connection has a call of this number.
            EditorBusy: another call or the editor itself keeps it from running; the future may raise it too.
            Cancelled: only by the future; the call or its server has ended.
        """
        record = self._records.server(call.server)
        if record.state not in SERVING:
            raise Busy(f"{record.id} is {record.state.value}", hint="ask for the server first", retry_after_ms=500)
        calls = self._makers.setdefault(maker, _CallsOfMaker())
        if call.own_number in calls.begun:
            raise InvalidParams("call", f"call {call.own_number} has begun and not ended", hint="use another number")
        if len(calls.begun) >= CALLS_MAX:
            raise Busy(f"{CALLS_MAX} calls of this connection run", hint="end some", retry_after_ms=RETRY_AFTER_MS)
        gate = Gate(self._context.kind_of(record).gate)
        tracked = self._track(maker, record, call, gated=gate is not Gate.OFF and not call.read_only)
        future = self._enter(record, tracked, gate) if tracked.gated else None
        if future is not None:
            tracked = replace(tracked, waits=True)
        elif tracked.gated:
            tracked = replace(tracked, told=self._events.began(tracked))
        self._add(tracked)
        maker.calls += 1
        return future

    def end(self, maker: CallMaker, own_number: int) -> float:
        """End a call that runs or waits, and return for how many seconds it did.

        Raises:
            NotFound: the connection has no call of this number.
        """
        calls = self._makers.get(maker)
        number = None if calls is None else calls.begun.get(own_number)
        if number is None:
            raise NotFound(f"no call {own_number} of this connection", hint="it may have ended with its server")
        call = self._calls[number]
        self._end(call, ANSWERED)
        self._gates.advance(call.server)
        return self._clock.monotonic() - call.began

    def report(self, maker: CallMaker, calls: int, running: Iterable[NewCall]) -> None:
        """Replace what a connection has said of its calls that pass no gate. `calls` counts all calls so far."""
        of_maker = self._makers.setdefault(maker, _CallsOfMaker())
        before, maker.calls = of_maker.reported, calls
        now: dict[int, TrackedCall] = {}
        for call, record in self._at_serving(running):
            known = before.get(call.own_number)
            now[call.own_number] = known or self._track(maker, record, call, gated=False)
        of_maker.reported = now
        for own_number, ended in before.items():
            if own_number not in now:
                self._events.ended(ended, ANSWERED)
        self._changed(call.server for call in (*before.values(), *now.values()))

    def resume(self, maker: CallMaker, running: Iterable[NewCall]) -> None:
        """Take over calls that an earlier daemon has admitted, and that still run. They are not refused."""
        of_maker = self._makers.setdefault(maker, _CallsOfMaker())
        for call, record in self._at_serving(running):
            if call.own_number in of_maker.begun or len(of_maker.begun) >= CALLS_MAX:
                continue
            tracked = self._track(maker, record, call, gated=self._context.kind_of(record).gate != Gate.OFF)
            if tracked.gated:
                self._gates.resume(tracked)
            self._add(tracked)

    def leave(self, maker: CallMaker) -> None:
        """End all calls of a connection that has ended."""
        of_maker = self._makers.get(maker)
        if of_maker is None:
            return
        ended = [self._calls[number] for number in of_maker.begun.values()]
        for call in ended:
            self._end(call, CLIENT_GONE)
        for reported in of_maker.reported.values():
            self._events.ended(reported, CLIENT_GONE)
        del self._makers[maker]
        self._changed(call.server for call in of_maker.reported.values())
        for server_id in {call.server for call in ended}:
            self._gates.advance(server_id)

    # --- what happens to servers and editors ---

    def note_event(self, event: Event) -> None:
        """End the calls of a server that has left the states in which it answers. Called with every event."""
        has_left = event.name == "server.gone" or (event.name == "server.state" and event.details["now"] not in SERVING)
        if has_left and self._makers:
            # A subscriber must not publish.
            asyncio.get_running_loop().call_soon(self._server_left, event.details["server"])

    def editor_changed(self) -> None:
        """Refuse calls that wait for an editor which has said that it is busy."""
        self._gates.refuse_at_busy_editors()

    def _server_left(self, server_id: str) -> None:
        record = self._records.servers.get(server_id)
        if record is not None and record.state in SERVING:
            # It was started again since.
            return
        self._gates.close(server_id)
        for call in self.of_server(server_id):
            if call.number in self._calls:
                self._end(call, SERVER_GONE)
            else:
                self._events.ended(call, SERVER_GONE)
        for calls in self._makers.values():
            calls.reported = {own: call for own, call in calls.reported.items() if call.server != server_id}
        self._changed([server_id])

    # --- what is shown ---

    def of_server(self, server_id: str) -> tuple[TrackedCall, ...]:
        """Return the calls of a server, the oldest first."""
        if self._by_server_revision != self.revision:
            self._by_server_revision, self._by_server = self.revision, {}
            for maker in self._makers:
                for call in self.of_maker(maker):
                    self._by_server.setdefault(call.server, []).append(call)
        return tuple(sorted(self._by_server.get(server_id, ()), key=lambda call: call.since))

    def of_maker(self, maker: CallMaker) -> tuple[TrackedCall, ...]:
        """Return the calls of a connection, the oldest first."""
        calls = self._makers.get(maker, _CallsOfMaker())
        found = [*(self._calls[number] for number in calls.begun.values()), *calls.reported.values()]
        return tuple(sorted(found, key=lambda call: call.since))

    # --- what the gates need ---

    def find(self, number: int) -> TrackedCall:
        """See `CallTable`."""
        return self._calls[number]

    def waiting_admitted(self, call: TrackedCall) -> None:
        """See `CallTable`."""
        told = self._events.began(call)
        since, began = round(self._clock.wall(), 3), self._clock.monotonic()
        self._calls[call.number] = replace(call, waits=False, told=told, since=since, began=began)
        self._changed([call.server])

    def waiting_refused(self, call: TrackedCall, problem: EditorBusy | Cancelled) -> None:
        """See `CallTable`."""
        self._remove(call)
        call.maker.calls -= 1
        self._events.refused(call, problem.message)

    # --- calls ---

    def _enter(self, record: ServerRecord, call: TrackedCall, gate: Gate) -> asyncio.Future[None] | None:
        try:
            return self._gates.enter(record, call, gate)
        except EditorBusy as problem:
            self._events.refused(call, problem.message)
            raise

    def _at_serving(self, calls: Iterable[NewCall]) -> Iterable[tuple[NewCall, ServerRecord]]:
        """Yield the calls whose server runs, and the server. What a client says late may be about one that has gone."""
        for call in calls:
            record = self._records.servers.get(call.server)
            if record is not None and record.state in SERVING:
                yield call, record

    def _track(self, maker: CallMaker, record: ServerRecord, call: NewCall, *, gated: bool) -> TrackedCall:
        self._numbers += 1
        return TrackedCall(
            number=self._numbers,
            own_number=call.own_number,
            maker=maker,
            server=record.id,
            tool=call.tool,
            reached=self._reached_editor(maker, record, call.editor_pid),
            gated=gated,
            since=round(self._clock.wall() - call.elapsed_s, 3),
            began=self._clock.monotonic() - call.elapsed_s,
        )

    def _reached_editor(self, maker: CallMaker, record: ServerRecord, editor_pid: int | None) -> ReachedEditor:
        """Return which editor a call reaches. All calls of a server that has a project exclude each other."""
        if record.project is not None:
            return ReachedEditor()
        if editor_pid is None:
            return ReachedEditor(project=maker.project)
        known = (editor for editor in self._records.editors.values() if editor.process.pid == editor_pid)
        return ReachedEditor(editor_pid, next((editor.project for editor in known), None))

    def _add(self, call: TrackedCall) -> None:
        self._calls[call.number] = call
        self._makers[call.maker].begun[call.own_number] = call.number
        self._changed([call.server])

    def _end(self, call: TrackedCall, how: str) -> None:
        """End a call that was begun. One that waits is cancelled."""
        self._gates.leave(call)
        self._remove(call)
        if not call.waits:
            self._events.ended(call, how)

    def _remove(self, call: TrackedCall) -> None:
        del self._calls[call.number]
        del self._makers[call.maker].begun[call.own_number]
        self._changed([call.server])

    def _changed(self, servers: Iterable[str]) -> None:
        self.revision += 1
        self.changes.note(servers)
