"""What the laboratory is made of is what pyproject.toml says; what it unpacks stays in its folder."""

import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

LAB = Path(__file__).parent
REPOSITORY = LAB.parent.parent

pytestmark = pytest.mark.linux_only


def ask(script: str, folder: Path) -> str:
    words = ["bash", "-euc", f'source "{LAB}/lab.sh"; {script}']
    environment = {"PATH": "/usr/bin:/bin", "LAB_ROOT": str(folder)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout


def test_it_holds_what_the_project_and_its_tests_require(tmp_path: Path) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert ask("requirements", tmp_path).split("\n")[:-1] == wanted


def test_it_lies_outside_the_clone_and_each_version_in_its_own_folder(tmp_path: Path) -> None:
    folder = Path(ask('printf %s "$PYTHON_FOLDER"', tmp_path))
    assert folder.parent == tmp_path.resolve()
    assert folder.name.startswith("python-3.12-")
    assert ask('printf %s "$PYTHON_FOLDER"', tmp_path) == str(folder)


def test_a_python_that_there_is_not_is_refused_by_name(tmp_path: Path) -> None:
    said = subprocess.run(
        [LAB / "windows_python"], env={"PATH": "/usr/bin:/bin", "LAB_ROOT": str(tmp_path), "LAB_PY": "2.7"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith("tests/lab: LAB_PY=2.7: there is ")


def archive(folder: Path, name: str) -> Path:
    inner, sdist = io.BytesIO(), folder / "python.tar.gz"
    with zipfile.ZipFile(inner, "w") as files:
        files.writestr("cp312/python.exe", "MZ")
        files.writestr(name, "evil")
    with tarfile.open(sdist, "w:gz") as outer:
        info = tarfile.TarInfo("x-1/src/data.zip")
        info.size = len(inner.getvalue())
        outer.addfile(info, io.BytesIO(inner.getvalue()))
    return sdist


@pytest.mark.parametrize(("name", "status"), [("cp312/Lib/os.py", 0), ("cp312/../../escaped", 1)])
def test_nothing_is_unpacked_outside(tmp_path: Path, name: str, status: int) -> None:
    (tmp_path / "wheels").mkdir()
    target = tmp_path / "deep" / "python"
    words = [sys.executable, LAB / "unpack.py", archive(tmp_path, name), tmp_path / "wheels", target]
    assert subprocess.run(words, capture_output=True, check=False).returncode == status
    assert (target / "python.exe").exists()
    assert not [*tmp_path.rglob("escaped")]
