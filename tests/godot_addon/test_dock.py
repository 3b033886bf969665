"""The dock in a real editor: beside a daemon that a test plays, and beside the real one."""

import subprocess
from pathlib import Path
from typing import Any

import pytest

from supervisor.godot_addon import addon_files
from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import eventually
from tests.godot_addon import addon_projects, editing
from tests.godot_addon.played_daemon import PlayedDaemon, call, owner, server
from tests.lab import godot
from tests.lab.godot import Editor

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(300)]

DOCK = "Supervisor"
CLAUDE = {"name": "claude-code", "version": "2.1.0", "title": "Claude Code"}
CONNECT_LINE = "claude mcp add --scope user godot -- godot-supervisor mcp"
ADDON = "res://addons/godot_supervisor/"
SCRIPTS = sorted(name for name in addon_files.packaged("1") if name.startswith("dock"))
CARD = "dock_card.gd"
USES_MEMBER = {
    CARD: "func show_card(card: Dictionary, connect_line: String) -> void:\n",
    "dock.gd": "func _draw_page(page: Dictionary) -> void:\n",
    "dock_state.gd": "func take_event(event: Dictionary) -> void:\n",
}
"""Functions of the dock that use the members which `add_members` adds."""

FRAME_US = 8000
NARROW = "5000"


class Dock:
    """The dock of an editor, as a user sees it."""

    def __init__(self, editor: Editor) -> None:
        self.editor = editor

    def texts(self) -> list[str]:
        return list(self.editor.do("dock", DOCK))

    def shows(self, *wanted: str) -> list[str]:
        """Wait until the dock shows all of these texts, and return all that it shows."""
        seen: list[str] = []

        def look() -> bool:
            seen[:] = self.texts()
            return all(text in seen for text in wanted)

        try:
            eventually(look, f"the dock shows {wanted}", 20)
        except AssertionError as problem:
            raise AssertionError(f"{problem}; it shows {seen}") from None
        return seen

    def press(self, button: str) -> None:
        assert self.editor.do("press", DOCK, button), f"no button {button} in {self.texts()}"


def last_asked(daemon: PlayedDaemon, method: str) -> Any:
    """Wait for a request of this method, and return its params without the request's id."""
    params = eventually(lambda: daemon.asked(method), f"the dock asks {method}")[-1]
    return {name: value for name, value in params.items() if name != "request"}


def test_dock_shows_and_does_what_a_user_wants(tmp_path: Path) -> None:
    project = addon_projects.make(tmp_path / "my-game")
    home = tmp_path / "daemon"
    home.mkdir(mode=0o700)
    with godot.running(project, tmp_path / "user", window=True, GODOT_SUPERVISOR_HOME=str(home)) as editor:
        editor.line("LAB idle")
        dock = Dock(editor)
        dock.shows("godot-supervisor is not installed, or has never run.")
        with PlayedDaemon(home) as daemon:
            dock.shows("Daemon 0.1.0", "Not running", "[Start]")
            starts_and_cancels(dock, daemon)
            names_others_before_a_stop(dock, daemon)
            shows_calls_logs_and_refusals(dock, daemon)
            fits_the_narrowest_dock(dock, daemon)
            catches_up_with_many_events(dock, daemon)
        dock.shows("Waiting for the daemon", "godot-ai")
        assert "godot-ai" not in dock.shows("No daemon of godot-supervisor is running.")
        assert editor.quit() == 0
        assert editor.complaints() == []


def starts_and_cancels(dock: Dock, daemon: PlayedDaemon) -> None:
    daemon.silent.add("server.ensure")
    dock.press("Start")
    assert last_asked(daemon, "server.ensure") == {"kind": "godot-ai", "editor": "my-game-1"}
    dock.shows("Starting", "[Cancel]")
    daemon.progress("server.ensure", stage="installing", message="fastmcp", done=3, total=41)
    dock.shows("Installing: fastmcp (3 of 41)")
    dock.press("Cancel")
    cancelled = eventually(lambda: daemon.asked("request.cancel"), "the start is cancelled")[-1]
    assert cancelled == {"request": daemon.asked("server.ensure")[-1]["request"], "editor": "my-game-1"}
    daemon.refuse_last("server.ensure", {"code": "CANCELLED", "message": "cancelled", "hint": ""})
    dock.shows("Not running", "[Start]")


def names_others_before_a_stop(dock: Dock, daemon: PlayedDaemon) -> None:
    daemon.publish("editor.attached", editor="other-game-1", pid=4100, project="/home/me/other-game")
    me, other = owner("my-game-1", daemon.me["pid"]), owner("other-game-1", 4100)
    daemon.set(server("godot-ai", owners=[me, other, owner("claude-code-1", 4400, client=CLAUDE)]))
    dock.shows("Ready", "this editor, other-game", "Claude Code: connected", "8000 (http), 9500 (ws)")
    dock.press("Stop")
    dock.shows("window: Stop godot-ai?", "This server is also used by:\n- other-game (editor)\n- Claude Code")
    assert daemon.asked("server.stop") == []
    dock.press("Stop for All")
    assert last_asked(daemon, "server.stop") == {"server": "godot-ai", "editor": "my-game-1"}
    daemon.publish("editor.state", editor="other-game-1", state="busy", reason="importing", ttl_s=60)
    daemon.set(server("godot-ai", owners=[me, other]))
    dock.shows("Ready")
    dock.press("Restart")
    dock.shows("This server is also used by:\n- other-game (editor, importing)")
    dock.press("Restart for All")
    assert last_asked(daemon, "server.restart") == {"server": "godot-ai", "editor": "my-game-1", "force": True}


