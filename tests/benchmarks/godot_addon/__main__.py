"""`python -m tests.benchmarks.godot_addon`: what the addon costs an editor. See ../README.md."""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from supervisor.client import endpoint
from supervisor.client.client import Client
from tests.benchmarks.report import percentile
from tests.e2e.conftest import toy_config
from tests.e2e.home import Home, eventually
from tests.godot_addon import addon_projects
from tests.godot_addon.scripted_peer import PeerConnection, ScriptedPeer
from tests.lab import godot
from tests.lab.godot import Editor
from tests.transcript.stage import ENDPOINT

METER = Path(__file__).parent / "meter"
EVENTS = 200
SIZES = {"status": 400, "server.list": 1600}
"""How many servers the answer to these methods has: 64 KiB of them, and 256 KiB."""


class Row(NamedTuple):
    """What one part of the run has cost: times of the addon's code in each frame, and from frame to frame; us."""

    part: str
    ours: Sequence[float]
    gaps: Sequence[float]


def status_of(servers: int) -> dict[str, Any]:
    """Return a `status` with so many servers, of 164 bytes each."""
    rows = [{"id": f"server-{number:05}", "notes": ["x" * 100], "ports": {"http": number}} for number in range(servers)]
    return {"daemon": {}, "editors": [], "servers": rows, "orphans": [], "left_out": 0}


def answers_at_length(connection: PeerConnection) -> None:
    """Play a daemon that tells 200 events for each `ping`, and has many servers."""
    connection.welcome()
    subscription = connection.receive()["id"]
    begin = {"instance_id": ENDPOINT.instance_id, "seq": 0, "snapshot": {}}
    connection.send({"id": subscription, "result": begin})
    seq = 0
    while True:
        request = connection.receive()
        if request["method"] == "ping":
            events = [
                {"id": subscription, "seq": seq + number, "event": "server.state", "details": {"a": "b" * 100}}
                for number in range(1, EVENTS + 1)
            ]
            connection.send(*({"method": "event", "params": details} for details in events))
            connection.send({"id": request["id"], "result": {}})
            seq += EVENTS
        else:
            connection.send({"id": request["id"], "result": status_of(SIZES[request["method"]])})


@contextmanager
def measured(editor: Editor, part: str, rows: list[Row]) -> Iterator[None]:
    """Measure each frame until the end of the block."""
    editor.do("begin")
    yield
    found = editor.do("end")
    rows.append(Row(part, found["ours"], found["gaps"][1:]))


def tell_events(home: Home) -> None:
    """Have the daemon tell 200 events at once: an editor (this process) that is busy and ready again."""
    found = endpoint.read(home.folders.endpoint)
    assert found is not None
    with Client.connect(found) as client:
        row = client.call("editor.attach", {"pid": os.getpid(), "project": str(home.projects), "name": "events"})
        for number in range(EVENTS):
            state = "busy" if number % 2 == 0 else "ready"
            client.call("editor.state", {"editor": row["id"], "state": state, "reason": "x" * 40})
        client.call("editor.detach", {"editor": row["id"]})


def wait_for(editor: Editor, command: str, name: str, count: int) -> None:
    eventually(lambda: editor.do(command)[name] >= count, f"{count} {name}", pause_s=0.05)


def measure(editor: Editor, home: Home, peer: Path, idle_s: float) -> tuple[list[Row], list[dict[str, float]]]:
    """Measure all parts in this editor. Returns a row for each, and how long a plugin waits for a ready server."""
    rows: list[Row] = []
    editor.line("LAB idle")
    waits = [eventually(lambda: editor.do("asked"), "the plugin has its server")]
    editor.do("rest")
    time.sleep(3)
    with measured(editor, "idle, attached", rows):
        time.sleep(idle_s)
    for _ in range(10):
        editor.do("ask")
        waits.append(eventually(lambda: editor.do("asked"), "the plugin has its server"))
        editor.do("rest")
    with measured(editor, "200 events of the daemon", rows):
        tell_events(home)
        time.sleep(1)
    editor.do("flood", str(peer))
    time.sleep(1)
    with measured(editor, "200 events at once, five times", rows):
        for count in range(1, 6):
            editor.do("send", "ping")
            wait_for(editor, "answers", "answers", count)
        assert editor.do("answers")["events"] == 5 * EVENTS
    with measured(editor, "a `status` of 64 KiB, ten times", rows):
        for count in range(1, 11):
            editor.do("send", "status")
            wait_for(editor, "answers", "answers", count)
    with measured(editor, "an answer of 256 KiB, three times", rows):
        for count in range(1, 4):
            editor.do("send", "server.list")
            wait_for(editor, "answers", "answers", count)
    editor.do("ebb")
    home.kill_daemon()
    with measured(editor, "idle, without a daemon", rows):
        time.sleep(idle_s + 4)
    editor.do("disable", "res://addons/godot_supervisor/plugin.cfg")
    time.sleep(1)
    with measured(editor, "idle, the plugin switched off", rows):
        time.sleep(idle_s)
    assert editor.quit() == 0
    assert editor.complaints() == [], editor.complaints()
    return rows, waits


def report(mode: str, rows: Sequence[Row], waits: Sequence[dict[str, float]]) -> str:
    """Return the tables of one editor."""
    lines = [
        f"\n**{mode}**: the addon's code in each frame, and from frame to frame; us\n",
        "| | frames | median | p99 | longest | frame to frame: median | p99 | longest |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for part, ours, gaps in rows:
        figures = (
            figure for values in (ours, gaps) for figure in (median(values), percentile(values, 0.99), max(values))
        )
        lines.append(f"| {part} | {len(ours)} | {' | '.join(f'{figure:.0f}' for figure in figures)} |")
    lines.append("\nFrom a plugin's first frame to its ready server; ms\n")
    for name in ("attached", "ensured"):
        first, *later = (max(wait[name], 0) / 1000 for wait in waits)
        lines.append(f"- {name}: at the start {first:.1f}, later {median(later):.1f} ({max(later):.1f} at most)")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Measure in an editor without a window, and in one with a window."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.godot_addon")
    parser.add_argument("--modes", default="headless,window")
    parser.add_argument("--idle", type=float, default=5, help="seconds")
    wanted = parser.parse_args()
    if godot.editor() is None:
        sys.exit("run tests/lab/set_up godot")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        project = addon_projects.make(folder / "project", meter=METER)
        for number, mode in enumerate(wanted.modes.split(",")):
            (folder / f"h{number}").mkdir()
            home = Home(folder / f"h{number}", toy_config(linger=60))
            try:
                run(mode, project, home, folder / f"peer{number}", wanted.idle)
            finally:
                home.close()
    return 0


def run(mode: str, project: Path, home: Home, peer_home: Path, idle_s: float) -> None:
    """Measure in one editor, and print the tables."""
    home.start()
    home.up("e2e-toy")
    settings = project / "project.godot"
    enabled = settings.read_bytes()
    variables = {"GODOT_SUPERVISOR_HOME": str(home.folders.home), "GODOT_SUPERVISOR_HEADLESS": "1"}
    user = project.parent / "user"
    if not (project / ".godot").exists():
        with godot.running(project, user, "--import") as importing:
            importing.wait()
    with (
        ScriptedPeer(peer_home, answers_at_length) as peer,
        godot.running(project, user, window=mode == "window", **variables) as editor,
    ):
        rows, waits = measure(editor, home, peer.home, idle_s)
    settings.write_bytes(enabled)
    sys.stdout.write(report(mode, rows, waits))


if __name__ == "__main__":
    sys.exit(main())
