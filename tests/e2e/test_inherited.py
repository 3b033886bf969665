"""The real command, daemon and servers, started by programs that leave their own state behind."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually, lives, variables


def run(home: Home, *words: str, prepare: Callable[[], object] | None = None, **options: Any) -> str:
    """Return the output of a command that inherits a program's process state."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor", *words],
        env=home.environment,
        preexec_fn=prepare,
        restore_signals=False,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        **{"cwd": home.folders.home, **options},
    )
    assert "defect" not in done.stderr
    assert done.returncode == 0, done.stderr
    return done.stdout


def masks(pid: int) -> dict[str, str]:
    """The signals that a process blocks and ignores, and its umask."""
    lines = (line.partition(":") for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return {name: value.strip() for name, _, value in lines if name in {"SigBlk", "SigIgn", "Umask"}}


def leave_everything_behind() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    os.umask(0o777)


def test_daemon_and_server_inherit_no_signals_and_no_mask(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    plain = home.up("e2e-toy")
    wanted = [masks(pid) for pid in (home.daemon_pid() or 0, plain["process"]["pid"])]
    run(home, "stop", "--servers")
    server = json.loads(run(home, "up", "e2e-toy", "--json", prepare=leave_everything_behind))
    daemon = home.daemon_pid() or 0
    for pid, before in zip((daemon, server["process"]["pid"]), wanted, strict=True):
        assert masks(pid) == {**before, "Umask": "0077"}
    os.kill(server["process"]["pid"], signal.SIGKILL)
    assert home.event("server.exited", server="e2e-toy")["exit"] == -signal.SIGKILL
    os.kill(daemon, signal.SIGTERM)
    eventually(lambda: not lives(daemon), "the daemon ends when it is asked to")


@pytest.mark.parametrize(
    "words",
    [("status",), ("config", "show"), ("kinds",), ("up", "e2e-toy"), ("logs",), ("connect", "codex"), ("stop",)],
)
def test_a_command_needs_no_current_folder(make_home: MakeHome, tmp_path: Path, words: tuple[str, ...]) -> None:
    home = make_home(toy_config())
    home.start()
    gone = tmp_path / "gone"
    gone.mkdir()

    def leave() -> None:
        gone.rmdir()

    assert run(home, *words, prepare=leave, cwd=gone)


def test_a_relative_project_of_a_folder_that_has_gone_is_named(make_home: MakeHome, tmp_path: Path) -> None:
    home = make_home(toy_config())
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor", "up", "e2e-toy", "--project", "."],
        env={**home.environment, "PWD": str(gone)},
        preexec_fn=gone.rmdir,
        cwd=gone,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert f"the current folder, which has gone ({gone})" in done.stderr


def test_variables_of_python_reach_neither_daemon_nor_server(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    home.environment |= {"PYTHONWARNINGS": "error", "PYTHONOPTIMIZE": "2", "PYTHONSTARTUP": "/none", "PYTHONPATH": "/x"}
    server = home.up("e2e-toy")
    for pid in (home.daemon_pid() or 0, server["process"]["pid"]):
        assert not {"PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONSTARTUP", "PYTHONPATH"} & set(variables(pid))
