"""The rehearsal of a start while another daemon runs: it reports what would fail, and changes nothing."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.client import autostart
from supervisor.client.autostart import rehearse as rehearse_apart
from supervisor.daemon.start_rehearsal import rehearse_start
from supervisor.errors import ConfigInvalid, InstallFailed, NotOurs, StateNotWritable, SupervisorError
from supervisor.native.facts import HOME_VARIABLE, Folders
from tests.systems import POSIX_ONLY


@pytest.fixture
def where(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home", moved=True)
    folders.home.mkdir(0o700)
    return folders


def everything(folder: Path) -> dict[str, bytes | None]:
    """Return the contents of a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def broken_toml(where: Folders) -> None:
    where.config.write_text("[kinds.a")


def kind_without_command(where: Folders) -> None:
    where.config.write_text('[kinds.a]\nports = { http = "7000-7001" }\n')


def no_such_loop(where: Folders) -> None:
    where.config.write_text('[daemon]\nevent_loop = "magic"\n')


def lock_is_a_folder(where: Folders) -> None:
    where.lock.mkdir()


def endpoint_is_a_folder(where: Folders) -> None:
    where.endpoint.mkdir()


def logs_are_a_file(where: Folders) -> None:
    where.logs.write_text("")


def environments_are_a_file(where: Folders) -> None:
    where.environments.write_text("")


FAILURES = (
    (broken_toml, ConfigInvalid),
    (kind_without_command, ConfigInvalid),
    (no_such_loop, ConfigInvalid),
    (lock_is_a_folder, StateNotWritable),
    (endpoint_is_a_folder, StateNotWritable),
    (logs_are_a_file, StateNotWritable),
    (environments_are_a_file, StateNotWritable),
)


@pytest.mark.parametrize(("spoil", "error"), FAILURES, ids=[spoil.__name__ for spoil, _ in FAILURES])
def test_a_rehearsal_reports_what_would_fail_and_changes_nothing(
    where: Folders, spoil: Callable[[Folders], None], error: type[SupervisorError]
) -> None:
    spoil(where)
    if where.config.exists():
        where.config.chmod(0o600)
    before = everything(where.home)
    with pytest.raises(error):
        rehearse_start(where)
    assert everything(where.home) == before


def test_a_successful_rehearsal_leaves_nothing_behind(where: Folders) -> None:
    rehearse_start(where)
    assert everything(where.home) == {}


@POSIX_ONLY
@pytest.mark.parametrize("what", ["lock", "socket folder", "socket", "home"])
def test_folders_and_files_of_other_users_are_refused(where: Folders, what: str) -> None:
    match what:
        case "lock":
            where.lock.symlink_to(where.home / "elsewhere")
        case "socket folder":
            where.socket.parent.symlink_to(where.home)
        case "socket":
            where.socket.parent.mkdir()
            where.socket.write_text("")
        case _:
            where.home.chmod(0o777)
    with pytest.raises(NotOurs):
        rehearse_start(where)


def test_the_rehearsal_runs_apart_with_the_environment_of_a_start(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HOME_VARIABLE, os.fspath(where.home.with_name("another")))
    rehearse_apart(where)
    monkeypatch.setenv("GODOT_SUPERVISOR_EVENT_LOOP", "magic")
    with pytest.raises(SupervisorError) as caught:
        rehearse_apart(where)
    assert caught.value.code == ConfigInvalid.code
    monkeypatch.delenv("GODOT_SUPERVISOR_EVENT_LOOP")
    broken_toml(where)
    where.config.chmod(0o600)
    with pytest.raises(SupervisorError, match="TOML"):
        rehearse_apart(where)
    assert not where.endpoint.exists()


def test_an_interpreter_that_cannot_run_the_package_is_reported(
    where: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = (*autostart.COMMAND[:1], "-c", "import no_such_module")
    monkeypatch.setattr(autostart, "COMMAND", command)
    with pytest.raises(InstallFailed, match="No module named 'no_such_module'") as caught:
        rehearse_apart(where)
    assert "no_such_module" in caught.value.data["output"]


@pytest.mark.parametrize(
    ("module", "code"),
    [
        ("structlog", "raise ImportError('structlog is broken')"),
        ("supervisor.daemon.app", "raise SyntaxError('half an update')"),
        (
            "supervisor.engine.assembly",
            "Engine = object\nSite = dict\ndef assemble(*_):\n    raise TypeError('new code')",
        ),
    ],
)
def test_code_that_the_daemon_cannot_run_is_found_by_the_trial(
    where: Folders, monkeypatch: pytest.MonkeyPatch, module: str, code: str
) -> None:
    spoilt = (
        "import sys, types, importlib.abc, importlib.machinery\n"
        "class Spoiler(importlib.abc.MetaPathFinder, importlib.abc.Loader):\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        return importlib.machinery.ModuleSpec(name, self) if name == {module!r} else None\n"
        f"    def exec_module(self, made): exec({code!r}, made.__dict__)\n"
        "sys.meta_path.insert(0, Spoiler())\n"
        "sys.argv = ['supervisor.daemon', '--try']\n"
        "from supervisor.daemon.__main__ import main\n"
        "sys.exit(main())"
    )
    monkeypatch.setattr(autostart, "COMMAND", (*autostart.COMMAND[:1], "-P", "-c", spoilt))
    with pytest.raises(InstallFailed, match=r"broken|half an update|new code"):
        rehearse_apart(where)
    assert everything(where.home) == {}
