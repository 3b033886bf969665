"""What the dock shows of a daemon's answers and events, computed by the dock's GDScript in the editor's binary.

The answers are those of tests/data/transcript.jsonl, or have their form.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.godot_addon import addon_projects
from tests.godot_addon.played_daemon import call, owner, server
from tests.transcript import lines

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(120)]

GAME = "/home/user/my-game"
HERE = {"pid": 101, "project": GAME, "version": "0.1.0", "kind": "godot-ai"}
TOY_HERE = {**HERE, "kind": "toy"}
HELLO = {"version": "0.1.0", "instance_id": "instance-1"}
ME, OTHER = owner("my-game-1", 101), owner("other-game-1", 102)
CLAUDE = owner("claude-code-1", 104, client={"name": "claude-code", "version": "2.1.0", "title": "Claude Code"})
EDITORS = [
    {"id": "my-game-1", "pid": 101, "project": GAME, "busy": None},
    {"id": "other-game-1", "pid": 102, "project": "/home/user/other-game", "busy": None},
]
FAILURE = {"code": "START_FAILED", "message": "it ended by itself", "exit": -9, "log_tail": ["a", "b", "c"]}
SUSPECT = {"verdict": "suspect", "reasons": ["other-game-1 has ended"], "due_in_s": 5.0}
ENDED = [
    {"id": "godot-ai", "kind": "godot-ai", "project": None, "ended": 1700001000.0, "how": how, "by": "a shell",
     "exit": 3, "log": "/tmp/x.log"} for how in ("stopped",)
]  # fmt: skip
NO_DAEMON = {
    "code": "DAEMON_NOT_RUNNING",
    "message": "no daemon of godot-supervisor is running",
    "hint": "run this in a terminal: godot-supervisor start",
}
BUSY = {"code": "EDITOR_BUSY", "message": "the editor other-game-1 is busy: importing", "hint": "wait, or use --force"}
RECORDED = [line["frame"] for line in lines.read() if "frame" in line and line.get("from") == "daemon"]
STATUSES = [frame["result"] for frame in RECORDED if "orphans" in (frame.get("result") or {})]
EVENTS = [frame["params"] for frame in RECORDED if frame.get("method") == "event"]

Steps = list[list[Any]]


def status(*servers: dict[str, Any], clients: Any = ()) -> dict[str, Any]:
    daemon = {"pid": 100, "version": "0.1.0", "home": "/home/user/.godot-supervisor", "notes": []}
    return {"daemon": daemon, "editors": EDITORS, "servers": [*servers], "clients": [*clients], "orphans": []}


def shown(*servers: dict[str, Any], more: Steps | None = None, **here: Any) -> tuple[dict[str, Any], Steps]:
    """Return a case with one page: what is shown of these servers."""
    return {**HERE, **here}, [["connected", HELLO], ["snapshot", status(*servers)], *(more or []), ["page"]]


def event(name: str, server_id: str | None = None, editor: str | None = None, **details: Any) -> list[Any]:
    return ["event", {"event": name, "server": server_id, "editor": editor, "details": details}]


OWN = server("godot-ai", owners=[ME])
CASES: dict[str, tuple[dict[str, Any], Steps]] = {
    "recorded": (
        TOY_HERE,
        [["connected", HELLO], *([step for found in STATUSES for step in (["snapshot", found], ["page"])]),
         *(["event", found] for found in EVENTS), ["page"]],
    ),
    "no daemon": (HERE, [["page"], ["disconnected", NO_DAEMON], ["page"]]),
    "lost daemon": (
        HERE,
        [["connected", HELLO], ["snapshot", status(OWN)], ["disconnected", {"message": "gone", "code": "DISCONNECTED"}],
         ["page"], ["give up", NO_DAEMON], ["page"]],
    ),
    "shared": shown(server("godot-ai", owners=[ME, OTHER, CLAUDE]), server("toy@third", project="/home/user/third")),
    "busy": shown(server("godot-ai", owners=[ME, CLAUDE], calls=[call("scene_create", project=GAME)])),
    "failed": shown(server("godot-ai", state="failed", owners=[ME], failure=FAILURE)),
    "dying": shown(server("godot-ai", owners=[owner("other-game-1", 102, liveness="dead")], reap=SUSPECT)),
    "not used": shown(server("godot-ai", owners=[CLAUDE])),
    "found": shown(server("godot-ai", origin="external", owners=[ME])),
    "none": shown(more=[["history", ENDED]]),
    "refused": shown(OWN, more=[["error", "godot-ai", BUSY]]),
    "installing": shown(
        more=[["action", {"action": "start", "server": "", "kind": "godot-ai", "progress": {
            "stage": "installing", "message": "fastmcp", "done": 3, "total": 41}}]]
    ),
    "older addon": shown(OWN, version="0.0.9"),
    "users": (
        HERE,
        [["connected", HELLO],
         ["snapshot", status(server("godot-ai", owners=[ME, OTHER, CLAUDE], calls=[call("scene_create")]))],
         ["users", "godot-ai"], event("editor.state", editor="other-game-1", state="busy", reason="importing"),
         ["users", "godot-ai"], event("editor.ended", editor="other-game-1"), ["stale"]],
    ),
    "events": (
        HERE,
        [["connected", HELLO], ["snapshot", status(OWN)], ["stale"], event("server.state", "godot-ai", now="stopping"),
         event("server.spawned", "toy"), event("editor.attached", editor="x-1", pid=9, project="/x"), ["stale"],
         ["calls", {"servers": ["godot-ai", "unknown"]}], event("server.gone", "godot-ai"), ["stale"], ["page"]],
    ),
    "left out": (
        HERE,
        [["snapshot", {**status(), "editors": [{**EDITORS[0], "servers": ["far-1"]}]}], ["stale"]],
    ),
    "cost": (
        HERE,
        [["connected", HELLO], ["snapshot", status(*(server(f"toy@{n}", project=f"/{n}") for n in range(60)), OWN)],
         ["cost", event("server.state", "godot-ai", now="ready")[1], 200]],
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[Any]]:
    """Return what the dock shows in each case, all computed in one run of the editor's binary."""
    project = addon_projects.make(Path(tmp_path_factory.mktemp("dock")) / "project")
    cases = [{"here": here, "steps": steps} for here, steps in CASES.values()]
    return dict(zip(CASES, addon_projects.run_cases(project, cases, "dock_pages.gd"), strict=True))


