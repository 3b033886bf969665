"""Projects with the addon in them, for a real editor."""

import shutil
import subprocess
from pathlib import Path

from tests.lab import godot

ROOT = Path(__file__).parents[2]
ADDON = ROOT / "supervisor" / "godot_addon" / "godot_supervisor"
PLUGIN = "res://addons/godot_supervisor/plugin.cfg"
SCRIPTS = Path(__file__).parent / "scripts"


def make(folder: Path, script: str | None = None) -> Path:
    """Make a project that has the addon enabled. `script`: one of `scripts/`, which is put into the project."""
    project = godot.make_project(folder, PLUGIN)
    shutil.copytree(ADDON, project / "addons" / "godot_supervisor")
    if script is not None:
        shutil.copy(SCRIPTS / script, project / script)
    return project


def run_script(project: Path, home: Path, script: str, **more: str) -> str:
    """Run a script in the editor's binary, without the editor, and return its output, which has no complaints."""
    program = godot.editor()
    assert program is not None, "run tests/lab/set_up godot"
    done = subprocess.run(
        [program, "--headless", "--path", project, "--script", f"res://{script}"],
        env=godot.environment_of(home, more), stdin=subprocess.DEVNULL, capture_output=True, text=True,
        timeout=godot.PATIENCE_S, check=False,
    )  # fmt: skip
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not godot.COMPLAINT.search(said), said
    return said
