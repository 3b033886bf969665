"""The real daemon as a service of Windows: servers continue, whatever the service control manager does to it."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.home import eventually
from tests.windows.home import WindowsHome, end, identity, lives
from tests.windows.test_service import Service


@pytest.fixture
def service(toy: WindowsHome, tmp_path: Path) -> Iterator[Service]:
    """The daemon of this home, as a running service."""
    made = Service(f"gs-daemon-{time.time_ns():x}", tmp_path / "told")
    made.control.create(made.definition("daemon", str(toy.folders.home)))
    yield made
    made.control.stop(made.name)
    made.control.delete(made.name)


def runs(toy: WindowsHome, service: Service, *, not_pid: int | None = None) -> int:
    """Return the pid of the daemon, once it answers and the service control manager knows it."""
    service.reaches("running")
    pid = eventually(lambda: (found := toy.daemon_pid()) != not_pid and found, "it has published itself")
    known = service.control.query(service.name)
    assert known is not None
    assert known.pid == pid
    return pid


def test_servers_outlive_stop_crash_and_restart_of_the_service(toy: WindowsHome, service: Service) -> None:
    service.start()
    first = runs(toy, service)
    server = toy.ensure("e2e-toy")["process"]
    whole = identity(server["pid"])
    service.control.stop(service.name)
    assert service.exit_code() == "0"
    eventually(lambda: not lives(first), "the daemon ends")
    assert toy.daemon_pid() is None
    assert identity(server["pid"]) == whole

    service.start()
    second = runs(toy, service)
    found = toy.server("e2e-toy")
    assert found is not None
    assert (found["state"], found["process"]) == ("ready", server)

    end(second)
    service.reaches("stopped")
    assert identity(server["pid"]) == whole
    service.start()
    runs(toy, service, not_pid=second)
    again = toy.server("e2e-toy")
    assert again is not None
    assert (again["state"], again["process"]) == ("ready", server)
    assert toy.call("server.stop", {"server": "e2e-toy"})["state"] == "stopped"


def test_service_beside_a_daemon_ends_without_an_error(toy: WindowsHome, service: Service) -> None:
    pid = toy.start()
    service.start()
    eventually(lambda: service.state() == "stopped" and service.exit_code() == "0", "it makes way")
    assert toy.daemon_pid() == pid


def test_a_configuration_that_cannot_be_used_is_its_exit_code(toy: WindowsHome, service: Service) -> None:
    (toy.folders.home / "config.toml").write_text("[daemon]\nlog_levle = 1\n")
    service.start()
    service.reaches("stopped")
    eventually(lambda: service.exit_code() == "78", service.exit_code())
