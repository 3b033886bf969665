import pytest

from supervisor.cli.text import report
from supervisor.core.model import Topology
from supervisor.kinds.kind import Kind
from tests.cli.objects import QUOTED, editor, owner, server

KIND = Kind(name="godot-ai", command=("x",), topology=Topology.SHARED, sessions="ws", grace_s=5.0)


def test_a_living_owner_and_the_grace_are_named() -> None:
    text = report.fate(server(owners=[owner(pid=123)]), [editor(name="game-1") | {"name": "bash"}], KIND)
    assert text == (
        "when pid 123 (bash) ends, the server is stopped 5 s later; it is kept while an editor session is open"
    )


def test_an_owner_without_a_name_is_known_by_its_id() -> None:
    assert "pid 123 (game-1) ends" in report.fate(server(owners=[owner()]), [], KIND)


def test_with_several_owners_all_have_to_end() -> None:
    text = report.fate(server(owners=[owner(), owner("b", 5)]), [], KIND)
    assert text.startswith("when pid 123 (game-1) and pid 5 (b) have ended, the server is stopped 5 s later")


def test_sessions_keep_only_a_kind_that_counts_them() -> None:
    kind = Kind(name="mute", command=("x",), grace_s=0.5)
    assert report.fate(server(owners=[owner()]), [], kind) == (
        "when pid 123 (game-1) ends, the server is stopped 0.5 s later"
    )


def test_without_an_owner_the_way_down_is_named() -> None:
    assert report.fate(server(id="a@b"), [], KIND) == "no owner: it runs until `godot-supervisor down a@b`"


@pytest.mark.parametrize("owners", [[owner(liveness="dead")], [owner(leaving=True)]])
def test_owners_that_are_dead_or_leaving_keep_nothing(owners: list[dict[str, object]]) -> None:
    assert report.fate(server(owners=owners), [], KIND) == (
        "its owners have ended or are leaving: it is stopped soon, unless somebody owns it by then; "
        "it is kept while an editor session is open"
    )


def test_a_server_that_is_suspected_is_not_said_to_run_on() -> None:
    verdict = {"verdict": "suspect", "reasons": ["no owner"], "due_in_s": 4.0}
    assert report.fate(server(reap=verdict), [], KIND).startswith("its owners have gone: it is stopped soon")


def test_a_kind_that_is_ended_when_nobody_uses_it_says_so() -> None:
    kind = Kind(name="idle", command=("x",), grace_s=5.0, idle_s=600.0)
    assert report.fate(server(), [], kind) == (
        "no owner: it is stopped when nobody has used it for 600 s, or by `godot-supervisor down godot-ai`"
    )


def test_a_bridge_is_pasted_as_a_command_line() -> None:
    text = report.paste(server(id="godot-ai@my-game", connect=["/opt/my env/python", "attach", "--port", "8000"]))
    assert text == f"claude mcp add godot-ai-my-game -- {QUOTED} attach --port 8000"


def test_a_server_that_speaks_http_is_pasted_as_its_url() -> None:
    text = report.paste(server(connect=[]))
    assert text == "claude mcp add --transport http godot-ai http://127.0.0.1:8000/mcp"


def test_a_server_without_a_way_in_has_nothing_to_paste() -> None:
    assert report.paste(server(connect=[], url=None)) is None


def test_the_report_ends_with_the_line_to_paste() -> None:
    lines = list(report.lines(server(), [], KIND, already=False))
    assert lines[0] == "godot-ai 4.3.1 ready"
    assert "  url    http://127.0.0.1:8000/mcp" in lines
    assert "  pid    4300" in lines
    assert "  ports  http 8000, ws 9500" in lines
    assert "  log    /logs/godot-ai.log" in lines
    assert lines[-1] == "  claude mcp add --transport http godot-ai http://127.0.0.1:8000/mcp"


def test_a_server_that_was_ready_before_is_already_running() -> None:
    assert next(report.lines(server(), [], KIND, already=True)) == "godot-ai 4.3.1 already running"


@pytest.mark.parametrize(
    ("occupant", "text"),
    [
        (
            {"pid": 512, "command": ["python"], "user": "me"},
            "held by pid 512 (python) of me",
        ),
        (None, "excluded by the system"),
    ],
)
def test_a_port_that_moved_names_its_occupant_or_the_reason(occupant: dict[str, object] | None, text: str) -> None:
    row = {"port": 8000, "occupant": occupant, "reason": "excluded by the system"}
    assert f"port 8000 was passed over: {text}" in list(report.lines(server(relocated=[row]), [], KIND, already=False))


def test_the_version_and_what_to_know_of_it_are_told() -> None:
    found = server(version_why="addons/x.cfg in /p has it", notes=["its plugin looks on http 8000 only"])
    lines = list(report.lines(found, [], KIND, already=False))
    assert "version 4.3.1: addons/x.cfg in /p has it" in lines
    assert "note: its plugin looks on http 8000 only" in lines


def test_a_daemon_that_tells_no_reason_is_understood() -> None:
    assert not [
        text for text in report.lines(server(), [], KIND, already=False) if text.startswith(("version", "note"))
    ]
