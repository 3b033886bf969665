"""Ctrl-C and `--timeout`: a command that ends early says what becomes of the operation that it asked for."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import Cancelled
from tests.cli.conftest import Run
from tests.cli.objects import server
from tests.cli.scripted import Script
from tests.systems import POSIX_ONLY

REPOSITORY = Path(__file__).resolve().parents[2]


class Slow:
    """A mutation without an answer, until it is cancelled.

    One thread serves a connection, so the answer to the cancelling request is followed by that of the mutation.
    """

    def __init__(self, daemon: Script, method: str, *, goes_on: bool) -> None:
        self.asked = threading.Event()
        self.daemon = daemon
        self.params: dict[str, Any] = {}
        daemon.later[method] = self._note
        daemon.answers["request.cancel"] = {"goes_on": goes_on}

    def _note(self, params: dict[str, Any]) -> None:
        self.params = params
        self.asked.set()


def interrupted(daemon: Script, slow: Slow, *words: str) -> tuple[int, str, str]:
    command = subprocess.Popen(
        [sys.executable, "-m", "supervisor", *words],
        cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert slow.asked.wait(30)
    time.sleep(0.2)
    command.send_signal(signal.SIGINT)
    out, err = command.communicate(timeout=30)
    assert daemon.params("request.cancel") == {}
    cancelled = [params["request"] for called, params in daemon.calls if called == "request.cancel"]
    assert cancelled == [slow.params["request"]]
    return command.returncode, out, err


@POSIX_ONLY
@pytest.mark.parametrize(
    ("command", "method", "left"),
    [
        ("up x", "server.ensure", "this command has started nothing"),
        ("down x", "server.stop", "nothing was stopped"),
        ("restart x", "server.restart", "nothing was stopped; the server keeps running"),
    ],
)
def test_ctrl_c_cancels_what_can_be_undone(daemon: Script, command: str, method: str, left: str) -> None:
    slow = Slow(daemon, method, goes_on=False)
    daemon.after["request.cancel"] = Cancelled("the operation was cancelled")
    code, out, err = interrupted(daemon, slow, *command.split())
    assert (code, out) == (130, "")
    assert err.strip().splitlines()[-1] == f"cancelled: {left}"


@POSIX_ONLY
def test_ctrl_c_with_json_is_an_error_object(daemon: Script) -> None:
    slow = Slow(daemon, "server.ensure", goes_on=False)
    daemon.after["request.cancel"] = Cancelled("the operation was cancelled")
    code, out, err = interrupted(daemon, slow, "up", "x", "--json")
    assert (code, out) == (130, "")
    assert json.loads(err)["data"]["code"] == "CANCELLED"


@POSIX_ONLY
def test_ctrl_c_reports_what_continues(daemon: Script) -> None:
    slow = Slow(daemon, "server.stop", goes_on=True)
    daemon.progress = [{"stage": "stopping", "message": "x, pid 7"}]
    code, _, err = interrupted(daemon, slow, "down", "x")
    assert code == 130
    assert "it cannot be undone and continues: stopping: x, pid 7" in err


@POSIX_ONLY
def test_a_late_ctrl_c_is_reported(daemon: Script) -> None:
    slow = Slow(daemon, "server.stop", goes_on=False)
    daemon.after["request.cancel"] = server(state="stopped")
    code, _, err = interrupted(daemon, slow, "down", "x")
    assert code == 130
    assert "it was already done" in err


@pytest.mark.parametrize(
    ("owner", "hint"),
    [((), "the start is undone"), (("--owner-pid", str(os.getpid())), "the start continues for its owner")],
)
def test_a_timeout_says_what_happens_to_the_start(run: Run, daemon: Script, owner: tuple[str, ...], hint: str) -> None:
    Slow(daemon, "server.ensure", goes_on=False)
    outcome = run("up", "x", *owner, "--timeout", "0.5", "--json")
    assert (outcome.code, outcome.error["code"]) == (6, "RESPONSE_TIMEOUT")
    assert outcome.error["hint"].startswith(hint)


def test_the_timeout_limits_the_whole_command(run: Run, daemon: Script) -> None:
    def late(_: object) -> dict[str, Any]:
        time.sleep(0.7)
        return {"servers": [server()]}

    daemon.answers["server.list"] = late
    Slow(daemon, "server.stop", goes_on=False)
    began = time.monotonic()
    assert run("down", "--timeout", "1").code == 6
    assert time.monotonic() - began < 1.6


def test_the_timeout_counts_the_start_of_the_daemon(run: Run, home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert home.is_dir()
    monkeypatch.setattr("supervisor.client.autostart.COMMAND", (sys.executable, "-c", "import time; time.sleep(5)"))
    began = time.monotonic()
    for words in (("up", "x"), ("start",)):
        outcome = run(*words, "--timeout", "0.5", "--json")
        assert (outcome.code, outcome.error["code"]) == (6, "RESPONSE_TIMEOUT")
    assert time.monotonic() - began < 3
