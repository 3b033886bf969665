"""Tool calls on the wire: raw connections to a real daemon, one server whose kind has a gate."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.conftest import toy_config
from tests.e2e.home import Home, eventually
from tests.e2e.line import Line

pytestmark = pytest.mark.full

TOY = "e2e-toy"
MakeGated = Callable[[str], Home]


@pytest.fixture
def gated(make_home: Callable[..., Home]) -> MakeGated:
    """Homes with a ready server whose kind has a gate."""

    def make(gate: str) -> Home:
        home = make_home(f'{toy_config()}gate = "{gate}"\n')
        home.up(TOY)
        return home

    return make


def begin(line: Line, call: int = 1, server: str = TOY) -> int:
    return line.send("call.begin", {"server": server, "call": call, "tool": "write"})


def code(line: Line, request: int) -> str | None:
    """Return the code of the error that answers a request, None for a success."""
    answer = line.answer(request)
    return answer["error"]["data"]["code"] if "error" in answer else None


def test_calls_are_admitted_one_after_the_other(gated: MakeGated) -> None:
    home = gated("serialize")
    with Line(home) as first, Line(home) as second, Line(home) as third:
        assert code(first, begin(first)) is None

        def states() -> list[str]:
            return [call["state"] for call in first.ask("server.get", {"server": TOY})["calls"]]

        # Each connection has a queue of its own, so the daemon may read them in any order.
        waits = begin(second)
        eventually(lambda: states() == ["running", "waiting"], "the second call waits")
        last = begin(third)
        eventually(lambda: states() == ["running", "waiting", "waiting"], "the third call waits")
        first.ask("call.end", {"call": 1})
        assert code(second, waits) is None
        # The end of a connection ends its call.
        second.close()
        assert code(third, last) is None


def test_the_begin_and_end_of_a_call_may_come_together(gated: MakeGated) -> None:
    home = gated("serialize")
    with Line(home) as line, Line(home) as other:
        frames = [(begin(line, call), line.send("call.end", {"call": call})) for call in range(50)]
        assert {code(line, request) for pair in frames for request in pair} == {None}
        assert code(other, begin(other)) is None
        frames = [(begin(line, call), line.send("call.end", {"call": call})) for call in range(50)]
        assert {(code(line, first), code(line, second)) for first, second in frames} == {("CANCELLED", None)}
        assert len(other.ask("server.get", {"server": TOY})["calls"]) == 1


def test_impossible_calls_are_typed_errors(gated: MakeGated) -> None:
    home = gated("reject")
    with Line(home) as line:
        assert code(line, begin(line, server="nowhere")) == "NOT_FOUND"
        assert code(line, line.send("call.end", {"call": 9})) == "NOT_FOUND"
        assert code(line, begin(line, 1)) is None
        assert code(line, begin(line, 1)) == "INVALID_PARAMS"
        assert code(line, begin(line, 2)) == "EDITOR_BUSY"
        assert code(line, begin(line, -1)) == "INVALID_PARAMS"
        report = {"calls": 1, "running": [{"call": number, "server": TOY, "tool": "x"} for number in range(257)]}
        assert code(line, line.send("call.report", report)) == "INVALID_PARAMS"
        assert code(line, line.send("client.attach", {"pid": os.getpid(), "client": {"name": ""}})) == "INVALID_PARAMS"


def test_a_crowd_of_waiting_calls_is_bounded_and_goes(gated: MakeGated) -> None:
    home = gated("serialize")
    with Line(home) as holder:
        assert code(holder, begin(holder)) is None
        crowd = [Line(home) for _ in range(8)]
        asked = [(line, begin(line, call)) for line in crowd for call in range(250)]
        codes = [code(line, request) for line, request in asked]
        assert set(codes) <= {"EDITOR_BUSY", "BUSY"}
        assert codes.count("EDITOR_BUSY") > 1000
        for line in crowd:
            line.close()
        eventually(lambda: len(holder.ask("server.get", {"server": TOY})["calls"]) == 1, "only one call is left")
        holder.ask("call.end", {"call": 1})
        assert code(holder, begin(holder)) is None


def test_a_client_that_attaches_is_listed_until_it_leaves(gated: MakeGated, tmp_path: Path) -> None:
    home = gated("off")
    with Line(home) as watcher:
        feed = watcher.subscribe()
        line = Line(home)
        said = {"name": "raw\x1b[2J", "version": "1", "title": "Raw"}
        client = line.ask("client.attach", {"pid": os.getpid(), "client": said, "project": str(tmp_path), "calls": 4})
        assert (client["name"], client["calls"], client["connected"]) == ("raw\x1b[2J", 4, True)
        line.ask("call.report", {"calls": 5, "running": [{"call": 1, "server": TOY, "tool": "look"}]})
        [row] = watcher.ask("status")["clients"]
        assert (row["calls"], [call["tool"] for call in row["running"]]) == (5, ["look"])
        assert "\x1b[2J" not in home.cli("status").stdout
        line.close()
        feed.until("client.attached", client=client["id"])
        feed.until("client.detached", client=client["id"])
        assert watcher.ask("status")["clients"] == []
