"""tests/data/transcript.jsonl against the daemon: the same messages of clients must get the same answers."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.control.methods.table import GREETING
from supervisor.errors import InvalidParams
from supervisor.wire.messages.methods import METHODS
from supervisor.wire.messages.notifications import NOTIFICATIONS
from tests.protocol import check, check_frame, fits
from tests.transcript import lines
from tests.transcript.names import Names
from tests.transcript.stage import Line, Stage
from tests.transcript.story import greeted

RECORDED = lines.read()
FRAMES = [line["frame"] for line in RECORDED if "frame" in line]


def as_it_is(frame: Line) -> Line:
    return frame


@pytest.mark.parametrize("said", [as_it_is, lines.from_later])
def test_the_daemon_answers_as_recorded(tmp_path: Path, said: Callable[[Line], Line]) -> None:
    """Ids, pids and times are those of this run. With `from_later`, the clients are newer than the daemon."""
    then, now = Names(), Names(tmp_path.resolve())

    async def play(stage: Stage) -> None:
        for number, line in enumerate(RECORDED, start=1):
            match line:
                case {"from": "daemon"}:
                    heard = now.neutral(await stage.hear(line["connection"]))
                    assert heard == then.neutral(line), f"line {number}; to record it anew: {lines.COMMAND}"
                case {"from": "client"}:
                    stage.send(line["connection"], spoken(now.own(then, line), said))
                case {"from": "world"}:
                    seen = await stage.happen(line["does"], **now.own(then, line["with"]))
                    assert now.neutral(seen) == then.neutral(line.get("seen", {}))

    stage = Stage(tmp_path)
    stage.tell(play)
    assert stage.unheard() == []


def spoken(line: Line, said: Callable[[Line], Line]) -> Line:
    words: Line = {key: line[key] for key in ("frame", "raw", "leaves") if key in line}
    return {**words, "frame": said(words["frame"])} if "frame" in words else words


def test_the_daemon_has_the_methods_of_the_protocol(tmp_path: Path) -> None:
    async def look(stage: Stage) -> None:
        methods = stage.daemon.all_connections.methods
        assert {name: methods.find(name).params for name in methods.names if name != GREETING} == {
            name: types.params for name, types in METHODS.items() if name != GREETING
        }
        talk = await greeted(stage, "shell")
        await talk.ask("daemon.shutdown", servers=False)

    Stage(tmp_path).tell(look)


def test_every_recorded_frame_fits_the_schema() -> None:
    asked: dict[tuple[str, Any], str] = {}
    for line in RECORDED:
        frame = line.get("frame", {})
        if line["from"] == "client" and frame:
            asked[line["connection"], frame["id"]] = frame["method"]
        if line["from"] == "daemon" and frame:
            check_frame(frame)
        if "result" in frame:
            check(asked[line["connection"], frame["id"]], frame["result"])


def test_a_request_that_the_schema_forbids_is_refused() -> None:
    refused = [
        line for line in RECORDED if line.get("frame", {}).get("error", {}).get("code") == InvalidParams.rpc_code
    ]
    numbers = [(line["connection"], line["frame"]["id"]) for line in refused]
    asked = [line for line in RECORDED if line["from"] == "client" and "frame" in line]
    forbidden = [line for line in asked if not fits("Request", line["frame"])]
    assert [(line["connection"], line["frame"]["id"]) for line in forbidden] == numbers != []


def test_the_transcript_has_every_method_and_notification() -> None:
    assert {frame["method"] for frame in FRAMES if "method" in frame} >= {*METHODS, *NOTIFICATIONS}
