"""The command that is written into the files of AI clients: one that an upgrade does not change."""

import os
import re
import sys
from pathlib import Path

import pytest

from supervisor.errors import LauncherNotStable
from supervisor.mcp.ai_clients import launcher
from supervisor.mcp.ai_clients.launcher import find_launcher, is_same_program
from tests.systems import POSIX_ONLY

NAME = "godot-supervisor.exe" if sys.platform == "win32" else "godot-supervisor"


def program(folder: Path, text: str = "#!/bin/sh\n") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / NAME).write_text(text)
    (folder / NAME).chmod(0o755)
    return folder / NAME


def found(monkeypatch: pytest.MonkeyPatch, own: Path | None, *path: Path) -> tuple[str, ...]:
    """Return the launcher of an installation with this script, with these folders on PATH."""
    monkeypatch.setattr(launcher, "_own_scripts", lambda: iter([] if own is None else [str(own)]))
    return find_launcher({"PATH": os.pathsep.join(map(str, path))})


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder whose path has no version in it, whatever the temporary folder of this machine is called."""
    monkeypatch.setattr(launcher, "_VERSION", re.compile(r"3\.\d+|python\d{2,}", re.IGNORECASE))
    return tmp_path


@POSIX_ONLY
def test_the_link_on_path_of_a_tool_is_preferred(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = program(place / "uv/tools/godot-supervisor/bin")
    shim = place / "local/bin" / NAME
    shim.parent.mkdir(parents=True)
    shim.symlink_to(own)
    assert found(monkeypatch, own, place / "empty", shim.parent) == (str(shim),)


def test_a_copy_on_path_is_the_same_program(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, copy = program(place / "tool", "x"), program(place / "bin", "x")
    assert found(monkeypatch, own, copy.parent) == (str(copy),)


def test_another_installation_on_path_is_not_taken(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own, other = program(place / "venv/bin", "own"), program(place / "bin", "other")
    assert found(monkeypatch, own, other.parent) == (str(own),)


def test_a_path_with_a_version_is_never_written(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = program(place / ".pyenv/versions/3.12.1/bin", "own")
    with pytest.raises(LauncherNotStable, match=r"3\.12\.1"):
        found(monkeypatch, own)
    assert found(monkeypatch, own, own.parent) == ("godot-supervisor",)
    shim = program(place / ".pyenv/shims", "a script that starts the present version")
    assert found(monkeypatch, own, shim.parent) == (str(shim),)


@pytest.mark.parametrize("folder", ["uv/archive-v0/xyz/bin", "pipx/.cache/abc/bin"])
def test_a_path_for_one_run_is_never_written(place: Path, monkeypatch: pytest.MonkeyPatch, folder: str) -> None:
    own = program(place / folder, "own")
    with pytest.raises(LauncherNotStable, match="for one run only"):
        found(monkeypatch, own, own.parent)
    tool = program(place / "bin", "another installation, which stays")
    assert found(monkeypatch, own, own.parent, tool.parent) == (str(tool),)


def test_without_a_script_the_module_is_started(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(place / "bin/python"))
    assert found(monkeypatch, None) == (str(place / "bin/python"), "-P", "-m", "supervisor")


def test_a_chosen_program_is_taken_as_it_is(tmp_path: Path) -> None:
    own = program(tmp_path / "v1.2/bin")
    environment = {"PATH": str(own.parent)}
    assert find_launcher(environment, str(own)) == (str(own),)
    assert find_launcher(environment, "godot-supervisor") == ("godot-supervisor",)
    with pytest.raises(LauncherNotStable, match="no program"):
        find_launcher(environment, "no-such-program")


def test_a_chosen_program_of_another_name_is_refused(tmp_path: Path) -> None:
    own = program(tmp_path / "bin")
    wrapper = own.rename(own.with_name("wrapper" + own.suffix))
    with pytest.raises(LauncherNotStable, match="another name"):
        find_launcher({"PATH": str(own.parent)}, str(wrapper))


def test_a_bare_name_is_the_program_that_path_leads_to(tmp_path: Path) -> None:
    own, other = program(tmp_path / "a", "a"), program(tmp_path / "b", "b")
    assert is_same_program("godot-supervisor", str(own), {"PATH": str(own.parent)})
    assert not is_same_program("godot-supervisor", str(other), {"PATH": str(own.parent)})
