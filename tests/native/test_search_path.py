"""Interpreters that are led to other modules, and the modules that they import nevertheless."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor.native.startup import search_path
from supervisor.native.startup.search_path import ROOT, is_python_variable, without_python_variables
from tests.systems import POSIX_ONLY

LAUNCHER = Path(ROOT) / "godot_supervisor.py"
# No module that Python imports at its own start, because then no program would begin.
SHADOWS = ("click", "json", "signal", "logging")


@pytest.fixture
def trap(tmp_path: Path) -> Path:
    """A folder with modules that end the program that imports them."""
    folder = tmp_path / "trap"
    (folder / "supervisor").mkdir(parents=True)
    (folder / "supervisor" / "__init__.py").touch()
    for name in SHADOWS:
        (folder / f"{name}.py").write_text(f"raise SystemExit('imported another {name}')\n")
    return folder


def run(*words: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    # A measurement of coverage would import modules before the program does.
    ignored = ("COVERAGE_", "COV_")
    environment = {
        name: value
        for name, value in os.environ.items()
        if not is_python_variable(name) and not name.startswith(ignored)
    }
    return subprocess.run(
        [sys.executable, *words],
        cwd=cwd,
        env={**environment, "GODOT_SUPERVISOR_HOME": str(cwd / "none"), **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("entry", ["", "{trap}", "{trap}{sep}{trap}"])
def test_command_ignores_pythonpath(trap: Path, entry: str) -> None:
    path = entry.format(trap=trap, sep=os.pathsep) + os.pathsep
    done = run(LAUNCHER, "kinds", cwd=trap, PYTHONPATH=path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "godot-ai" in done.stdout


def test_command_ignores_its_current_folder(trap: Path) -> None:
    (trap / "supervisor" / "__init__.py").unlink()
    (trap / "supervisor").rmdir()
    code = f"import sys; sys.path.append({ROOT!r}); from supervisor.__main__ import main; sys.exit(main())"
    done = run("-c", code, "kinds", cwd=trap)
    assert (done.returncode, done.stderr) == (0, "")
    assert "godot-ai" in done.stdout


def test_package_that_hides_ours_is_named(tmp_path: Path) -> None:
    (tmp_path / "supervisor").mkdir()
    (tmp_path / "supervisor" / "__init__.py").touch()
    (tmp_path / "godot_supervisor.py").write_text(LAUNCHER.read_text(encoding="utf-8"), encoding="utf-8")
    # Without `site`, because the finder of an editable installation would find our package anyway.
    done = run("-S", tmp_path / "godot_supervisor.py", "status", cwd=tmp_path)
    assert done.returncode == 1
    assert str(tmp_path / "supervisor") in done.stderr
    assert "Traceback" not in done.stderr


def test_module_loaded_from_elsewhere_is_forgotten(trap: Path) -> None:
    # With its package, our package would be found only by the finder of an editable installation.
    (trap / "supervisor" / "__init__.py").unlink()
    (trap / "supervisor").rmdir()
    (trap / "json.py").write_text("HIDDEN = True\n")
    code = (
        f"import json, sys; assert json.HIDDEN; sys.path.append({ROOT!r});"
        "from supervisor.native.startup import search_path; search_path.remove_foreign_folders();"
        "import json; json.loads('1')"
    )
    done = run("-c", code, cwd=trap)
    assert (done.returncode, done.stderr) == (0, "")


def test_installation_by_pythonpath_keeps_it() -> None:
    path = os.pathsep.join((ROOT, "/other"))
    assert without_python_variables({"PYTHONPATH": path, "PYTHONHOME": "/x"}) == {"PYTHONPATH": path}


@pytest.mark.parametrize(
    ("given", "passed"),
    [
        ({"PYTHONPATH": "/x", "PYTHONSTARTUP": "/x", "PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2"}, {}),
        ({"PATH": "/bin", "PYTHON_KEYRING_BACKEND": "x"}, {"PATH": "/bin", "PYTHON_KEYRING_BACKEND": "x"}),
        ({"PYTHONDONTWRITEBYTECODE": "1"}, {"PYTHONDONTWRITEBYTECODE": "1"}),
    ],
)
def test_the_daemon_inherits_no_variable_that_changes_python(
    given: Mapping[str, str], passed: Mapping[str, str]
) -> None:
    assert without_python_variables(given) == passed


@POSIX_ONLY
def test_virtual_environment_is_not_led_to_another_library(tmp_path: Path) -> None:
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.symlink_to(os.path.realpath(sys.executable))
    (tmp_path / "venv" / "pyvenv.cfg").write_text(f"home = {sys.base_prefix}/bin\n")
    (tmp_path / "lib").symlink_to(Path(sys.base_prefix) / "lib")
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, sys; sys.path.append({ROOT!r}); from supervisor.native.startup import search_path\n"
        "search_path.restart_without_foreign_library(); print(os.environ.get('PYTHONHOME'), sys.argv[1:])\n"
    )
    done = subprocess.run(
        [python, script, "a b"],
        env={**os.environ, "PYTHONHOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("None ['a b']\n", "")


def test_the_search_path_module_imports_nothing_new() -> None:
    """The module runs before foreign folders have been removed."""
    source = Path(search_path.__file__).read_text(encoding="utf-8")
    imported = {line for line in source.splitlines() if line.startswith(("import ", "from "))}
    assert imported == {"import os", "import sys", "from collections.abc import Iterable, Mapping"}
