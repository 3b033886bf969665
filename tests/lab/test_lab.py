"""The laboratory has the requirements of pyproject.toml, and unpacks only into its folder."""

import io
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

from tests.privilege import NEEDS_ROOT

LAB = Path(__file__).parent
REPOSITORY = LAB.parent.parent

pytestmark = pytest.mark.linux_only


def ask(script: str, folder: Path) -> str:
    words = ["bash", "-euc", f'source "{LAB}/lab.sh"; {script}']
    environment = {"PATH": "/usr/bin:/bin", "LAB_ROOT": str(folder)}
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True).stdout


def test_laboratory_has_the_requirements_of_the_tests(tmp_path: Path) -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert ask("requirements", tmp_path).split("\n")[:-1] == wanted


def test_each_version_has_a_folder_outside_the_clone(tmp_path: Path) -> None:
    folder = Path(ask('printf %s "$PYTHON_FOLDER"', tmp_path))
    assert folder.parent == tmp_path.resolve()
    assert folder.name.startswith("python-3.12-")
    assert ask('printf %s "$PYTHON_FOLDER"', tmp_path) == str(folder)


def test_unknown_python_is_refused_by_name(tmp_path: Path) -> None:
    said = subprocess.run(
        [LAB / "windows_python"], env={"PATH": "/usr/bin:/bin", "LAB_ROOT": str(tmp_path), "LAB_PY": "2.7"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert said.returncode == 1
    assert said.stderr.startswith("tests/lab: LAB_PY=2.7: there is ")


def stand_in(folder: Path, name: str, script: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
    program.chmod(0o755)


@NEEDS_ROOT[0]
@NEEDS_ROOT[1]
@pytest.mark.parametrize("made", ["nothing", "a file", "a link that leads nowhere"])
def test_new_debian_sees_the_files_of_the_machine(tmp_path: Path, made: str) -> None:
    """A Debian from debootstrap has no folder for certificates, and may have a link for resolv.conf."""
    debian, programs = tmp_path / "debian-trixie", tmp_path / "bin"
    for folder in ("tmp", "proc", "dev", "etc"):
        (debian / folder).mkdir(parents=True)
    (debian / ".complete").touch()
    programs.mkdir()
    # The request is observed from outside, because this Debian contains no program.
    stand_in(programs, "chroot", 'cat "$1/etc/hosts" "$1/etc/resolv.conf" "$1/etc/ssl/certs/ca-certificates.crt"')
    if made == "a file":
        (debian / "etc" / "resolv.conf").write_text("", encoding="utf-8")
    elif made != "nothing":
        (debian / "etc" / "resolv.conf").symlink_to("../run/systemd/resolve/stub-resolv.conf")
    environment = {"PATH": f"{programs}:/usr/sbin:/usr/bin:/sbin:/bin", "LAB_ROOT": str(tmp_path), "LAB_WINE": "chroot"}
    words = [LAB / "in_chroot", "true"]
    said = subprocess.run(words, env=environment, capture_output=True, check=False)
    files = [Path("/etc/hosts"), Path("/etc/resolv.conf"), Path("/etc/ssl/certs/ca-certificates.crt")]
    there = [file for file in files if file.exists()]
    assert said.stdout == b"".join(file.read_bytes() for file in there), said.stderr


def test_failed_set_up_names_its_step(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    stand_in(programs, "debootstrap", 'echo "E: no such mirror"; exit 1')
    stand_in(programs, "apt-get", "echo http://127.0.0.1:9/debian")
    stand_in(programs, "sudo", 'shift; exec "$@"')
    environment = {"PATH": f"{programs}:/usr/bin:/bin", "LAB_ROOT": str(tmp_path / "lab"), "LAB_WINE": "chroot"}
    said = subprocess.run([LAB / "set_up"], env=environment, capture_output=True, text=True, check=False)
    assert said.returncode == 1
    assert "E: no such mirror" in said.stderr
    assert said.stderr.splitlines()[-1].startswith("tests/lab: debootstrap-trixie failed; all that was said is in ")


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
