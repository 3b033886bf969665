"""Projects with our addon in them, for a real editor."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from supervisor.godot_addon.installation import Installation
from supervisor.mcp.ai_clients.backups import Backups
from tests.lab import godot

SCRIPTS = Path(__file__).parent / "scripts"
VERSION = "0.1.0"
Case = Mapping[str, Any]


def make(folder: Path, *plugins: str, **more: Path) -> Path:
    """Make a project that has the addon enabled, as `addon install` does.

    `plugins`: folders of `scripts/` with a plugin each. `more`: other folders, by the names of their plugins.
    """
    folders = {**{name: SCRIPTS / name for name in plugins}, **more}
    project = godot.make_project(folder, *(f"res://addons/{name}/plugin.cfg" for name in folders))
    for name, source in folders.items():
        shutil.copytree(source, project / "addons" / name)
    Installation(project, VERSION, Backups(folder.parent / "backups")).install()
    return project


def run_cases(project: Path, cases: Sequence[Case], script: str = "steps.gd") -> list[list[Any]]:
    """Run cases in the editor's binary, without the editor, and return what the script has written for each.

    A case for `scripts/steps.gd` has the home folder of a daemon, and steps; the result is what a client has reported.
    A case for `scripts/dock_pages.gd` has the daemon's answers and events, and the result is what the dock shows.
    """
    program = godot.editor()
    assert program is not None, "run tests/lab/set_up godot"
    shutil.copy(SCRIPTS / script, project)
    (project / "cases.json").write_text(json.dumps(cases), encoding="utf-8")
    done = subprocess.run(
        [program, "--headless", "--path", project, "--script", f"res://{script}"],
        env=godot.environment_of(project.parent / "user", {"TZ": "UTC"}), stdin=subprocess.DEVNULL, capture_output=True,
        text=True, timeout=godot.PATIENCE_S, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not godot.COMPLAINT.search(said), said
    results: list[list[Any]] = json.loads((project / "results.json").read_text(encoding="utf-8"))
    assert len(results) == len(cases), said
    return results
