"""Takes pictures of the addon's dock in a real editor: `python -m tests.lab.godot_pictures FOLDER`.

Each state of the dock is shown at 100 % and 200 %, light and dark, at the narrowest width and at a wide one. Needs
`tests/lab/set_up godot`, and Xvfb.
"""

import argparse
import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

from supervisor.client import start_file
from supervisor.native.facts import Folders
from tests.godot_addon import addon_projects
from tests.godot_addon.played_daemon import PlayedDaemon, call, owner, server
from tests.lab import godot
from tests.lab.godot import Editor

DOCK = "Supervisor"
THEMES = ("Dark", "Light")
SETTLE_S = 1.2
AWAY_S = 7.0
"""After the end of a daemon the dock waits for the next one."""

SCALES = {100: (2, "1280x800"), 200: (6, "2560x1600")}
"""The setting `interface/editor/display_scale`, and a screen that has room for it."""

CLAUDE = {"name": "claude-code", "version": "2.1.0", "title": "Claude Code"}
CODEX = {"name": "codex", "version": "0.9.0", "title": "Codex"}


def owned(daemon: PlayedDaemon) -> list[dict[str, object]]:
    return [
        owner("my-game-1", daemon.me["pid"]),
        owner("other-game-1", 4100),
        owner("claude-code-1", 4400, client=CLAUDE),
        owner("codex-1", 4500, client=CODEX),
    ]


def no_server(daemon: PlayedDaemon) -> None:
    daemon.history = [{"id": "godot-ai", "kind": "godot-ai", "project": None, "ended": time.time(), "how": "stopped",
                       "by": "a terminal", "exit": 0, "log": "/tmp/server.log"}]  # fmt: skip
    daemon.set()
    daemon.publish("server.gone", server="godot-ai", launch="1", was="ready")


def ready(daemon: PlayedDaemon) -> None:
    daemon.editors["other-game-1"] = {"id": "other-game-1", "pid": 4100, "project": "/home/me/other-game", "busy": None}
    daemon.publish("editor.attached", editor="other-game-1", pid=4100, project="/home/me/other-game")
    daemon.set(server("godot-ai", owners=owned(daemon)), server("toy@third-game", project="/home/me/third-game"))


def busy(daemon: PlayedDaemon) -> None:
    running = [call("scene_create", since=time.time(), editor_pid=daemon.me["pid"])]
    daemon.set(server("godot-ai", owners=owned(daemon), calls=running))


def starting(daemon: PlayedDaemon) -> None:
    daemon.set(server("godot-ai", state="starting", owners=owned(daemon)[:1]))


def failed(daemon: PlayedDaemon) -> None:
    log = ["Traceback (most recent call last):", '  File "server.py", line 12, in main',
           "ModuleNotFoundError: No module named 'fastmcp'"]  # fmt: skip
    failure = {"code": "START_FAILED", "message": "it ended by itself", "exit": 1, "log_tail": log}
    daemon.set(server("godot-ai", state="failed", owners=owned(daemon)[:1], failure=failure))


def dying(daemon: PlayedDaemon) -> None:
    reap = {"verdict": "suspect", "reasons": ["other-game-1 has ended"], "due_in_s": 4.2}
    daemon.set(server("godot-ai", owners=[owner("other-game-1", 4100, liveness="dead")], reap=reap))


STATES = (no_server, starting, ready, busy, failed, dying)


@contextlib.contextmanager
def open_editor(folder: Path, daemon: PlayedDaemon, scale: int, theme: str) -> Iterator[Editor]:
    """Open an editor with the addon, at a scale in percent. The daemon counts as installed here."""
    code, screen = SCALES[scale]
    project, user = addon_projects.make(folder / "my-game"), folder / "user"
    settings = user / ".config" / "godot" / "editor_settings-4.6.tres"
    settings.parent.mkdir(parents=True)
    settings.write_text(
        '[gd_resource type="EditorSettings" format=3]\n\n[resource]\n'
        f'interface/editor/display_scale = {code}\ninterface/theme/color_preset = "{theme}"\n',
        encoding="utf-8",
    )
    where = Folders(daemon.home, moved=True)
    start_file.publish(where.start_file, start_file.describe(where, addon_projects.VERSION, service=False))
    variables = {"GODOT_SUPERVISOR_HOME": str(daemon.home)}
    with godot.running(project, user, window=True, size=screen, **variables) as editor:
        editor.line("LAB idle")
        time.sleep(2)
        assert editor.complaints() == []
        yield editor


def take(editor: Editor, folder: Path, name: str, scale: int, theme: str) -> None:
    """Take pictures of the dock as it is now, as narrow as it can be, and wide."""
    for width, offset in (("narrow", 5000), ("wide", -400 * scale // 100)):
        editor.do("squeeze", DOCK, str(offset))
        time.sleep(SETTLE_S)
        picture = folder / f"{name}-{scale}-{theme.lower()}-{width}.png"
        size = editor.do("picture", DOCK, str(picture))
        report = f"{picture.name} {size} {editor.do('least_width', DOCK)} {editor.do('cut_off', DOCK)}\n"
        sys.stdout.write(report)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--scale", type=int, action="append", choices=SCALES)
    parser.add_argument("--theme", action="append", choices=THEMES)
    arguments = parser.parse_args()
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for scale in arguments.scale or SCALES:
        for theme in arguments.theme or THEMES:
            take_all(arguments.folder, scale, theme)


def take_all(folder: Path, scale: int, theme: str) -> None:
    """Take the pictures of one scale and theme."""
    with (
        TemporaryDirectory() as name,
        PlayedDaemon(Path(name) / "daemon") as daemon,
        open_editor(Path(name), daemon, scale, theme) as editor,
    ):
        for state in STATES:
            state(daemon)
            time.sleep(SETTLE_S)
            take(editor, folder, state.__name__, scale, theme)
        editor.do("picture", DOCK, f"whole:{folder / f'whole-{scale}-{theme.lower()}.png'}")
        daemon.end()
        time.sleep(AWAY_S)
        take(editor, folder, "no_daemon", scale, theme)
        assert editor.complaints() == []


if __name__ == "__main__":
    main()
