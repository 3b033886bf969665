"""`up` against a daemon that answers from a script."""

import os
import time
from pathlib import Path

import psutil
import pytest

from supervisor.cli.context.owner import identify_owner
from supervisor.errors import KindUnknown, NotOurs
from tests.cli.conftest import Run
from tests.cli.objects import editor, owner, server, status
from tests.cli.scripted import Script
from tests.systems import POSIX_ONLY


class TestUp:
    @pytest.fixture(autouse=True)
    def answers(self, daemon: Script, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "elsewhere").mkdir()
        monkeypatch.chdir(tmp_path / "elsewhere")
        daemon.answers["server.ensure"] = server(owners=[owner(pid=123)], since=time.time() + 1)
        daemon.answers["status"] = status(editors=[editor()])

    def test_up_reports_the_server(self, run: Run, daemon: Script) -> None:
        outcome = run("up", "godot-ai")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("godot-ai 4.3.1 ready\n")
        assert "when pid 123 (game-1) ends, the server is stopped 5 s later; it is kept while" in outcome.out
        assert outcome.out.splitlines()[-1].strip().startswith("claude mcp add")
        assert daemon.params("server.ensure") == {"kind": "godot-ai"}

    def test_json_is_the_server_and_nothing_else(self, run: Run, daemon: Script) -> None:
        daemon.progress = [{"stage": "installing", "message": "x"}]
        outcome = run("up", "godot-ai", "--json")
        assert (outcome.document, outcome.err) == (daemon.answers["server.ensure"], "")

    def test_progress_goes_to_stderr(self, run: Run, daemon: Script) -> None:
        daemon.progress = [{"stage": "installing", "message": "godot-ai 4.3.1", "done": 3, "total": 41}]
        assert run("up", "godot-ai").err == "installing 3 of 41: godot-ai 4.3.1\n"

    def test_a_ready_server_is_already_running(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = server(since=1000.0)
        assert run("up", "godot-ai").out.startswith("godot-ai 4.3.1 already running\n")
        assert [method for method, _ in daemon.calls] == ["hello", "server.ensure"]

    def test_an_adopted_server_counts_as_new(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = server(since=1000.0)
        daemon.progress = [{"stage": "adopting", "message": "pid 733"}]
        assert run("up", "godot-ai").out.startswith("godot-ai 4.3.1 ready\n")

    def test_a_kind_that_only_the_file_has_needs_a_reload(self, run: Run, daemon: Script) -> None:
        daemon.answers["server.ensure"] = KindUnknown("no kind 'fresh'", hint="known: godot-ai")
        assert run("up", "fresh", "--json").error["hint"] == "known: godot-ai"
        (daemon.home / "config.toml").write_text('[kinds.fresh]\ncommand = ["x"]\n')
        outcome = run("up", "fresh", "--json")
        assert outcome.code == 4
        assert outcome.error["hint"].endswith("godot-supervisor config reload")

    def test_an_owner_is_passed_with_the_project(self, run: Run, daemon: Script, tmp_path: Path) -> None:
        (tmp_path / "game").mkdir()
        run("up", "godot-ai", "--owner-pid", str(os.getpid()), "--project", "../game", "--version", "4.3.1")
        assert daemon.params("server.ensure") == {
            "kind": "godot-ai",
            "owner": {**identify_owner(os.getpid()), "project": str((tmp_path / "game").resolve())},
            "version": "4.3.1",
        }

    def test_parent_is_the_process_that_started_the_command(self, run: Run, daemon: Script) -> None:
        if psutil.Process().ppid() == 0:
            pytest.skip("the first process of a pid namespace has no parent there")
        run("up", "godot-ai", "--owner-pid", "parent")
        # os.getppid() ends the process under Wine.
        assert daemon.params("server.ensure")["owner"] == identify_owner(psutil.Process().ppid())

    def test_a_project_without_an_owner_is_passed_on_its_own(self, run: Run, daemon: Script, tmp_path: Path) -> None:
        run("up", "godot-ai", "--project", str(tmp_path))
        assert daemon.params("server.ensure") == {"kind": "godot-ai", "project": str(tmp_path.resolve())}

    def test_the_current_folder_is_used_if_it_is_a_project(self, run: Run, daemon: Script) -> None:
        Path("project.godot").touch()
        run("up", "godot-ai")
        assert daemon.params("server.ensure") == {"kind": "godot-ai", "project": str(Path.cwd())}

    @pytest.mark.parametrize("pid", ["0", "-1", "me", "1.5"])
    def test_an_owner_must_be_a_pid(self, run: Run, daemon: Script, pid: str) -> None:
        outcome = run("up", "godot-ai", f"--owner-pid={pid}")
        assert outcome.code == 2
        assert "neither a process id nor 'parent'" in outcome.err
        assert daemon.calls == []

    def test_a_missing_project_is_a_usage_error(self, run: Run, daemon: Script) -> None:
        assert run("up", "godot-ai", "--project", "nowhere").code == 2
        assert daemon.calls == []


@POSIX_ONLY
def test_a_project_path_must_be_utf8(run: Run, daemon: Script, tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"g\xe4me")
    folder.mkdir()
    outcome = run("up", "godot-ai", "--project", str(folder))
    assert outcome.code == 2
    assert "is not UTF-8" in outcome.err
    assert "g\\xe4me" in outcome.err
    assert not [method for method, _ in daemon.calls if method == "server.ensure"]


def test_down_names_what_it_has_left_running(run: Run, daemon: Script) -> None:
    note = "left running: pid 31 (godot -e), an editor or not proven to be the server's"
    daemon.answers["server.stop"] = server(state="stopped", notes=[note, "its recipe has version 9"])
    outcome = run("down", "godot-ai")
    assert (outcome.code, outcome.out) == (0, "godot-ai: stopped\n")
    assert note in outcome.err
    assert "recipe" not in outcome.err


def test_a_removed_log_is_reported_as_removed(run: Run, daemon: Script, tmp_path: Path) -> None:
    daemon.answers["logs.read"] = {"lines": [], "log": str(tmp_path / "gone.log")}
    outcome = run("logs", "godot-ai", "--json")
    assert outcome.code == 4
    assert "was removed" in outcome.err


def test_the_hint_names_the_reason_that_refuses_a_start(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: object) -> None:
        raise NotOurs("HOME is /home/ua, and /home/ua belongs to another user (ua)", hint="run it as ua, without sudo")

    monkeypatch.setattr("supervisor.native.startup.homes.check", refuse)
    hint = run("status", "--json").error["hint"]
    assert hint == "HOME is /home/ua, and /home/ua belongs to another user (ua): run it as ua, without sudo"


def test_an_owner_that_the_command_cannot_see_is_refused(run: Run, daemon: Script) -> None:
    # The daemon may see another process of that number: the command may run in a container.
    outcome = run("up", "godot-ai", "--owner-pid", str(2**22 + 1), "--json")
    assert outcome.code == 4
    assert outcome.error["code"] == "EDITOR_GONE"
    assert daemon.calls == []
