import re

import pytest

from supervisor.cli.text import ai_clients, server_report
from supervisor.core.model import Topology
from supervisor.kinds.kind import Kind
from tests.cli.objects import QUOTED, editor, owner, server

KIND = Kind(name="godot-ai", command=("x",), topology=Topology.SHARED, sessions="ws", grace_s=5.0)


def test_the_owner_and_the_grace_are_shown() -> None:
    text = server_report.what_ends_it(server(owners=[owner(pid=123)]), [editor(name="game-1") | {"name": "bash"}], KIND)
    assert text == (
        "when pid 123 (bash) ends, the server is stopped 5 s later; it is kept while an editor session is open"
    )


def test_an_owner_without_a_name_is_known_by_its_id() -> None:
    assert "pid 123 (game-1) ends" in server_report.what_ends_it(server(owners=[owner()]), [], KIND)


def test_all_of_several_owners_have_to_end() -> None:
    text = server_report.what_ends_it(server(owners=[owner(), owner("b", 5)]), [], KIND)
    assert text.startswith("when pid 123 (game-1) and pid 5 (b) have ended, the server is stopped 5 s later")


def test_sessions_are_mentioned_only_if_the_kind_counts_them() -> None:
    kind = Kind(name="silent", command=("x",), grace_s=0.5)
    assert server_report.what_ends_it(server(owners=[owner()]), [], kind) == (
        "when pid 123 (game-1) ends, the server is stopped 0.5 s later"
    )


def test_without_an_owner_down_is_named() -> None:
    assert (
        server_report.what_ends_it(server(id="a@b"), [], KIND) == "no owner: it runs until `godot-supervisor down a@b`"
    )


@pytest.mark.parametrize("owners", [[owner(liveness="dead")], [owner(leaving=True)]])
def test_dead_and_leaving_owners_do_not_keep_the_server(owners: list[dict[str, object]]) -> None:
    assert server_report.what_ends_it(server(owners=owners), [], KIND) == (
        "its owners have ended or are leaving: it is stopped soon, unless it gets a new owner; "
        "it is kept while an editor session is open"
    )


def test_a_suspect_is_about_to_be_stopped() -> None:
    verdict = {"verdict": "suspect", "reasons": ["no owner"], "due_in_s": 4.0}
    assert server_report.what_ends_it(server(reap=verdict), [], KIND).startswith(
        "its owners have ended: it is stopped soon"
    )


def test_a_kind_with_an_idle_limit_shows_it() -> None:
    kind = Kind(name="idle", command=("x",), grace_s=5.0, idle_s=600.0)
    assert server_report.what_ends_it(server(), [], kind) == (
        "no owner: it is stopped after 600 s without use, or by `godot-supervisor down godot-ai`"
    )


def test_a_bridge_is_added_as_a_command_line() -> None:
    text = ai_clients.direct_command(
        server(id="godot-ai@my-game", connect=["/opt/my env/python", "attach", "--port", "8000"])
    )
    assert text == f"claude mcp add godot-ai-my-game -- {QUOTED} attach --port 8000"


def test_a_server_with_a_url_is_added_by_its_url() -> None:
    text = ai_clients.direct_command(server(connect=[]))
    assert text == "claude mcp add --transport http godot-ai http://127.0.0.1:8000/mcp"


def test_a_server_without_an_address_has_no_command() -> None:
    assert ai_clients.claude_command(server(connect=[], url=None)) is None


def test_the_report_ends_with_the_command_for_claude() -> None:
    lines = list(server_report.lines(server(), [], KIND, already_running=False))
    assert lines[0] == "godot-ai 4.3.1 ready"
    assert "  url    http://127.0.0.1:8000/mcp" in lines
    assert "  pid    4300" in lines
    assert "  ports  http 8000, ws 9500" in lines
    assert "  log    /logs/godot-ai.log" in lines
    assert "  godot-supervisor clients install" in lines
    assert re.fullmatch("  claude mcp add --scope user godot .*-- .* mcp", lines[-1])


def test_the_report_names_a_kind_that_the_bridge_does_not_find() -> None:
    lines = list(server_report.lines(server(kind="unity-mcp"), [], KIND, already_running=False))
    assert "  godot-supervisor clients install --kind unity-mcp" in lines
    assert lines[-1].endswith(" mcp unity-mcp")


def test_the_report_of_a_server_without_a_url_has_its_own_command() -> None:
    without_url = server(url=None, connect=["/opt/python", "attach"])
    lines = list(server_report.lines(without_url, [], KIND, already_running=False))
    assert lines[-1] == "  claude mcp add godot-ai -- /opt/python attach"


def test_a_server_that_was_ready_before_is_already_running() -> None:
    assert next(server_report.lines(server(), [], KIND, already_running=True)) == "godot-ai 4.3.1 already running"


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
def test_a_port_passed_over_shows_the_occupant_or_reason(occupant: dict[str, object] | None, text: str) -> None:
    row = {"port": 8000, "occupant": occupant, "reason": "excluded by the system"}
    assert f"port 8000 was passed over: {text}" in list(
        server_report.lines(server(relocated=[row]), [], KIND, already_running=False)
    )


def test_the_version_and_notes_are_shown() -> None:
    found = server(version_why="addons/x.cfg in /p has it", notes=["its plugin looks on http 8000 only"])
    lines = list(server_report.lines(found, [], KIND, already_running=False))
    assert "version 4.3.1: addons/x.cfg in /p has it" in lines
    assert "note: its plugin looks on http 8000 only" in lines


def test_an_answer_without_reasons_is_understood() -> None:
    assert not [
        text
        for text in server_report.lines(server(), [], KIND, already_running=False)
        if text.startswith(("version", "note"))
    ]
