"""Starting the daemon, tried with a stand-in: its listener is real, and answers only `hello` and `ping`."""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from supervisor.client import autostart, endpoint
from supervisor.client.autostart import ensure_daemon
from supervisor.client.client import Client
from supervisor.errors import DaemonNotRunning, ProtocolUnsupported, StateNotWritable, SupervisorError
from supervisor.native.facts import HOME_VARIABLE, Folders
from tests.systems import POSIX_ONLY

STAND_IN = """
import asyncio, os, signal, sys
from filelock import FileLock, Timeout
from supervisor.client import endpoint
from supervisor.control.all_connections import AllConnections
from supervisor.control.listener import Listener
from supervisor.control.methods.table import MethodTable
from supervisor.native.facts import folders

where = folders()
with open(where.home / "starts", "a") as starts:
    print(os.getpid(), file=starts)
if os.environ["STAND_IN"] == "fails":
    sys.exit("cannot: no such luck")
lock = FileLock(str(where.lock))
try:
    lock.acquire(timeout=0)
except Timeout:
    sys.exit(0)
if os.environ["STAND_IN"] == "first-gives-way":
    if len(open(where.home / "starts").readlines()) == 1:
        sys.exit(0)


class Quiet:
    def warning(self, event, /, **details): ...
    error = warning
    def same_user(self, connection): return True


async def main():
    identity = f"i-{os.getpid()}"
    all_connections = AllConnections(
        methods=MethodTable([]), instance_id=identity, version="0", token="t", peers=Quiet(), log=Quiet())
    listener = Listener(all_connections, where.socket)
    await listener.open()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    if os.environ["STAND_IN"] != "silent":
        endpoint.publish(where.endpoint, endpoint.Endpoint(
            1, os.getpid(), "x", identity, "0", endpoint.ProtocolRange(1, 1), "t", listener.transports))
    await ended.wait()
    await listener.close()

asyncio.run(main())
"""

pytestmark = POSIX_ONLY


