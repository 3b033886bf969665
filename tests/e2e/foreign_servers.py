"""Servers that no daemon has started: as a plugin, a terminal or another program would."""

import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.e2e.conftest import toy_config
from tests.e2e.home import SERVERS, Home, eventually, free_ports, is_free, lives

GRACE_S = 0.5
SETS = 3
TOY = str(SERVERS / "toy.py")

Process = subprocess.Popen[Any]


class Place:
    """Port sets of a test's own."""

    def __init__(self, sets: int = SETS) -> None:
        ports = free_ports(2 * sets)
        self.http, self.sessions = ports[:sets], ports[sets:]

    def set(self, number: int) -> dict[str, int]:
        """The ports that move together."""
        return {"http": self.http[number], "sessions": self.sessions[number]}

    def config(self, *options: str, discover: str = "off", **more: Any) -> str:
        """The toy on these ports, in the version that is asked for."""
        reach = {
            "http": f"{self.http[0]}-{self.http[-1]}",
            "sessions": f"{self.sessions[0]}-{self.sessions[-1]}",
        }
        text = toy_config("--version", "{version}", *options, **{"grace": GRACE_S, **reach, **more})
        return text.replace('discover = "off"', f'discover = "{discover}"') + 'version = "1.0"\n'


def start_foreign_toy(
    home: Home,
    ports: Mapping[str, int],
    *options: str,
    owner: Process | str | None = None,
    before: tuple[str, ...] = (),
    **more: Any,
) -> Process:
    """Start a toy that is foreign to the daemon, and return it once it listens. `before`: the launcher's words."""
    names = {} if owner is None else {"TOY_OWNER": owner if isinstance(owner, str) else str(owner.pid)}
    words = (sys.executable, TOY, str(ports["http"]), str(ports["sessions"]), *options)
    if before:
        words = (*before, " ".join(words) + "; true")
    process = home.run(*words, env=names, stdout=subprocess.DEVNULL, **more)
    eventually(lambda: not any(is_free(port) for port in ports.values()), "the foreign server listens")
    return process


def ended(process: Process) -> None:
    """End a process as a crash would. Nothing is left of it."""
    process.kill()
    process.wait()


@contextmanager
def session(ports: Mapping[str, int]) -> Iterator[None]:
    """An open session on a toy."""
    with socket.create_connection(("127.0.0.1", ports["sessions"])):
        yield


def rows(home: Home) -> list[dict[str, Any]]:
    """Every server that the daemon shows."""
    listed: list[dict[str, Any]] = home.call("server.list")["servers"]
    return listed


def found(home: Home, process: int, **fields: Any) -> dict[str, Any]:
    """The row of a process, waited for."""

    def look() -> dict[str, Any] | None:
        for row in rows(home):
            if row["process"] and row["process"]["pid"] == process and fields.items() <= row.items():
                return row
        return None

    return eventually(look, f"a row for pid {process} {fields}", pause_s=0.1)


def judged(home: Home, process: int) -> dict[str, Any]:
    """The row of a process, once the reaper has looked at it."""

    def look() -> dict[str, Any] | None:
        row = found(home, process)
        return row if row["reap"]["reasons"] != ["not checked"] else None

    return eventually(look, f"pid {process} is judged", pause_s=0.1)


def explained(home: Home, port: int) -> dict[str, Any]:
    """Return what the daemon would do about a port."""
    (row,) = home.call("ports.explain", {"ports": [port]})["ports"]
    assert row["port"] == port
    return dict(row)


def waits_out(seconds: float, *pids: int) -> None:
    """For stories about keeping: nothing happens for so long, and there is no event to wait for."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert all(lives(pid) for pid in pids)
        time.sleep(0.02)


def child_of(pid: int) -> int:
    """The only child of a process."""

    def look() -> int | None:
        # Each thread has its own.
        tasks = Path(f"/proc/{pid}/task").glob("*/children")
        children = [child for task in tasks for child in task.read_text().split()]
        return int(children[0]) if len(children) == 1 else None

    return eventually(look, f"pid {pid} has a child")