def only_card(page: Any) -> dict[str, Any]:
    (card,) = page["cards"]
    return dict(card)


def buttons(card: dict[str, Any]) -> list[str]:
    return [name for name in ("start", "restart", "stop") if card[f"can_{name}"]]


def rows(card: dict[str, Any]) -> dict[str, str]:
    return {row["key"]: row["value"] for row in card["rows"]}


def test_recorded_conversation_is_shown(pages: dict[str, list[Any]]) -> None:
    """The statuses and events of tests/data/transcript.jsonl."""
    first, second, *_, last = pages["recorded"]
    card = only_card(first)
    assert (card["title"], card["state"], rows(card)["Owners"]) == ("toy", "Ready", "this editor")
    assert rows(card)["Ports"] == "8000 (http), 9500 (sessions)"
    busy = only_card(second)
    assert busy["state"] == "Busy with a tool call"
    assert [(client["name"], client["does"]) for client in busy["clients"]] == [
        ("Claude Code", "runs scene_create"),
        ("godot-supervisor 0.1.0", "waits to run scene_open"),
    ]
    assert busy["clients"][0]["tooltip"] == "Claude Code\nscene_create in this editor, since 22:30:22"
    assert last["daemon"]["text"] == "The daemon is stopping"


def test_missing_daemon_is_named_with_the_command(pages: dict[str, list[Any]]) -> None:
    looking, lost = pages["no daemon"]
    assert (looking["daemon"]["text"], looking["cards"]) == ("Looking for the daemon", [])
    assert lost["daemon"]["text"] == "No daemon of godot-supervisor is running."
    assert lost["problem"]["command"] == "godot-supervisor start"
    waiting, gone = pages["lost daemon"]
    assert (waiting["daemon"]["text"], only_card(waiting)["title"]) == ("Waiting for the daemon", "godot-ai")
    assert (gone["daemon"]["text"], gone["cards"]) == ("No daemon of godot-supervisor is running.", [])


