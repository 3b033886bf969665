"""The modules that a bridge loads in good time, because an upgrade replaces the files of its version."""

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import resolve_name
from pathlib import Path

import pytest

from supervisor.mcp.bridge.late_modules import MODULES

ROOT = Path(__file__).parents[2]

PROGRAM = """
import json, sys
from supervisor.cli.server_commands import bridge_start
from supervisor.mcp.bridge import late_modules, run
late_modules.DELAY_S = 0
late_modules._load_all()
print(json.dumps([name for name in sys.modules if name.startswith("supervisor.")]))
"""

NOT_LOADED = ("supervisor.daemon.version", "supervisor.service.managers")
"""Needed to start a daemon by its service. A daemon can be started without them."""


def late_imports(name: str) -> Iterator[str]:
    """Yield the modules of this program that functions of a module import."""
    path = ROOT.joinpath(*name.split("."))
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    package = name if file.name == "__init__.py" else name.rpartition(".")[0]
    for function in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                if isinstance(node, ast.ImportFrom) and node.level:
                    base = resolve_name("." * node.level + (node.module or ""), package)
                    for alias in node.names:
                        whole = ROOT.joinpath(*base.split("."), alias.name)
                        is_module = whole.with_suffix(".py").exists() or whole.is_dir()
                        yield f"{base}.{alias.name}" if is_module else base


@pytest.mark.linux_only
def test_no_later_import_needs_a_file() -> None:
    done = subprocess.run([sys.executable, "-P", "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = json.loads(done.stdout)
    needed = {late for name in loaded for late in late_imports(name) if ".windows" not in late}
    assert sorted(needed - {*loaded, *NOT_LOADED}) == []


def test_every_late_module_exists() -> None:
    for name in MODULES:
        path = ROOT.joinpath("supervisor", *name.split("."))
        assert path.with_suffix(".py").exists(), name
