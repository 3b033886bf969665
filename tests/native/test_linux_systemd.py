"""What systemd is told, by a socket that stands in for systemd's. `tests/e2e/test_systemd.py` has the real one."""

import asyncio
import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from supervisor.native.service_api import NoServiceManager
from supervisor.native.services.manager import manager_of

if sys.platform != "linux":
    pytest.skip("systemd is Linux", allow_module_level=True)

from supervisor.native.linux import systemd


class Listener:
    """systemd's end."""

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


def test_without_a_socket_nobody_is_told_and_nothing_ticks() -> None:
    assert isinstance(manager_of({}), NoServiceManager)
    assert isinstance(manager_of({"NOTIFY_SOCKET": "relative"}), NoServiceManager)

    async def story() -> None:
        await manager_of({"WATCHDOG_USEC": "1000"}).begin(lambda: None)
        assert asyncio.get_running_loop()._scheduled == []  # type: ignore[attr-defined]

    asyncio.run(story())


def test_what_it_was_told_is_not_handed_on(listener: Listener) -> None:
    environment = {"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "1", "WATCHDOG_PID": "1", "PATH": "/bin"}
    manager_of(environment)
    assert environment == {"PATH": "/bin"}


def test_it_is_told_when_the_daemon_answers(listener: Listener) -> None:
    manager = manager_of({"NOTIFY_SOCKET": str(listener.path)})
    manager.ready()
    assert listener.next() == "READY=1"


def test_it_is_not_told_that_we_stop_because_it_would_lose_patience(listener: Listener) -> None:
    manager_of({"NOTIFY_SOCKET": str(listener.path)}).stopping()
    assert "STOPPING" not in listener.next()


def test_an_abstract_socket_is_one_too() -> None:
    name = f"godot-supervisor-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as end:
        end.bind(f"\0{name}")
        manager_of({"NOTIFY_SOCKET": f"@{name}"}).ready()
        end.settimeout(20)
        assert end.recv(64) == b"READY=1"


def test_signs_of_life_come_from_a_loop_that_turns_twice_in_its_patience(listener: Listener) -> None:
    manager = manager_of({"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "100000"})

    async def turns() -> list[str]:
        await manager.begin(lambda: None)
        return [await asyncio.to_thread(listener.next) for _ in range(4)]

    started = time.monotonic()
    assert asyncio.run(turns()) == ["WATCHDOG=1"] * 4
    assert time.monotonic() - started >= 3 * 0.05


def test_no_sign_of_life_comes_from_a_loop_that_hangs(listener: Listener) -> None:
    manager = manager_of({"NOTIFY_SOCKET": str(listener.path), "WATCHDOG_USEC": "40000"})

    async def hangs() -> None:
        await manager.begin(lambda: None)
        time.sleep(0.3)  # noqa: ASYNC251 (this is the hang)
        assert listener.next() == "WATCHDOG=1"
        listener.socket.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.next()

    asyncio.run(hangs())


def test_a_watchdog_that_is_meant_for_another_process_is_not_fed() -> None:
    environment = {"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}
    assert systemd.watchdog_s(environment, 8) is None
    assert systemd.watchdog_s(environment, 7) == 30
    assert systemd.watchdog_s({"WATCHDOG_USEC": "0"}, 8) is None
    assert systemd.watchdog_s({"WATCHDOG_USEC": "soon"}, 8) is None


def test_a_manager_that_has_gone_is_nobodys_trouble(tmp_path: Path) -> None:
    manager_of({"NOTIFY_SOCKET": str(tmp_path / "gone")}).ready()
