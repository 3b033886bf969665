"""`events` and `events -f`, also when the daemon is restarted."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.daemon_commands import events
from supervisor.errors import NotOurs
from tests.cli.conftest import Run
from tests.cli.objects import event
from tests.cli.scripted import Script, Streaming, scripted_daemon
from tests.wine import IS_WINDOWS

REPOSITORY = Path(__file__).resolve().parents[2]
ANSWER = {"instance_id": "i-1", "seq": 0, "snapshot": None}


ENOUGH = NotOurs("the script ends here")


def notices(*numbers: int) -> list[tuple[str, dict[str, Any]]]:
    return [("event", event(number, was="starting", now="ready")) for number in numbers]


def subscribed(*numbers: int, hangs_up: bool = False) -> Streaming:
    return Streaming(ANSWER, notices(*numbers), hangs_up=hangs_up)


def resync(reason: str) -> Streaming:
    return Streaming(ANSWER, [("resync", {"reason": reason}), *notices(99)])


def by_place(**answers: Any) -> Callable[[dict[str, Any]], Any]:
    """Answer by the number from which the subscriber wants events: `seq_7`."""
    return lambda params: answers[f"seq_{params['since']['seq']}"]


def seqs(out: str) -> list[int | str]:
    rows = [json.loads(line) for line in out.splitlines()]
    return [row.get("seq", row["event"]) for row in rows]


def test_events_prints_what_the_daemon_has_and_ends(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = subscribed(1, 2)
    outcome = run("events", "--json")
    assert (outcome.code, seqs(outcome.out)) == (0, [1, 2])
    assert daemon.params("events.subscribe") == {"since": {"instance_id": "i-1", "seq": 0}}
    sent = event(1, was="starting", now="ready")
    assert sent.items() <= json.loads(outcome.out.splitlines()[0]).items()
    # The schema requires the id, so that a reader can check each line.
    assert "id" in json.loads(outcome.out.splitlines()[0])


def test_since_is_sent_to_the_daemon(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = subscribed()
    assert run("events", "--since", "41").out == ""
    assert daemon.params("events.subscribe") == {"since": {"instance_id": "i-1", "seq": 41}}


def test_a_gap_is_reported_and_the_rest_is_shown(run: Run, daemon: Script) -> None:
    daemon.answers["events.subscribe"] = by_place(seq_1=resync("gap"), seq_0=subscribed(50, 51))
    outcome = run("events", "--since", "1", "--json")
    assert seqs(outcome.out) == ["resync", 50, 51]
    first = json.loads(outcome.out.splitlines()[0])
    assert (first["event"], first["reason"]) == ("resync", "gap")
    shown = run("events", "--since", "1").out.splitlines()[0]
    assert shown == "-- some events are no longer kept; showing all that are"


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (event(1, was="starting", now="ready"), "  server.state            godot-ai  was=starting now=ready"),
        (event(1, "editor.ended", server=None, editor="g-1"), "  editor.ended            g-1"),
        (event(1, "server.released", editor="g-1"), "  server.released         godot-ai g-1"),
        (event(1, "daemon.ready", server=None), "  daemon.ready"),
        (event(1, "x", why=["no owner", "b"], pid=None), '  x                       godot-ai  why="no owner",b'),
        (event(1, "x", server=None, why="a\x1b[2Jb"), "  x                       why=a?[2Jb"),
    ],
)  # fmt: skip
def test_an_event_is_one_line(row: dict[str, Any], text: str) -> None:
    shown = events.line(row, now=row["at"])
    assert (shown[:7], shown[15:19]) == (f"{row['seq']:>5}  ", ".250")
    assert shown[19:] == text


def test_an_event_of_another_day_shows_its_date() -> None:
    row = event(1, was="starting", now="ready")
    day = time.strftime("%Y-%m-%d ", time.localtime(row["at"]))
    assert day not in events.line(row, now=row["at"])
    assert events.line(row, now=row["at"] + 2 * 86400).startswith(f"    1  {day}")


@pytest.mark.parametrize(("level", "colour"), [("warning", "\x1b[33m"), ("error", "\x1b[31m")])
def test_warnings_and_errors_have_a_colour(level: str, colour: str) -> None:
    assert f"{colour}port.lost ({level})\x1b[0m" in events.line(event(1, "port.lost", level=level), now=0.0)


def test_details_are_not_cut_in_a_pipe() -> None:
    long = events.line(event(1, reason="word " * 200), now=0.0)
    assert events.wrapped(long, None) == [long]
    assert long.count("word") == 200


@pytest.mark.parametrize("columns", [1, 40, 80, 200])
def test_details_wrap_on_a_terminal_and_lose_nothing(columns: int) -> None:
    long = events.line(event(1, reason="word " * 200, path="/a-b/" * 50), now=0.0)
    lines = events.wrapped(long, columns)
    assert all(len(line) <= max(columns, 21) for line in lines)
    assert "".join("".join(lines).split()) == "".join(long.split())


class TestFollowing:
    """Each script ends with an error, which ends the command, so no test depends on timing."""

    def test_a_new_connection_continues_after_the_last_event(self, run: Run, daemon: Script) -> None:
        daemon.answers["events.subscribe"] = by_place(
            seq_0=subscribed(1, 2, hangs_up=True), seq_2=subscribed(3, hangs_up=True), seq_3=ENOUGH
        )
        outcome = run("events", "-f", "--json")
        assert (outcome.code, seqs(outcome.out)) == (5, [1, 2, 3])
        assert outcome.err.splitlines()[:2] == [
            "the daemon has ended; waiting for the next one",
            "connected to a new daemon, version 9.9.9",
        ]

    def test_a_gap_is_followed_by_all_kept_events(self, run: Run, daemon: Script) -> None:
        daemon.answers["events.subscribe"] = by_place(
            seq_5=resync("gap"), seq_0=subscribed(40, hangs_up=True), seq_40=ENOUGH
        )
        assert seqs(run("events", "-f", "--since", "5", "--json").out) == ["resync", 40]

    def test_a_slow_reader_continues_after_the_last_event(self, run: Run, daemon: Script) -> None:
        slow = Streaming(ANSWER, [*notices(1), ("resync", {"id": None, "reason": "too slow"})], hangs_up=True)
        daemon.answers["events.subscribe"] = by_place(seq_0=slow, seq_1=subscribed(2, hangs_up=True), seq_2=ENOUGH)
        assert seqs(run("events", "-f", "--json").out) == [1, "resync", 2]

    def test_following_ends_at_the_timeout(self, run: Run, daemon: Script) -> None:
        daemon.answers["events.subscribe"] = subscribed()
        outcome = run("events", "-f", "--json", "--timeout", "0.3")
        assert (outcome.code, outcome.out, outcome.error["code"]) == (6, "", "RESPONSE_TIMEOUT")

    def test_no_daemon_is_started_in_time(self, run: Run, daemon: Script) -> None:
        def vanish(_: object) -> Streaming:
            (daemon.home / "endpoint.json").unlink()
            return subscribed(hangs_up=True)

        daemon.answers["events.subscribe"] = vanish
        outcome = run("events", "-f", "--timeout", "0.5")
        assert (outcome.code, outcome.err.splitlines()[1:]) == (
            6, ["error: no daemon was started in time", "hint: godot-supervisor start"],
        )  # fmt: skip

    def test_all_events_of_the_next_daemon_are_printed(self, home: Path) -> None:
        words = [sys.executable, "-m", "supervisor", "events", "-f", "--json"]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        with scripted_daemon(home) as first:
            first.answers["events.subscribe"] = subscribed(7, hangs_up=True)
            follower: subprocess.Popen[str] = subprocess.Popen(words, cwd=REPOSITORY, **pipes)
            assert follower.stdout is not None
            assert follower.stderr is not None
            assert json.loads(follower.stdout.readline())["seq"] == 7
            # Removed before the command can read the file again, so that no daemon is found before the second one.
            (home / "endpoint.json").unlink()
            assert follower.stderr.readline() == "the daemon has ended; waiting for the next one\n"
        with scripted_daemon(home, instance="i-2") as second:

            def subscribe(params: dict[str, Any]) -> Streaming:
                known = params["since"]["instance_id"] == "i-2"
                return subscribed(1, 2) if known else resync("another instance")

            second.answers["events.subscribe"] = subscribe
            shown = [json.loads(follower.stdout.readline()) for _ in range(3)]
            assert [row.get("seq", row.get("reason")) for row in shown] == ["another instance", 1, 2]
            assert [params["since"] for params in second.all_params("events.subscribe")] == [
                {"instance_id": "i-1", "seq": 7},
                {"instance_id": "i-2", "seq": 0},
            ]
            # Windows sends no Ctrl-C to one process.
            follower.kill() if IS_WINDOWS else follower.send_signal(signal.SIGINT)
            _, complaint = follower.communicate(timeout=30)
        assert complaint.strip() == "connected to a new daemon, version 9.9.9"
        assert follower.returncode == (1 if IS_WINDOWS else 130)
