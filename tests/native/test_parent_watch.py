"""The wait for the end of the program that started this one, with launchers between the two."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.e2e.home import eventually, lives
from tests.systems import POSIX_ONLY

pytestmark = POSIX_ONLY

WATCHER = """
import sys, time
from supervisor.core.processes.runners import is_runner
from supervisor.native.startup.parent_watch import when_starter_ends
import os
when_starter_ends(lambda: os._exit(0), is_runner)
print(os.getpid(), flush=True)
time.sleep(600)
"""

# A chain of processes, each waiting for the next. The words of one begin behind a "--".
CLIENT = """
import subprocess, sys
subprocess.Popen(sys.argv[1:]).wait()
"""

SHELL = ["sh", "-c", '"$0" "$@"; exit']


@pytest.fixture
def watcher(tmp_path: Path) -> list[str]:
    """The command line of a program that ends with the program that started it."""
    program = tmp_path / "watcher.py"
    program.write_text(WATCHER)
    return [sys.executable, str(program)]


class Chain:
    """A client, launchers below it, and a watcher."""

    def __init__(self, *words: str) -> None:
        self.client = subprocess.Popen(
            [sys.executable, "-c", CLIENT, *words],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        )
        assert self.client.stdout is not None
        self.watcher = int(self.client.stdout.readline())

    def close(self) -> None:
        for pid in (self.client.pid, self.watcher):
            if lives(pid):
                os.kill(pid, 9)
        self.client.wait()
        assert self.client.stdout is not None
        self.client.stdout.close()


@pytest.fixture
def chains() -> Iterator[list[Chain]]:
    """Chains to be ended."""
    made: list[Chain] = []
    yield made
    for chain in made:
        chain.close()


@pytest.mark.parametrize("launchers", [[], SHELL, SHELL * 3], ids=["none", "one", "three"])
def test_it_ends_with_the_program_above_launchers(
    watcher: list[str], launchers: list[str], chains: list[Chain]
) -> None:
    chains.append(chain := Chain(*launchers, *watcher))
    chain.client.kill()
    eventually(lambda: not lives(chain.watcher), "it ends", 5)


def test_it_ends_with_a_launcher_too(watcher: list[str], chains: list[Chain]) -> None:
    chains.append(chain := Chain(*SHELL, *watcher))
    os.kill(parent_of(chain.watcher), 9)
    eventually(lambda: not lives(chain.watcher), "it ends", 5)


def test_the_end_of_what_started_its_client_is_no_end(watcher: list[str], chains: list[Chain]) -> None:
    # A program that is no launcher is the client; what started it does not matter.
    chains.append(chain := Chain(sys.executable, "-c", CLIENT, *SHELL, *watcher))
    client = parent_of(parent_of(chain.watcher))
    assert parent_of(client) == chain.client.pid
    chain.client.kill()
    chain.client.wait()
    assert lives(chain.watcher)
    os.kill(client, 9)
    eventually(lambda: not lives(chain.watcher), "it ends with its client", 5)


def parent_of(pid: int) -> int:
    """Return the pid of a process's parent."""
    return int(psutil.Process(pid).ppid())
