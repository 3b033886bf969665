"""A service in the real service control manager: created, started, stopped, crashed, changed and deleted."""

import ctypes
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import pytest

from supervisor.native.service_api import OWN_PROCESS, ServiceControl, ServiceDefinition
from supervisor.native.services.control import account_name, elevated, open_service_control

if sys.platform != "win32":
    pytest.skip("this is Windows, or Wine", allow_module_level=True)

from supervisor.native.windows.services import scm

REPOSITORY = Path(__file__).resolve().parents[2]
SERVANT = Path(__file__).with_name("servant.py")
PATIENCE_S = 120.0
SERVICE_REQUEST_TIMEOUT = 1053
SERVICE_QUERY_STATUS = 0x4

T = TypeVar("T")


def under_wine() -> bool:
    return hasattr(ctypes.WinDLL("ntdll"), "wine_get_version")


def eventually(look: Callable[[], T | None], what: str) -> T:
    end = time.monotonic() + PATIENCE_S
    while True:
        answer = look()
        if answer:
            return answer
        assert time.monotonic() < end, f"waited {PATIENCE_S:g} s in vain: {what}"
        time.sleep(0.05)


class Service:
    """A service that belongs to one test."""

    def __init__(self, name: str, log: Path) -> None:
        self.control: ServiceControl = open_service_control()
        self.name = name
        self.log = log

    def definition(self, part: str, *more: str) -> ServiceDefinition:
        command = [sys.executable, str(SERVANT), str(REPOSITORY), str(self.log), part, *more]
        return ServiceDefinition(self.name, "A test", f"plays {part}", subprocess.list2cmdline(command), OWN_PROCESS)

    def start(self) -> None:
        """Start it, and retry: the service control manager gives up processes that start slowly."""

        def started() -> bool:
            try:
                self.control.start(self.name)
            except OSError as problem:
                if problem.winerror != SERVICE_REQUEST_TIMEOUT:
                    raise
                return False
            return True

        eventually(started, f"{self.name} starts")

    def told(self) -> list[str]:
        return self.log.read_text(encoding="utf-8").splitlines() if self.log.exists() else []

    def state(self) -> str | None:
        found = self.control.query(self.name)
        return found.state if found else None

    def reaches(self, state: str) -> None:
        eventually(lambda: self.state() == state, f"{self.name} is {state}, not {self.state()}; {self.told()}")

    def exit_code(self) -> str:
        # `sc query` of Wine 10 prints less than Windows does.
        with scm._service(self.name, SERVICE_QUERY_STATUS) as handle:
            return str(scm._status(handle).specific)


@pytest.fixture
def service(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    made = Service(f"gs-{abs(hash(request.node.name)):x}-{time.time_ns():x}", tmp_path / "told")
    yield made
    if made.control.query(made.name) is not None:
        made.control.stop(made.name)
        made.control.delete(made.name)


def test_service_reads_back_as_created(service: Service) -> None:
    assert service.control.query(service.name) is None
    definition = service.definition("stand-in")
    service.control.create(definition)
    found = service.control.query(service.name)
    assert found is not None
    assert (found.type, found.command_line, found.automatic) == (OWN_PROCESS, definition.command_line, True)
    assert (found.state, found.pid) == ("stopped", None)
    assert found.description == "plays stand-in"
    with pytest.raises(OSError, match="1073"):
        service.control.create(definition)
    service.control.change(service.definition("crash"))
    found = service.control.query(service.name)
    assert found is not None
    assert found.description == "plays crash"
    service.control.delete(service.name)
    assert service.control.query(service.name) is None


def test_service_starts_and_stops_repeatedly(service: Service) -> None:
    service.control.create(service.definition("stand-in"))
    pids = set()
    for _ in range(2):
        service.start()
        service.start()
        service.reaches("running")
        found = service.control.query(service.name)
        assert found is not None
        assert service.told()[-1] == f"ready {found.pid}"
        pids.add(found.pid)
        service.control.stop(service.name)
        assert service.state() == "stopped"
        eventually(lambda: service.told()[-1] == "done 0", "the process ends")
        service.control.stop(service.name)
    assert len(pids) == 2
    assert service.exit_code() == "0"
    assert [line.split()[0] for line in service.told()] == ["ready", "stopped", "done"] * 2


def test_failed_start_is_an_exit_code_and_no_crash(service: Service) -> None:
    service.control.create(service.definition("refuse"))
    service.start()
    service.reaches("stopped")
    assert service.exit_code() == "78"
    assert service.told()[0] == "refused"


@pytest.mark.needs_real_windows
@pytest.mark.skipif(under_wine(), reason="needs_real_windows: Wine does not act on a crash")
def test_crashed_service_is_restarted(service: Service) -> None:
    service.control.create(service.definition("crash"))
    service.start()
    eventually(lambda: len(service.told()) > 1, "it is started again")


def test_crashed_service_can_be_started_by_hand(service: Service) -> None:
    service.control.create(service.definition("crash"))
    service.start()
    eventually(service.told, "it has started")
    service.reaches("stopped")
    service.control.change(service.definition("stand-in"))
    service.start()
    service.reaches("running")
    assert len(service.told()) == 2


def test_process_not_started_as_a_service_learns_it_at_once(tmp_path: Path) -> None:
    log = tmp_path / "told"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, SERVANT, REPOSITORY, log, "stand-in"], stdin=subprocess.DEVNULL, timeout=60, check=False
    )
    assert done.returncode == 3
    assert log.read_text(encoding="utf-8") == "done None\n"
    assert time.monotonic() - started < PATIENCE_S / 2


def test_account_of_this_process_is_reported() -> None:
    assert "\\" in account_name()
    assert isinstance(elevated(), bool)
