"""Messages to systemd, by a socket that replaces systemd's. `tests/e2e/test_systemd.py` uses the real one."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.native.service_api import NoServiceManager
from supervisor.native.services.manager import manager_from

if sys.platform != "linux":
    pytest.skip("systemd is Linux", allow_module_level=True)

from supervisor.native.linux import systemd


class Listener:
    """The end of the socket that systemd has."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(str(path))
        self.socket.settimeout(20)

    def next(self) -> str:
        return self.socket.recv(4096).decode()


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    made = Listener(tmp_path / "notify")
    yield made
    made.socket.close()


def test_without_a_socket_no_message_and_no_timer_exists() -> None:
    assert isinstance(manager_from({}), NoServiceManager)
    assert isinstance(manager_from({"NOTIFY_SOCKET": "relative"}), NoServiceManager)

    async def story() -> None:
        await manager_from({"WATCHDOG_USEC": "1000"}).begin(lambda: None)
        assert asyncio.get_running_loop()._scheduled == []  # type: ignore[attr-defined]

    asyncio.run(story())


def test_variables_of_systemd_are_not_inherited(listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    manager_from(environment)
    assert environment == {"PATH": "/bin"}


def test_systemd_learns_when_the_daemon_answers(listener: Listener) -> None:
    manager = manager_from({"NOTIFY_SOCKET": str(listener.path)})
    manager.ready()
    assert listener.next() == "READY=1"


def test_stopping_is_not_reported_because_of_timeoutstopsec(listener: Listener) -> None:
    manager_from({"NOTIFY_SOCKET": str(listener.path)}).stopping()
    assert "STOPPING" not in listener.next()


def test_abstract_socket_of_systemd_works() -> None:
    name = f"godot-supervisor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        manager_from({"NOTIFY_SOCKET": f"@{name}"}).ready()
        end.settimeout(20)
        assert end.recv(64) == b"READY=1"


def test_running_loop_sends_two_signs_of_life_per_watchdog_period(listener: Listener) -> None:
    manager = manager_from({"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "100000"})

    async def turns() -> list[str]:
        await manager.begin(lambda: None)
        return [await asyncio.to_thread(listener.next) for _ in range(4)]

    started = time.monotonic()
    assert asyncio.run(turns()) == ["WATCHDOG=1"] * 4
    assert time.monotonic() - started >= 3 * 0.05


def test_hanging_loop_sends_no_sign_of_life(listener: Listener) -> None:
    manager = manager_from({"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "40000"})

    async def hangs() -> None:
        await manager.begin(lambda: None)
        time.sleep(0.3)  # noqa: ASYNC251 (this is the hang)
        assert listener.next() == "WATCHDOG=1"
        listener.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.next()

    asyncio.run(hangs())


def test_watchdog_of_another_process_gets_no_signs_of_life() -> None:
    environment = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
    assert systemd.watchdog_s(environment, 8) is None
    assert systemd.watchdog_s(environment, 7) == 30
    assert systemd.watchdog_s({"WATCHDOG_USEC": "0"}, 8) is None
    assert systemd.watchdog_s({"WATCHDOG_USEC": "soon"}, 8) is None


def test_missing_service_manager_is_no_error(tmp_path: Path) -> None:
    manager_from({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
