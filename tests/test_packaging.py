"""The wheel, built from this tree and installed beside supervisord, which owns the same top-level name."""

import shutil
import subprocess
import sys
import tomllib
import zipfile
from collections.abc import Sequence
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
SOURCES = ("supervisor", "service_units")
FILES = ("pyproject.toml", "README.md", "LICENSE", "godot_supervisor.py")

pytestmark = [pytest.mark.needs_index, pytest.mark.timeout(300)]


def run(*argv: str | Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=240, check=False)


def pip(python: Path, arguments: Sequence[str | Path], scratch: Path) -> None:
    """Run pip. Skip the test if the package index does not answer; every other failure is a defect."""
    done = run(python, "-m", "pip", *arguments)
    if done.returncode == 0:
        return
    probe = run(python, "-m", "pip", "download", "--no-deps", "--no-cache-dir", "--dest", scratch, "setuptools>=77")
    if probe.returncode != 0:
        pytest.skip("package index unreachable")
    pytest.fail(f"pip {arguments[0]} failed although the package index answers:\n{done.stderr}")


def in_environment(environment: Path, program: str) -> Path:
    folder, suffix = ("Scripts", ".exe") if sys.platform == "win32" else ("bin", "")
    return environment / folder / f"{program}{suffix}"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from a copy, because a build leaves folders beside its sources."""
    scratch = tmp_path_factory.mktemp("wheel")
    tree = scratch / "tree"
    for folder in SOURCES:
        shutil.copytree(REPOSITORY / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(REPOSITORY / name, tree / name)
    pip(Path(sys.executable), ["wheel", "--no-deps", "--wheel-dir", scratch, tree], scratch)
    (built,) = scratch.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def environment(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install both, supervisord last, so that its files win where names are shared."""
    scratch = tmp_path_factory.mktemp("environment")
    made = scratch / "venv"
    assert run(sys.executable, "-m", "venv", made).returncode == 0
    python = in_environment(made, "python")
    pip(python, ["install", wheel], scratch)
    pip(python, ["install", "supervisor"], scratch)
    return made


def expected_version() -> str:
    version: str = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    return version


def test_the_wheel_has_every_file_of_the_tree(wheel: Path) -> None:
    inside = set(zipfile.ZipFile(wheel).namelist())
    package = REPOSITORY / "supervisor"
    wanted = {
        path.relative_to(REPOSITORY).as_posix()
        for pattern in ("*.py", "*.toml", "*.gd", "*.cfg", "py.typed")
        for path in package.rglob(pattern)
    }
    assert "supervisor/py.typed" in wanted
    assert any(name.startswith("supervisor/kinds/recipes/") and name.endswith(".toml") for name in wanted)
    assert wanted - inside == set()


def test_the_wheel_has_only_the_package_and_its_launcher(wheel: Path) -> None:
    tops = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert tops == {"supervisor", "godot_supervisor.py", f"godot_supervisor-{expected_version()}.dist-info"}


@pytest.mark.full
def test_both_commands_work_beside_each_other(environment: Path) -> None:
    ours = run(in_environment(environment, "godot-supervisor"), "version")
    theirs = run(in_environment(environment, "supervisord"), "--version")
    assert ours.stdout.startswith(f"godot-supervisor {expected_version()} "), ours.stderr
    assert theirs.returncode == 0, theirs.stderr


@pytest.mark.full
def test_no_module_has_the_name_of_one_of_supervisord(wheel: Path, environment: Path) -> None:
    found = run(in_environment(environment, "python"), "-m", "pip", "show", "--files", "supervisor").stdout
    theirs = {line.strip().replace("\\", "/") for line in found.splitlines() if line.strip().endswith(".py")}
    assert "supervisor/supervisord.py" in theirs
    ours = set(zipfile.ZipFile(wheel).namelist())
    assert theirs & ours == {"supervisor/__init__.py"}


@pytest.mark.full
def test_the_command_survives_the_removal_of_supervisord(environment: Path, tmp_path: Path) -> None:
    copy = tmp_path / "venv"
    shutil.copytree(environment, copy, symlinks=True)
    python = in_environment(copy, "python")
    assert run(python, "-m", "pip", "uninstall", "--yes", "supervisor").returncode == 0
    assert not list(copy.rglob("supervisord.py"))
    done = run(python, "-m", "supervisor", "version", cwd=tmp_path)
    assert done.stdout.startswith("godot-supervisor "), done.stderr
