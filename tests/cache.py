"""Files that tests keep between runs, outside the clone: private environments and tools, by version."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

UV = "uv==0.13.8"


def environments() -> Path:
    """Return the folder for private environments. Under Wine both systems may use one parent folder."""
    folder = _root() / ("environments-windows" if sys.platform == "win32" else "environments")
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def clients() -> Path:
    """Return the folder for AI clients and SDKs, each in a folder of its own."""
    folder = _root() / "clients"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def folder_of_uv() -> Path:
    """Return the path of `uv`: the one on PATH, or a copy of the tests."""
    found = shutil.which("uv")
    if found is not None:
        return Path(found).parent
    tools = _root() / UV.replace("==", "-")
    tools.parent.mkdir(parents=True, exist_ok=True)
    # Tests run in parallel.
    with FileLock(tools.with_name(f"{tools.name}.lock")):
        if not (tools / "bin" / "uv").exists():
            install = [sys.executable, "-m", "pip", "install", "--quiet", "--target", tools, UV]
            subprocess.run(install, check=True, capture_output=True)
    return tools / "bin"


def _root() -> Path:
    root = os.environ.get("GODOT_SUPERVISOR_TEST_CACHE") or Path.home() / ".cache" / "godot-supervisor-tests"
    return Path(root)
