"""`service` where no service manager answers, and `service run` beside a socket that stands in for systemd's.

The real one is in `test_systemd.py`.
"""

import json
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.client import endpoint
from supervisor.client.client import Client
from tests.e2e.home import Home, variables

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="systemd is Linux")


@pytest.fixture
def alone(toy: Home, tmp_path: Path) -> Home:
    """A home whose commands find no service manager, whatever this machine has."""
    toy.environment |= {"XDG_RUNTIME_DIR": str(tmp_path), "DBUS_SESSION_BUS_ADDRESS": "unix:path=/nowhere"}
    return toy


@pytest.fixture
def systemd(alone: Home, tmp_path: Path) -> Iterator[socket.socket]:
    """systemd's end of what a service says."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(60)
        alone.environment["NOTIFY_SOCKET"] = str(tmp_path / "notify")
        yield listener


def test_without_a_service_manager_install_writes_nothing(alone: Home) -> None:
    code, error = alone.refused("service", "install")
    assert code == 1
    assert error["data"]["code"] == "SERVICE_REFUSED"
    assert "service manager" in error["message"]
    assert not list(Path(alone.environment["XDG_CONFIG_HOME"]).rglob("*.service"))


def test_status_without_a_service_names_the_daemon_that_runs(alone: Home) -> None:
    pid = alone.start()
    done = alone.cli("service", "status", "--json")
    found = json.loads(done.stdout)
    assert done.returncode == 4
    assert (found["installed"], found["daemon"]["pid"]) == (False, pid)
    assert found["name"] == f"godot-supervisor-{alone.folders.home_id}.service"
    assert alone.cli("service", "uninstall").stdout == "nothing to do\n"
    assert alone.daemon_pid() == pid


def test_ready_is_said_when_clients_are_answered(alone: Home, systemd: socket.socket) -> None:
    service = alone.begin("service", "run")
    assert systemd.recv(100) == b"READY=1"
    published = endpoint.read(alone.folders.endpoint)
    assert published is not None
    assert published.pid == service.pid
    Client.connect(published).close()
    assert alone.cli("stop").returncode == 0
    assert systemd.recv(100) == b"STATUS=stopping"
    assert service.wait(30) == 0


def test_one_that_comes_second_is_ready_at_once_says_who_runs_and_exits_0(alone: Home, systemd: socket.socket) -> None:
    pid = alone.start()
    second = alone.cli("service", "run")
    assert (second.returncode, second.stdout.split(",")[0]) == (0, f"already running: pid {pid}")
    # Without it systemd would call a service that has ended before it was ready a failure.
    assert systemd.recv(100) == b"READY=1"
    assert alone.cli("start").stdout.split(",")[0] == f"already running: pid {pid}"


def test_a_configuration_that_cannot_be_used_is_exit_78_and_never_ready(alone: Home, systemd: socket.socket) -> None:
    (alone.folders.home / "config.toml").write_text('[daemon]\nlog_levle = "info"\n')
    done = alone.cli("service", "run")
    assert done.returncode == 78
    assert done.stderr.startswith("CONFIG_INVALID: ")
    assert "daemon.log_levle" in done.stderr
    assert json.loads(alone.cli("service", "run", "--json").stderr)["data"]["code"] == "CONFIG_INVALID"
    (alone.folders.home / "config.toml").write_text("")
    systemd.setblocking(False)
    with pytest.raises(BlockingIOError):
        systemd.recv(100)


def test_a_home_can_be_named_where_there_is_no_environment(alone: Home, systemd: socket.socket) -> None:
    del alone.environment["GODOT_SUPERVISOR_HOME"]
    service = alone.begin("service", "run", "--home", str(alone.folders.home))
    assert systemd.recv(100) == b"READY=1"
    assert alone.daemon_pid() == service.pid
    alone.environment["GODOT_SUPERVISOR_HOME"] = str(alone.folders.home)
    server = alone.up("e2e-toy")
    assert server["state"] == "ready"
    # Nor does the server say to systemd that it is the daemon.
    assert "NOTIFY_SOCKET" not in variables(server["process"]["pid"])


def test_the_daemon_of_a_service_is_light(alone: Home, systemd: socket.socket) -> None:
    service = alone.begin("service", "run")
    assert systemd.recv(100) == b"READY=1"
    maps = Path(f"/proc/{service.pid}/maps").read_text()
    assert "_ssl" not in maps
    assert alone.cli("stop").returncode == 0
