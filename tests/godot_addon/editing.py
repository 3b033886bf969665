"""Real editors with our addon, and what the daemon of a home knows of them."""

import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.home import Home, eventually
from tests.godot_addon import addon_projects
from tests.lab import godot
from tests.lab.godot import Editor

ALLOWED = {"GODOT_SUPERVISOR_HEADLESS": "1"}
KIND = "godot_supervisor/server/kind"
SAYS = "Godot Supervisor: "


@contextmanager
def editing(project: Path, home: Home, **more: Any) -> Iterator[Editor]:
    """Run an editor that the addon may attach, and which belongs to this home."""
    variables = {"GODOT_SUPERVISOR_HOME": str(home.folders.home), **({} if more.get("window") else ALLOWED)}
    with godot.running(project, project.parent / "user", **variables, **more) as editor:
        yield editor


def make_project(folder: Path, kind: str, *plugins: str) -> Path:
    """Make a project with the addon, which has a server of this kind."""
    project = addon_projects.make(folder, *plugins)
    shutil.copy(godot.LAB / "icon.svg", project)
    with (project / "project.godot").open("a", encoding="utf-8") as file:
        file.write(f'\n[godot_supervisor]\n\nserver/kind="{kind}"\n')
    return project


def said(editor: Editor) -> list[str]:
    """Return what our plugin has printed."""
    return [line.removeprefix(SAYS) for line in editor.output if line.startswith(SAYS)]


def said_ready(editor: Editor, kind: str) -> str:
    """Wait until our plugin says that the server of this kind is ready, and return what it says then."""
    return editor.line(f"{SAYS}{kind} ")


def server_of(home: Home, editor: Editor) -> dict[str, Any]:
    """Return the server that the editor owns."""
    (row,) = [
        row for row in home.call("server.list")["servers"] if editor.pid in [owner["pid"] for owner in row["owners"]]
    ]
    return dict(row)


def owners(home: Home, server: str) -> set[int]:
    """Return the pids of the living owners that have not left."""
    row = home.server(server)
    rows = [] if row is None else row["owners"]
    return {owner["pid"] for owner in rows if owner["liveness"] == "alive" and not owner["leaving"]}


def owned_by(home: Home, server: str, *editors: Editor) -> None:
    """Wait until the server belongs to these editors, and to nothing else."""
    wanted = {editor.pid for editor in editors}
    eventually(lambda: owners(home, server) == wanted, f"{server} belongs to {wanted}")


def reach_daemon(editor: Editor, home: Home) -> None:
    """Wait until the editor is attached to the daemon that runs now: it tells of an import (`res://icon.svg`)."""

    def is_told() -> bool:
        editor.do("reimport", "res://icon.svg")
        told = home.events("editor.state", state="busy", reason="importing")
        return any(row["mono"] > home.events("daemon.ready")[-1]["mono"] for row in told)

    eventually(is_told, "the editor attaches to the daemon", pause_s=0.5)


def is_told_url(text: str) -> bool:
    return re.search(r"is ready at http://127\.0\.0\.1:[0-9]+/mcp, started by ", text) is not None
