"""Logs as they are written: each line once, in order, whatever becomes of the server and of the file."""

import json
import os
import signal

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually
from tests.e2e.line import LONG, Busybody, Line

LAUNCHES = 3
ROTATED_BYTES = 5 * 1024 * 1024


class Tail:
    """A log that is followed."""

    def __init__(self, line: Line, server: str | None, lines: int = 10_000) -> None:
        self._line = line
        which = {} if server is None else {"server": server}
        self._request = line.send("logs.read", {**which, "lines": lines, "follow": True})
        answer = line.answer(self._request)["result"]
        self.lines: list[str] = answer["lines"]
        self.logs: list[str] = [answer["log"]]
        self.ended = False

    def hear(self) -> None:
        told = self._line.told(self._request, "log")
        self.lines += told["lines"]
        if told["log"] != self.logs[-1]:
            self.logs.append(told["log"])
        self.ended = told["ended"]


def launches(lines: list[str]) -> list[list[str]]:
    """The lines of each launch, without the first."""
    found: list[list[str]] = []
    for line in lines:
        if line.startswith("e2e-toy "):
            found.append([])
        else:
            found[-1].append(line)
    return found


def test_followed_log_is_complete_across_launches(make_home: MakeHome) -> None:
    home = make_home(toy_config("--talk"))
    server = home.up("e2e-toy", "--owner-pid", str(home.owner().pid))
    with Line(home) as line:
        tail = Tail(line, "e2e-toy")
        for number in range(LAUNCHES - 1):
            while len(launches(tail.lines)[number:]) != 1 or len(launches(tail.lines)[number]) < 50:
                tail.hear()
            if number:
                os.kill(server["root_pid"], signal.SIGKILL)
            else:
                server = line.ask("server.restart", {"server": "e2e-toy"})
            while len(launches(tail.lines)) < number + 2:
                tail.hear()
        eventually(lambda: home.server_in("e2e-toy", "ready", restarts=LAUNCHES - 1), "it is ready again")
        line.ask("server.stop", {"server": "e2e-toy"})
        while not tail.ended:
            tail.hear()
    assert len(tail.logs) == LAUNCHES
    told = launches(tail.lines)
    assert [lines == [f"line {number}" for number in range(len(lines))] for lines in told] == [True] * LAUNCHES
    assert [min(len(lines), 50) for lines in told[: LAUNCHES - 1]] == [50] * (LAUNCHES - 1)


def test_the_log_of_a_server_is_read_without_following_it(toy: Home) -> None:
    server = toy.up("e2e-toy")
    answer = toy.call("logs.read", {"server": "e2e-toy", "lines": 1})
    assert answer == {"lines": [f"e2e-toy 1.0 on {server['ports']['http']}"], "log": server["log"], "ended": False}
    with Line(toy) as line:
        assert line.refused("logs.read", {"server": "nobody"})["data"]["code"] == "NOT_FOUND"
        assert line.ask("logs.read", {"lines": 0})["lines"] == []


def test_the_daemons_own_log_is_followed_across_its_rotation(toy: Home) -> None:
    toy.start()
    own = toy.folders.logs / "daemon.log"
    body = Busybody(toy)
    with Line(toy) as line:
        tail = Tail(line, None)
        feed = line.subscribe()
        while not own.with_name("daemon.log.1").exists():
            body.makes(100, LONG)
            for _ in range(100):
                feed.next()
        body.makes(3)
        last = [feed.next() for _ in range(3)][-1]["seq"]
        while json.loads(tail.lines[-1])["seq"] != last:
            tail.hear()
    body.close()
    # Some lines are no events, and have no number; some were cut, as lines of logs are.
    numbers = [int(text.partition('"seq": ')[2].partition(",")[0]) for text in tail.lines if '"seq": ' in text]
    assert numbers == list(range(1, last + 1))
    assert own.with_name("daemon.log.1").stat().st_size > ROTATED_BYTES // 2
