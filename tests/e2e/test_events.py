"""Events of the daemon: all, once, in order; and a client that does not read blocks no other."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives
from tests.e2e.line import LONG, Busybody, Feed, Line, Message

KEPT = 1000
CONNECTIONS = 256
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    home = Home(tmp_path_factory.mktemp("events"), toy_config())
    home.start()
    yield home
    home.close()


@pytest.fixture
def busybody(shared: Home) -> Iterator[Busybody]:
    body = Busybody(shared)
    yield body
    body.close()


def resident(pid: int | None) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return 1024 * int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))


def descriptors(pid: int | None) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


# --- who listens ------------------------------------------------------------------------------------------------------


def test_events_come_as_they_happen_and_only_after_the_answer(shared: Home, busybody: Busybody) -> None:
    with Line(shared) as line:
        feed = line.subscribe()
        assert feed.answer["instance_id"] == line.instance_id
        assert feed.answer["snapshot"] == line.ask("status")
        busybody.makes(2)
        told = [feed.next(), feed.next()]
        assert [row["event"] for row in told] == ["editor.state"] * 2
        assert told[0]["editor"] == feed.answer["snapshot"]["editors"][0]["id"]
        assert {row["details"]["reason"] for row in told} == {"importing", "compiling"}
        assert told[0]["mono"] <= told[1]["mono"]
        assert {row["level"] for row in told} == {"info"}


def test_returning_subscriber_gets_the_missed_events(shared: Home, busybody: Busybody) -> None:
    with Line(shared) as line:
        seen = line.subscribe()
        busybody.makes(1)
        seen.next()
    busybody.makes(KEPT // 2)
    with Line(shared) as line:
        feed = line.subscribe(instance_id=line.instance_id, seq=seen.seq)
        assert (feed.answer["seq"], feed.answer["snapshot"]) == (seen.seq, None)
        busybody.makes(1)
        for _ in range(KEPT // 2 + 1):
            feed.next()
        assert line.subscribe().seq == feed.seq


def test_subscriber_away_for_too_long_begins_anew(shared: Home, busybody: Busybody) -> None:
    with Line(shared) as line:
        seen = line.subscribe().seq
    busybody.makes(KEPT + 1)
    with Line(shared) as line:
        feed = line.subscribe(instance_id=line.instance_id, seq=seen)
        assert feed.answer["snapshot"] == line.ask("status")
        assert feed.seq == seen + KEPT + 1
        assert line.told(feed.identifier, "resync") == {"id": feed.identifier, "reason": "gap"}
        busybody.makes(1)
        feed.next()
        # A number higher by one would have missed nothing.
        kept = line.subscribe(instance_id=line.instance_id, seq=feed.seq - KEPT)
        assert kept.answer["snapshot"] is None
        for _ in range(KEPT):
            kept.next()


def test_two_streams_and_requests_share_a_connection(shared: Home, busybody: Busybody) -> None:
    with Line(shared) as line:
        one, two = line.subscribe(), line.subscribe()
        busybody.makes(10)
        assert line.ask("ping") == {}
        assert [one.next()["event"] for _ in range(10)] == [two.next()["event"] for _ in range(10)]
        assert (one.seq, one.identifier) != (two.seq, two.identifier)
        assert one.seq == two.seq


def test_subscriber_that_never_reads_is_closed_and_blocks_no_client(shared: Home, busybody: Busybody) -> None:
    pid = shared.daemon_pid()
    with Line(shared) as deaf, Line(shared) as line:
        deaf.send("events.subscribe")
        feed = line.subscribe()
        before = resident(pid)
        batch = 200
        while not shared.events("connection.closed", reason="the client does not read"):
            busybody.makes(batch, LONG)
            for _ in range(batch):
                feed.next()
            assert resident(pid) < before + 48 * MIB
        busybody.makes(1)
        assert feed.next()["event"] == "editor.state"
        # Events that the client has not read end with the connection.
        told = 0
        while (message := deaf.next(1)) is not None:
            told += message.get("method") == "event"
        assert told < feed.seq
    assert resident(pid) < before + 48 * MIB


def test_five_hundred_subscriptions_that_ended_leave_nothing_behind(shared: Home, busybody: Busybody) -> None:
    pid = shared.daemon_pid()
    before = descriptors(pid)
    for _ in range(500):
        with Line(shared) as line:
            line.subscribe()
    eventually(lambda: descriptors(pid) <= before, "their sockets are closed")
    with Line(shared) as line:
        feed = line.subscribe()
        busybody.makes(1)
        feed.next()


def test_a_full_house_hears_everything_and_has_no_room_for_another(shared: Home, busybody: Busybody) -> None:
    with contextlib.ExitStack() as crowd:
        lines = [crowd.enter_context(Line(shared)) for _ in range(CONNECTIONS - 1)]
        feeds = [line.subscribe() for line in lines]
        with Line(shared) as late:
            refusal = late.next(None)
            assert refusal is not None
            assert refusal["error"]["data"]["code"] == "BUSY"
            assert refusal["error"]["data"]["retry_after_ms"]
            assert late.next(None) is None
        busybody.makes(3)
        for feed in feeds:
            assert [feed.next()["event"] for _ in range(3)] == ["editor.state"] * 3
        lines[0].close()

        def has_room() -> bool:
            with Line(shared) as line:
                message = line.next(line.send("ping"))
                return message is not None and message.get("result") == {}

        eventually(has_room, "there is room for another")


def test_a_subscriber_notices_another_daemon(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    home.start()
    with Line(home) as line:
        feed = line.subscribe()
        home.kill_daemon()
        assert line.next(feed.identifier) is None
    home.start()
    with Line(home) as line:
        again = line.subscribe(instance_id=feed.answer["instance_id"], seq=feed.seq)
        assert again.answer["instance_id"] == line.instance_id != feed.answer["instance_id"]
        assert again.answer["snapshot"]["servers"] == []
        assert line.told(again.identifier, "resync")["reason"] == "another instance"
        line.ask("editor.attach", {"pid": home.owner().pid, "project": home.project()})
        assert again.next()["event"] == "editor.attached"


def test_daemon_that_shuts_down_says_so_to_subscribers(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    home.start()
    with Line(home) as line:
        feed = line.subscribe()
        line.send("daemon.shutdown", {"servers": False})
        feed.until("daemon.stopping")


# --- the whole story --------------------------------------------------------------------------------------------------


class Story:
    """Return the events of one server that a subscriber reads."""

    def __init__(self, feed: Feed) -> None:
        self._feed = feed

    def until(self, event: str, **details: Any) -> list[Message]:
        return self._feed.until(event, **details)

    def read(self, event: str, **details: Any) -> list[str]:
        """The names of the events up to this one; moves with where to."""
        return [named(row) for row in self.until(event, **details)]


def named(row: Message) -> str:
    details = row["details"]
    match row["event"]:
        case "server.state":
            return f"{details['was']} > {details['now']}"
        case "flight.started":
            return f"{details['method']} for {details['holder']}"
        case "signal.sent":
            return f"signal {details['signal']}"
        case name:
            return str(name)


def test_the_events_of_a_servers_life_tell_it_in_order_with_who_and_why(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    home.start()
    owner = home.owner()
    with Line(home) as line:
        story = Story(line.subscribe())
        line.ask("hello", {"protocol": 1, "client": {"name": "a plugin", "version": "2"}})
        server = line.ask("server.ensure", {"kind": "e2e-toy", "owner": {"pid": owner.pid, "project": home.project()}})
        assert story.read("flight.ended") == [
            "editor.attached",
            "server.ensure for my-game-1",
            "server.planned",
            "server.spawned",
            "starting > ready",
            "flight.ended",
        ]
        line.ask("server.ensure", {"kind": "e2e-toy"})
        assert story.read("flight.ended") == ["server.ensure for a plugin 2", "server.reused", "flight.ended"]

        line.ask("server.restart", {"server": "e2e-toy"})
        assert story.read("flight.ended", outcome="done") == [
            "server.restart for a plugin 2",
            "ready > stopping",
            "signal ask",
            "stopping > stopped",
            "server.stopped",
            "stopped > starting",
            "server.planned",
            "server.spawned",
            "starting > ready",
            "flight.ended",
        ]

        restarted = home.server("e2e-toy")
        assert restarted is not None
        assert restarted["root_pid"] != server["root_pid"]
        os.kill(restarted["root_pid"], signal.SIGKILL)
        told = story.until("flight.ended")
        assert [named(row) for row in told] == [
            "recover for the daemon",
            "server.exited",
            "ready > backoff",
            "backoff > starting",
            "server.planned",
            "server.spawned",
            "starting > ready",
            "flight.ended",
        ]
        assert told[1]["details"]["exit"] == -9

        owner.kill()
        owner.wait()
        told = story.until("server.gone")
        assert [named(row) for row in told] == [
            "editor.ended",
            "server.suspected",
            "reap for the daemon",
            "server.reaped",
            "ready > stopping",
            "signal ask",
            "stopping > stopped",
            "server.stopped",
            "server.gone",
        ]
        assert told[1]["details"]["reasons"] == ["my-game-1 is dead", "no lease", "no session"]
        assert told[3]["details"]["reasons"] == told[1]["details"]["reasons"]
        story.until("editor.gone", editor="my-game-1")

        line.ask("server.ensure", {"kind": "e2e-toy"})
        story.until("flight.ended")
        line.ask("server.stop", {"server": "e2e-toy"})
        assert story.read("flight.ended") == [
            "server.stop for a plugin 2",
            "ready > stopping",
            "signal ask",
            "stopping > stopped",
            "server.stopped",
            "server.gone",
            "flight.ended",
        ]


def test_the_events_tell_who_was_refused_who_joined_and_who_waited(make_home: MakeHome) -> None:
    home = make_home(toy_config("--slow-start", "0.5", "--ignore-term", stop_timeout=0.5))
    home.start()
    with Line(home) as line:
        story = line.subscribe()
        starts = [line.send("server.ensure", {"kind": "e2e-toy", "request": name}) for name in ("one", "two")]
        line.told(starts[1], "accepted")
        assert line.refused("server.stop", {"server": "e2e-toy", "request": "three"})["data"]["code"] == "BUSY"
        pids = {line.answer(start)["result"]["root_pid"] for start in starts}
        assert len(pids) == 1
        told = {row["event"]: row for row in story.until("flight.ended")}
        assert told["flight.started"]["details"]["request"] == "one"
        assert told["flight.joined"]["details"] | {"holder": ""} == {
            "method": "server.ensure",
            "request": "two",
            "holder": "",
            "flight": "one",
        }
        refused = told["flight.refused"]["details"]
        assert (refused["method"], refused["request"], refused["error"]) == ("server.stop", "three", "BUSY")
        assert refused["reason"] == "a start for a client is running"
        stop = line.send("server.stop", {"server": "e2e-toy", "request": "four"})
        line.told(stop, "accepted")
        line.told(stop, "progress")
        again = line.send("server.ensure", {"kind": "e2e-toy", "request": "five"})
        line.told(again, "accepted")
        line.answer(stop)
        line.answer(again)
        waits = next(row for row in story.until("flight.started", request="five") if row["event"] == "flight.waits")
        assert waits["details"]["behind"] == "four"


def test_the_events_tell_why_a_server_was_given_up(make_home: MakeHome) -> None:
    home = make_home(toy_config("--crash-after", "0.05"))
    home.start()
    with Line(home) as line:
        story = line.subscribe()
        line.ask("server.ensure", {"kind": "e2e-toy", "owner": {"pid": home.owner().pid}})
        told = story.until("server.state", now="failed")
        names = [row["event"] for row in told]
        assert names.count("server.exited") == 5
        assert names.count("server.backs_off") == 3
        assert "5 times" in next(row for row in told if row["event"] == "server.given_up")["details"]["reason"]
        pauses = [row["details"]["pause_s"] for row in told if row["event"] == "server.backs_off"]
        assert pauses == sorted(pauses)
        assert {row["level"] for row in told if row["event"] == "server.given_up"} == {"warning"}
        server = line.ask("server.get", {"server": "e2e-toy"})
        assert (server["state"], server["restarts"]) == ("failed", 4)
        assert server["failure"]["log_tail"][-1] == "e2e-toy: crashing"
        assert server["failure"]["exit"] == 9
        assert not lives(told[1]["details"].get("pid", 2**22 + 1))
    assert home.server_processes() == []
