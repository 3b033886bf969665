"""The trees of servers after a stop, a death and a restart of the daemon."""

import subprocess
import sys
from pathlib import Path

from supervisor.core.model import Liveness
from supervisor.native.facts import Folders
from supervisor.native.windows import files, tokens
from tests.e2e.conftest import wheel
from tests.e2e.home import eventually
from tests.windows.access import allow
from tests.windows.conftest import MakeHome, toy_config
from tests.windows.home import PLATFORM, WindowsHome, end, identity, image_of, lives
from tests.wine import WINE

DAEMON = (sys.executable, "-P", "-m", "supervisor.daemon")


def with_child(make_home: MakeHome, tmp_path: Path) -> tuple[WindowsHome, Path]:
    """A home whose toy has a child that would outlive it, and the file with the child's pid."""
    mark = tmp_path / "child"
    return make_home(toy_config("--child", str(mark))), mark


def test_a_stop_ends_the_whole_tree(make_home: MakeHome, tmp_path: Path) -> None:
    home, mark = with_child(make_home, tmp_path)
    home.start()
    server = home.ensure("e2e-toy")
    child = identity(int(mark.read_text()))
    home.call("server.stop", {"server": "e2e-toy"})
    assert not lives(server["process"]["pid"])
    assert PLATFORM.probe.sample(child) is Liveness.DEAD


def test_leftovers_known_only_by_their_job_are_ended(make_home: MakeHome, tmp_path: Path) -> None:
    home, mark = with_child(make_home, tmp_path)
    home.start()
    owner = home.owner()
    server = home.ensure("e2e-toy", owner={"pid": owner.pid})
    child = identity(int(mark.read_text()))
    end(server["process"]["pid"])
    eventually(lambda: PLATFORM.probe.sample(child) is Liveness.DEAD, "its child is ended")
    # The pid may be the same again.
    eventually(lambda: len(home.events("server.spawned", server="e2e-toy")) > 1, "it is started again")
    again = eventually(lambda: home.server_in("e2e-toy", "ready"), "it is ready again")
    assert again["ports"] == server["ports"]


def test_leftovers_of_a_server_are_ended_by_the_next_daemon(make_home: MakeHome, tmp_path: Path) -> None:
    home, mark = with_child(make_home, tmp_path)
    home.start()
    server = home.ensure("e2e-toy")
    child = identity(int(mark.read_text()))
    home.kill_daemon()
    end(server["process"]["pid"])
    assert PLATFORM.probe.sample(child) is Liveness.ALIVE
    home.start()
    eventually(lambda: PLATFORM.probe.sample(child) is Liveness.DEAD, "its child is ended")
    sent = home.event("signal.sent", server="e2e-toy", pid=child.pid)
    assert (sent["signal"], sent["link"]) == ("kill", "left over")


def test_files_of_the_daemon_are_private(toy: WindowsHome) -> None:
    made = Folders(toy.projects / "deep" / "home", moved=True)
    daemon = toy.run(*DAEMON, cwd=toy.projects, env={"GODOT_SUPERVISOR_HOME": str(made.home)})
    eventually(made.endpoint.exists, "it has published itself")
    for path in (made.home, made.endpoint):
        others = {sid for sid, _ in files.allowed_rights(path)} - {tokens.me()}
        # Wine keeps modes, and shows the system beside the owner.
        assert others <= ({"S-1-5-18"} if WINE else set()), path
    end(daemon.pid)


def test_home_that_others_may_write_to_is_refused(toy: WindowsHome) -> None:
    # Otherwise its settings would be refused first.
    toy.folders.config.unlink()
    allow(toy.folders.home, "D:P(A;OICI;FA;;;WD)")
    _, error = toy.refused("start")
    assert error["data"]["code"] == "NOT_OURS", error
    assert "icacls" in error["data"]["hint"]


def test_private_environment_runs_its_interpreter_as_the_server(make_home: MakeHome, tmp_path: Path) -> None:
    config = toy_config()
    command = config[config.index("command = ['") : config.index("', '{http}'")]
    packaged = "package = 'toy-server'\nversion = '1.0'\ncommand = ['{python}', '-P', '-m', 'toy_server"
    home = make_home(config.replace(command, packaged))
    home.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheel(tmp_path / "wheels"))}
    home.start()
    server = home.ensure("e2e-toy")
    assert server["version"] == "1.0"
    (redirector,) = home.folders.environments.glob("toy-server-1.0-*/venv/Scripts/python.exe")
    assert image_of(server["process"]["pid"]).lower() != str(redirector).lower()
    assert home.server_processes() == [server["process"]["pid"]]
    said = subprocess.run(
        [str(redirector), "-c", "import toy_server"],
        capture_output=True,
        check=False,
    )
    assert said.returncode == 0, said.stderr