class Stage:
    """A home, and the behaviour of the stand-in daemon in it."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._set = monkeypatch.setenv
        self.folders = Folders(folder / "home", moved=True)
        self.script = folder / "stand_in.py"
        self.script.write_text(STAND_IN)
        monkeypatch.setattr(autostart, "COMMAND", (sys.executable, "-P", str(self.script)))
        monkeypatch.delenv(HOME_VARIABLE, raising=False)
        self.plays("daemon")

    def plays(self, part: str) -> None:
        self._set("STAND_IN", part)

    @property
    def starts(self) -> list[int]:
        with contextlib.suppress(FileNotFoundError):
            return [int(line) for line in (self.folders.home / "starts").read_text().split()]
        return []

    def clear(self) -> None:
        """End every stand-in, also those that have not yet written their pid."""
        deadline = time.monotonic() + 10
        while running := [process for process in self._candidates() if is_stand_in(process)]:
            assert time.monotonic() < deadline
            for process in running:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            time.sleep(0.01)

    def _candidates(self) -> list[psutil.Process]:
        found = psutil.Process().children()
        for pid in self.starts:
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return found


def is_stand_in(process: psutil.Process) -> bool:
    """Recognise a stand-in by the beginning of its command line; a zombie has none."""
    words = list(autostart.COMMAND[1:])
    try:
        return process.cmdline()[1 : len(words) + 1] == words
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    made = Stage(tmp_path, monkeypatch)
    yield made
    made.clear()


def test_a_daemon_is_started_if_none_runs(stage: Stage) -> None:
    with ensure_daemon(stage.folders) as client:
        (pid,) = stage.starts
        assert client.daemon["instance_id"] == f"i-{pid}"
        assert os.getsid(pid) == pid != os.getsid(0)
        assert (stage.folders.logs / "daemon.out").exists()
        assert stage.folders.home.stat().st_mode & 0o077 == 0


def test_a_running_daemon_is_used(stage: Stage) -> None:
    with ensure_daemon(stage.folders) as first, ensure_daemon(stage.folders) as second:
        assert first.daemon["instance_id"] == second.daemon["instance_id"]
    assert len(stage.starts) == 1


def test_the_daemon_outlives_the_process_that_started_it(stage: Stage) -> None:
    code = (
        "import sys; from pathlib import Path; from supervisor.client import autostart;"
        "autostart.COMMAND = (sys.executable, '-P', sys.argv[2]);"
        "from supervisor.native.facts import Folders;"
        "autostart.ensure_daemon(Folders(Path(sys.argv[1]), moved=True)).close()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, str(stage.folders.home), str(stage.script)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    published = endpoint.read(stage.folders.endpoint)
    assert published is not None
    with Client.connect(published) as client:
        assert client.daemon["instance_id"] == f"i-{stage.starts[0]}"


def test_callers_at_once_share_one_daemon(stage: Stage) -> None:
    found: list[str] = []

    def ensure() -> None:
        with ensure_daemon(stage.folders, timeout_s=60) as client:
            found.append(client.daemon["instance_id"])

    threads = [threading.Thread(target=ensure) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(90)
    assert len(found) == 6
    assert len(set(found)) == 1


def test_a_stale_endpoint_is_replaced(stage: Stage) -> None:
    ensure_daemon(stage.folders).close()
    stage.clear()
    with ensure_daemon(stage.folders) as client:
        assert client.daemon["instance_id"] == f"i-{stage.starts[1]}"


def test_a_damaged_endpoint_is_replaced(stage: Stage) -> None:
    stage.folders.home.mkdir()
    stage.folders.endpoint.write_bytes(b"\0garbage")
    ensure_daemon(stage.folders).close()
    assert len(stage.starts) == 1


@pytest.mark.parametrize("apart", [False, True])
def test_a_failed_start_reports_the_daemons_output(stage: Stage, *, apart: bool) -> None:
    stage.folders.logs.mkdir(parents=True)
    (stage.folders.logs / "daemon.out").write_text("an older complaint\n")
    stage.plays("fails")
    with pytest.raises(DaemonNotRunning) as caught:
        ensure_daemon(stage.folders, apart=apart)
    assert caught.value.data == {"exit": 1, "output": "cannot: no such luck\n"}
    assert len(stage.starts) == 1


def test_a_daemon_that_never_answers_is_given_up(stage: Stage) -> None:
    stage.plays("silent")
    with pytest.raises(DaemonNotRunning, match=r"did not answer within 0\.5 s"):
        ensure_daemon(stage.folders, timeout_s=0.5)


def test_a_daemon_that_does_not_leave_its_starter_is_given_up(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autostart, "SAYS_PID_WITHIN_S", 0.1)
    stage.plays("silent")
    with pytest.raises(DaemonNotRunning, match=r"did not answer within 0\.5 s"):
        ensure_daemon(stage.folders, timeout_s=0.5, apart=True)


def test_a_daemon_is_started_after_the_other_shut_down(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autostart, "YIELD_S", 0.1)
    stage.plays("first-gives-way")
    with ensure_daemon(stage.folders) as client:
        assert client.daemon["instance_id"] == f"i-{stage.starts[1]}"


def test_a_daemon_of_a_later_release_is_left_alone(stage: Stage) -> None:
    stage.folders.home.mkdir()
    stage.folders.endpoint.write_text(json.dumps({"schema": 2}))
    with pytest.raises(ProtocolUnsupported):
        ensure_daemon(stage.folders)
    assert stage.starts == []


def test_a_home_that_cannot_be_made_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SupervisorError) as caught:
        ensure_daemon(Folders(tmp_path / "file" / "home", moved=True))
    assert caught.value.code in {StateNotWritable.code, DaemonNotRunning.code}


def test_a_failure_shows_the_error_of_this_child(stage: Stage) -> None:
    log = stage.folders.logs / "daemon.out"
    stage.folders.logs.mkdir(parents=True)
    other = {"code": -32000, "message": "another attempt", "data": {"code": "NOT_OURS"}, "pid": 1}
    stage.plays("complains")
    ours = {"code": -32000, "message": "this attempt", "data": {"code": "CONFIG_INVALID"}}
    stage.script.write_text(
        f"import json, os, sys; print(json.dumps({{**{ours!r}, 'pid': os.getpid()}}), file=sys.stderr)\n"
        f"print(json.dumps({other!r}), file=sys.stderr); sys.exit(1)\n"
    )
    with pytest.raises(SupervisorError, match="this attempt"):
        ensure_daemon(stage.folders)
    assert "another attempt" in log.read_text()


def test_the_file_of_daemon_output_is_bounded(stage: Stage) -> None:
    log = stage.folders.logs / "daemon.out"
    stage.folders.logs.mkdir(parents=True)
    log.write_bytes(b"x" * (autostart.OUTPUT_FILE_BYTES_MAX + 1))
    with ensure_daemon(stage.folders):
        assert log.stat().st_size < 1000
