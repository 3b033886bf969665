"""Streams: events that follow an answer, on real sockets."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from supervisor.control.all_connections import AllConnections
from supervisor.control.calls import IN_FLIGHT
from supervisor.control.listener import Listener
from supervisor.control.methods.streams import EventMethods
from supervisor.control.methods.table import Method, MethodTable
from supervisor.engine.claims.calls.changes import CallChanges
from supervisor.engine.state.events import KEPT, Events
from supervisor.wire.messages.daemon import DaemonInfo, StatusResult
from supervisor.wire.messages.session import Ping, PingResult
from supervisor.wire.messages.streams import EventsSubscribe
from tests.control.harness import KINDS, TOKEN, ListenerHarness, Peers, Wire, Work, until
from tests.control.harness import Events as ConnectionLog
from tests.engine.harness import EventRecorder
from tests.fakes import FakeClock

ME = "i-1"
STATUS = StatusResult(DaemonInfo(1, ME, "0.1.0", 0.0, "/home", "default", ()), (), (), ())


class StreamHarness(ListenerHarness):
    """A listener that accepts connections, and the events behind it."""

    happens: Events
    changes: CallChanges

    def subscribers(self) -> int:
        return len(self.happens._subscribers)


@contextlib.asynccontextmanager
async def open_stream_harness(folder: Path) -> AsyncIterator[StreamHarness]:
    happens, log = Events(EventRecorder(), FakeClock()), ConnectionLog()
    changes = CallChanges()
    feed = EventMethods(happens, changes, ME, lambda: STATUS)
    methods = MethodTable(
        [
            Method("events.subscribe", EventsSubscribe, feed.subscribe),
            Method("ping", Ping, lambda _: PingResult()),
        ]
    )
    all_connections = AllConnections(
        methods=methods, instance_id=ME, version="0.1.0", token=TOKEN, peers=Peers(), log=log
    )
    listener = Listener(all_connections, folder / "control" / "socket")
    await listener.open()
    harness = StreamHarness(all_connections, listener, log, Work())
    harness.happens = happens
    harness.changes = changes
    try:
        yield harness
    finally:
        await listener.close()


def since(seq: int, instance: str = ME) -> dict[str, Any]:
    return {"since": {"instance_id": instance, "seq": seq}}


async def heard(wire: Wire, count: int) -> list[tuple[int, str]]:
    """Return the numbers and names of the next events."""
    told = [(await wire.hear())["params"] for _ in range(count)]
    return [(notice["seq"], notice["event"]) for notice in told]


def test_changes_of_calls_are_told_to_who_asks_for_them(tmp_path: Path) -> None:
    """Changes of one turn of the loop are told together, until the connection ends."""

    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            harness.changes.note(["nobody watches"])
            wire = await harness.connect(KINDS[0])
            other = await harness.connect(KINDS[0])
            answer = await wire.ask("events.subscribe", {"calls": True})
            await other.ask("events.subscribe")
            harness.changes.note(["a", "b"])
            harness.changes.note(["a"])
            told = await wire.hear()
            assert (told["method"], told["params"]) == ("calls", {"id": answer["id"], "servers": ["a", "b"]})
            harness.happens.publish("after")
            assert (await other.hear())["params"]["event"] == "after"
            await wire.close()
            await other.close()
            await until(lambda: not harness.changes._watchers)

    asyncio.run(story())


@pytest.mark.parametrize("kind", KINDS)
def test_a_subscriber_gets_the_events_after_its_answer(tmp_path: Path, kind: str) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            harness.happens.publish("before")
            wire = await harness.connect(kind)
            answer = (await wire.ask("events.subscribe"))["result"]
            assert (answer["instance_id"], answer["seq"]) == (ME, 1)
            assert answer["snapshot"]["daemon"]["instance_id"] == ME
            harness.happens.publish("one", server="toy", editor="game-1", why="because")
            harness.happens.warn("two")
            harness.happens.report_failure("three", ValueError("no"))
            told = [await wire.hear() for _ in range(3)]
            assert [notice["method"] for notice in told] == ["event"] * 3
            first, second, third = (notice["params"] for notice in told)
            assert {**first, "at": 0, "mono": 0} == {
                "id": 1,
                "seq": 2,
                "at": 0,
                "mono": 0,
                "level": "info",
                "event": "one",
                "server": "toy",
                "editor": "game-1",
                "details": {"why": "because"},
            }
            assert (second["level"], second["server"], second["details"]) == ("warning", None, {})
            assert (third["level"], third["details"]["error"]) == ("error", "ValueError: no")
            await wire.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("seq", "expected"), [(0, [1, 2, 3]), (1, [2, 3]), (3, [])], ids=["all that is kept", "the rest", "nothing"]
)
def test_missed_events_are_sent_again(tmp_path: Path, seq: int, expected: list[int]) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            for name in ("one", "two", "three"):
                harness.happens.publish(name)
            wire = await harness.connect()
            answer = (await wire.ask("events.subscribe", since(seq)))["result"]
            assert (answer["seq"], answer["snapshot"]) == (seq, None)
            harness.happens.publish("four")
            told = await heard(wire, len(expected) + 1)
            assert [number for number, _ in told] == [*expected, 4]
            await wire.close()

    asyncio.run(story())


@pytest.mark.parametrize(
    ("params", "reason"),
    [(since(1), "gap"), (since(KEPT + 100), "gap"), (since(1, "another"), "another instance")],
    ids=["too long ago", "never happened", "of another daemon"],
)
def test_a_gap_begins_the_stream_anew(tmp_path: Path, params: dict[str, Any], reason: str) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            for _ in range(KEPT + 2):
                harness.happens.publish("something")
            wire = await harness.connect()
            answer = (await wire.ask("events.subscribe", params))["result"]
            assert answer["seq"] == KEPT + 2
            assert answer["snapshot"] is not None
            assert await wire.hear() == {
                "jsonrpc": "2.0",
                "method": "resync",
                "params": {"id": 1, "reason": reason},
            }
            harness.happens.publish("next")
            assert await heard(wire, 1) == [(KEPT + 3, "next")]
            await wire.close()

    asyncio.run(story())


def test_since_0_tells_where_the_kept_events_begin(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            for _ in range(KEPT + 5):
                harness.happens.publish("something")
            wire = await harness.connect()
            answer = (await wire.ask("events.subscribe", since(0)))["result"]
            assert answer["seq"] == 5
            assert (await heard(wire, KEPT))[0][0] == 6
            await wire.close()

    asyncio.run(story())


def test_the_id_of_a_stream_is_taken_for_other_requests(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            wire = await harness.connect()
            await wire.ask("events.subscribe", identifier="a")
            await wire.ask("events.subscribe", identifier=2)
            for method in ("events.subscribe", "ping"):
                error = (await wire.ask(method, identifier="a"))["error"]
                assert error["data"]["code"] == "INVALID_REQUEST"
            harness.happens.publish("one")
            assert {(await wire.hear())["params"]["id"] for _ in range(2)} == {"a", 2}
            await wire.close()

    asyncio.run(story())


def test_streams_count_as_requests_in_flight(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            wire = await harness.connect()
            for number in range(IN_FLIGHT):
                assert "result" in await wire.ask("events.subscribe", identifier=number)
            error = (await wire.ask("events.subscribe", identifier="more"))["error"]
            assert error["data"]["code"] == "BUSY"
            assert harness.subscribers() == IN_FLIGHT
            await wire.close()
            await until(lambda: harness.subscribers() == 0)

    asyncio.run(story())


def test_streams_end_with_their_connection(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            for number in range(50):
                wire = await harness.connect(KINDS[number % len(KINDS)])
                await wire.ask("events.subscribe")
                if number % 2:
                    await wire.close()
                else:
                    wire.writer.transport.abort()
            await until(lambda: harness.subscribers() == 0)
            harness.happens.publish("one")

    asyncio.run(story())


def test_a_subscriber_that_never_reads_is_closed(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            deaf, wire = await harness.connect(), await harness.connect()
            # Several streams, because the first one that exceeds the limit ends all streams of its connection.
            for number in range(3):
                await deaf.ask("events.subscribe", identifier=number)
            await wire.ask("events.subscribe")
            # Only the kernel's buffer of the client takes what is sent.
            deaf.writer.transport.pause_reading()  # type: ignore[attr-defined]
            for number in range(200):
                harness.happens.publish("much", text="x" * 100_000)
                assert (await heard(wire, 1)) == [(number + 1, "much")]
            assert harness.subscribers() == 1
            assert [each["reason"] for each in harness.events.named("connection.closed")] == [
                "the client does not read"
            ]
            await wire.close()
            await deaf.close()

    asyncio.run(story())


def test_an_oversized_event_ends_only_its_subscription(tmp_path: Path) -> None:
    async def story() -> None:
        async with open_stream_harness(tmp_path) as harness:
            wire = await harness.connect()
            await wire.ask("events.subscribe", identifier=1)
            harness.happens.publish("much", text="x" * 2_000_000)
            harness.happens.publish("one more")
            told = [json.loads(line) for line in (await wire.rest()).splitlines()]
            assert [frame["method"] for frame in told] == ["resync"]
            assert told[0]["params"] == {"id": None, "reason": "too long"}
            assert harness.subscribers() == 0
            await wire.close()

    asyncio.run(story())
