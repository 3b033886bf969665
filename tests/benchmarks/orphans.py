"""How long a real godot-ai outlives its owner: under this daemon, and left to its own reaper."""

import json
import os
import random
import select
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from tests import cache
from tests.benchmarks.ours import Ours
from tests.benchmarks.parts import Series, say

BATCH = 5
"""Servers at a time, each with an owner, a project and a pair of ports of its own."""

HTTP, WS = 18800, 19800
PHASES_S = 5.0
"""Owners are killed at any moment within this time: the server's own reaper looks as often."""

SETTLE_S = 3.0
PATIENCE_S = 60.0


class GodotAi(Ours):
    """Our daemon with one godot-ai for each project, in the environment that the tests share."""

    name = "godot-supervisor with godot-ai"

    def configure(self, count: int) -> None:
        """See `Peer`."""
        super().configure(0)
        text = (
            f'[daemon]\ndiscover = "off"\nenvironments = {json.dumps(str(cache.environments()))}\n'
            '[kinds.godot-ai]\ntopology = "per-editor"\n'
            f'ports = {{ http = "{HTTP}-{HTTP + count}", ws = "{WS}-{WS + count}" }}\n'
        )
        (self.home / "config.toml").write_text(text, encoding="utf-8")


class Pair(NamedTuple):
    """An owner, and its server's pid."""

    owner: subprocess.Popen[bytes]
    server: int


def outlived(work: Path, rounds: int) -> Series:
    """An owner killed with -9, to its server gone; seconds."""
    daemon = GodotAi(work)
    daemon.configure(BATCH)
    daemon.children = 0
    daemon.launch()
    try:
        supervised = _measure(rounds, "supervised", lambda: [_supervised(daemon, number) for number in range(BATCH)])
        python = Path(_command(supervised.last)[0])
    finally:
        daemon.stop()
    alone = _measure(rounds, "alone", lambda: [_alone(daemon.folder, python, number) for number in range(BATCH)])
    return {"godot-supervisor, grace_s = 5": supervised.seconds, "godot-ai alone": alone.seconds}


class _Measured(NamedTuple):
    seconds: list[float]
    last: str


def _measure(rounds: int, who: str, make: Callable[[], list[Pair]]) -> _Measured:
    seconds: list[float] = []
    command = ""
    while len(seconds) < rounds:
        pairs = make()
        command = Path(f"/proc/{pairs[0].server}/cmdline").read_text(encoding="utf-8")
        time.sleep(SETTLE_S)
        seconds += _kill_owners(pairs)
        say(who, [round(value, 2) for value in seconds[-BATCH:]])
    return _Measured(seconds, command)


def _command(text: str) -> list[str]:
    return text.split("\0")


def _supervised(daemon: GodotAi, number: int) -> Pair:
    project = daemon.folder / f"project-{number}"
    project.mkdir(exist_ok=True)
    owner = subprocess.Popen(["sleep", "600"])
    params = {"kind": "godot-ai", "owner": {"pid": owner.pid, "project": str(project)}, "version": "4.3.1"}
    server = daemon.connection.call("server.ensure", **params)
    return Pair(owner, server["process"]["pid"])


def _alone(folder: Path, python: Path, number: int) -> Pair:
    owner = subprocess.Popen(["sleep", "600"])
    ports = [HTTP + 50 + number, WS + 50 + number]
    words = ["-P", "-m", "godot_ai", "--transport", "streamable-http", "--port", str(ports[0]), "--ws-port"]
    with (folder / f"alone-{number}.log").open("wb") as log:
        server = subprocess.Popen(
            [python, *words, str(ports[1]), "--owner-pid", str(owner.pid)],
            env={**os.environ, "GODOT_AI_DISABLE_TELEMETRY": "true", "HOME": str(folder)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    end = time.monotonic() + PATIENCE_S
    while not _listens(ports[0]):
        assert time.monotonic() < end, "godot-ai does not listen"
        time.sleep(0.05)
    return Pair(owner, server.pid)


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _kill_owners(pairs: Sequence[Pair]) -> list[float]:
    """Each at a moment of its own; seconds until its server ended."""
    watched = {os.pidfd_open(pair.server): pair for pair in pairs}
    due = {pidfd: time.monotonic() + random.uniform(0, PHASES_S) for pidfd in watched}
    killed: dict[int, float] = {}
    seconds = []
    while watched:
        for pidfd in [pidfd for pidfd, moment in due.items() if moment <= time.monotonic()]:
            del due[pidfd]
            killed[pidfd] = time.monotonic()
            watched[pidfd].owner.send_signal(signal.SIGKILL)
            # Until its parent waits for it, a dead process still answers signal 0.
            watched[pidfd].owner.wait()
        for pidfd in select.select(list(watched), [], [], 0.01)[0]:
            seconds.append(time.monotonic() - killed[pidfd])
            _collect(watched.pop(pidfd).server)
            os.close(pidfd)
    return seconds


def _collect(pid: int) -> None:
    try:
        os.waitpid(pid, 0)
    except ChildProcessError:
        # The daemon's.
        return