def shows_calls_logs_and_refusals(dock: Dock, daemon: PlayedDaemon) -> None:
    me = owner("my-game-1", daemon.me["pid"])
    busy = server("godot-ai", owners=[me, owner("claude-code-1", 4400, client=CLAUDE)], calls=[call("scene_create")])
    daemon.servers["godot-ai"] = busy
    daemon.send({"method": "calls", "params": {"id": 2, "servers": ["godot-ai"]}})
    dock.shows("Busy with a tool call", "Claude Code: runs scene_create")
    dock.press("Open Log")
    dock.shows("window: Log of godot-ai", "INFO:     Started server process\nINFO:     Application startup complete.")
    dock.press("Close")
    dock.press("Copy Connect Line")
    assert dock.editor.do("clipboard") == CONNECT_LINE
    daemon.set(server("godot-ai", owners=[me]))
    daemon.refusals["server.restart"] = {"code": "BUSY", "message": "a stop is running", "hint": "wait, then try again"}
    dock.shows("Ready")
    dock.press("Restart")
    dock.shows("A stop is running.", "Wait, then try again.", "[Restart]")


def fits_the_narrowest_dock(dock: Dock, daemon: PlayedDaemon) -> None:
    name = "a-project-with-a-name-that-is-longer-than-a-dock-is-wide"
    log = ["Traceback (most recent call last):", "ModuleNotFoundError: No module named 'fastmcp'"]
    failure = {"code": "START_FAILED", "message": "it ended by itself", "exit": 1, "log_tail": log}
    project = daemon.me["project"]
    daemon.set(server(f"toy@{name}", project=project, state="failed", failure=failure, version="12.34.56-rc.7"))
    dock.editor.do("squeeze", DOCK, NARROW)
    dock.shows(f"toy@{name}", "Failed", "It ended by itself. Exit status: 1.", "\n".join(log), "[Start]", "[Open Log]")
    assert dock.editor.do("cut_off", DOCK) == []


def catches_up_with_many_events(dock: Dock, daemon: PlayedDaemon) -> None:
    """They come at once, and lead to a few reads and no long frame. A busy machine is asked three times."""
    daemon.set(server("godot-ai", owners=[owner("my-game-1", daemon.me["pid"])]))
    dock.shows("Ready")
    worst = []
    for _ in range(3):
        read = len(daemon.asked("server.get"))
        daemon.publish_often(200, "server.state", server="godot-ai", launch="1", was="ready", now="ready")
        worst.append(max(dock.editor.do("time", DOCK, "200")))
        dock.shows("Ready")
        assert len(daemon.asked("server.get")) - read <= 20
        if worst[-1] < FRAME_US:
            return
    pytest.fail(f"the longest calls took {worst} us")


def add_members(project: Path, scripts: list[str]) -> None:
    """Change scripts of the dock on disk as a later release may: with a member that the objects of now lack."""
    for name in scripts:
        script = project / ADDON.removeprefix("res://") / name
        text = script.read_text(encoding="utf-8")
        begin = USES_MEMBER.get(name)
        if begin is not None:
            assert begin in text
            added = f'{begin}\t_added["b"] = _added["a"]\n'
            script.write_text(text.replace(begin, added) + '\n\nvar _added: Dictionary = {"a": 1}\n', encoding="utf-8")


def test_dock_beside_the_real_daemon(make_home: MakeHome, tmp_path: Path) -> None:
    """A server is stopped and started by the dock, crashes and comes back, and is kept when its owner has ended."""
    home = make_home(toy_config(grace=60))
    home.start()
    project = editing.make_project(tmp_path / "my-game", "e2e-toy")
    with editing.editing(project, home) as editor:
        editor.line("LAB idle")
        dock = Dock(editor)
        dock.shows("e2e-toy", "Ready", "this editor")
        dock.press("Stop")
        stopped = dock.shows("Not running", "[Start]", "[Open Log]")
        assert [text for text in stopped if text.startswith("It was stopped by ")]
        dock.press("Start")
        dock.shows("Ready", "this editor", "[Restart]")
        with subprocess.Popen(["sleep", "600"]) as owner_process:
            home.up("e2e-toy", "--owner-pid", str(owner_process.pid))
            dock.shows("Ready", f"this editor, editor-1 (process {owner_process.pid})")
            editor.do("set", editing.KIND, "none")
            dock.shows("godot-ai", "Not running", "1 other server")
            owner_process.kill()
        dock.shows("Is about to be stopped", "[Keep]")
        dock.press("Keep")
        dock.shows("Ready", "this editor")
        home.cli("stop")
        dock.shows("Waiting for the daemon")
        dock.shows("No daemon of godot-supervisor is running.", "[Start Daemon]")
        dock.press("Start Daemon")
        dock.shows("e2e-toy", "Ready", "this editor")
        for scripts in ([CARD], [name for name in SCRIPTS if name != CARD]):
            add_members(project, scripts)
            editor.do("reload", *(f"{ADDON}{name}" for name in scripts))
            home.up("e2e-toy")
            dock.shows("e2e-toy", "Ready", "this editor")
        dock.press("Stop")
        dock.shows("Not running", "[Start]")
        assert editor.quit() == 0
        assert editor.complaints() == []