def test_shared_server_names_its_owners_and_clients(pages: dict[str, list[Any]]) -> None:
    (page,) = pages["shared"]
    card = only_card(page)
    assert (card["state"], card["icon"], card["colour"]) == ("Ready", "StatusSuccess", "success_color")
    assert rows(card)["Owners"] == "this editor, other-game"
    assert [(client["name"], client["does"]) for client in card["clients"]] == [("Claude Code", "connected")]
    assert buttons(card) == ["restart", "stop"]
    assert page["others"] == {"text": "1 other server", "tooltip": "toy@third: ready"}


def test_server_that_ended_says_why(pages: dict[str, list[Any]]) -> None:
    failed = only_card(pages["failed"][0])
    assert (failed["state"], failed["icon"], buttons(failed)) == ("Failed", "StatusError", ["start"])
    assert failed["problem"]["message"] == "It ended by itself. Exit status: killed (SIGKILL)."
    assert failed["problem"]["log"] == "b\nc"
    assert failed["problem"]["hint"] == "The log says more. Start tries again."
    none = only_card(pages["none"][0])
    assert (none["state"], none["detail"]) == ("Not running", "It was stopped by a shell at 22:30.")
    assert (buttons(none), none["log"]) == (["start"], "godot-ai")


def test_orphan_says_when_it_is_stopped_and_can_be_kept(pages: dict[str, list[Any]]) -> None:
    card = only_card(pages["dying"][0])
    assert (card["state"], card["icon"]) == ("Is about to be stopped", "StatusWarning")
    assert card["detail"] == "other-game-1 has ended. It is stopped at 22:30:05."
    assert (card["start"], buttons(card)) == ("Keep", ["start", "restart", "stop"])


def test_server_of_others_can_be_used(pages: dict[str, list[Any]]) -> None:
    card = only_card(pages["not used"][0])
    assert (card["start"], card["detail"]) == ("Use", "This editor does not use it.")
    found = only_card(pages["found"][0])
    assert buttons(found) == []
    assert rows(found)["Started by"] == "another program"


def test_refusals_and_progress_are_shown(pages: dict[str, list[Any]]) -> None:
    refused = only_card(pages["refused"][0])["problem"]
    assert refused["message"] == "The editor other-game-1 is busy: importing."
    assert refused["hint"] == "Wait, or use --force."
    installing = only_card(pages["installing"][0])
    assert (installing["state"], installing["detail"]) == ("Starting", "Installing: fastmcp (3 of 41)")
    assert buttons(installing) == ["stop"]
    assert "godot-supervisor addon update" in pages["older addon"][0]["notes"][0]


def test_other_users_are_named(pages: dict[str, list[Any]]) -> None:
    before, importing, stale = pages["users"]
    assert before == {"names": ["other-game (editor)", "Claude Code (a tool call runs)"], "is_busy": False}
    assert importing["names"][0] == "other-game (editor, importing)"
    assert importing["is_busy"]
    assert stale == ["godot-ai"]


def test_events_say_what_is_read_again(pages: dict[str, list[Any]]) -> None:
    at_first, changed, gone, page = pages["events"]
    assert (at_first, changed, gone) == ([], ["godot-ai", "toy"], ["toy"])
    assert only_card(page)["state"] == "Not running"


def test_server_that_a_long_status_leaves_out_is_read(pages: dict[str, list[Any]]) -> None:
    assert pages["left out"] == [["far-1"]]


def test_200_events_cost_less_than_a_frame(pages: dict[str, list[Any]]) -> None:
    assert pages["cost"][0] < 8000
