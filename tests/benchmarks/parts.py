"""The parts of the measurement. Peers take turns within every round, so that only simultaneous figures are compared."""

import random
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from tests.benchmarks import processes
from tests.benchmarks.peer import Peer

Series = Mapping[str, Sequence[float]]
"""The measurements of each peer."""

QUIET_S = 1.7
"""How long a child is up before it is killed: what ended earlier did not even start, say some peers."""

SETTLE_S = 8.0
"""How long everything rests before idleness is measured."""


def say(*words: object) -> None:
    """Tell how far it is."""
    sys.stderr.write(f"{time.strftime('%H:%M:%S')} {' '.join(map(str, words))}\n")


@contextmanager
def running(peers: Sequence[Peer], count: int) -> Iterator[list[Peer]]:
    """Those that could be started with so many children."""
    started = []
    try:
        for peer in peers:
            started.append(peer)
            if peer.start(count) is None:
                say(f"{peer.name} did not start {count} children")
                started.remove(peer)
                peer.stop()
        yield started
    finally:
        for peer in started:
            peer.stop()


def restarts(peers: Sequence[Peer], rounds: int) -> Series:
    """A child killed with -9, to its replacement running; ms. No child is killed twice: that would be flapping."""
    found: dict[str, list[float]] = {peer.name: [] for peer in peers}
    with running(peers, rounds) as ready:
        time.sleep(QUIET_S)
        for index in range(rounds):
            for peer in random.sample(ready, len(ready)):
                time.sleep(random.uniform(0.1, 0.4))
                taken = peer.restart_after_kill(index)
                time.sleep(0.15)
                if taken is None or peer.pid_of(index) != peer.newest[index]:
                    say(f"{peer.name} lost child {index}")
                else:
                    found[peer.name].append(taken * 1e3)
    return found


def idleness(peers: Sequence[Peer], count: int, window_s: float) -> tuple[Series, Series, Series]:
    """Nothing happens: CPU seconds per minute, wake-ups per second, MiB of private dirty memory."""
    with running(peers, count) as ready:
        time.sleep(SETTLE_S)
        before = {peer.name: (peer.daemons(), processes.cost(peer.daemons()), time.monotonic()) for peer in ready}
        time.sleep(window_s)
        cpu, wakeups, memory = {}, {}, {}
        for peer in ready:
            pids, then, since = before[peer.name]
            now, passed = processes.cost(pids), time.monotonic() - since
            cpu[peer.name] = [(now.cpu_s - then.cpu_s) / passed * 60]
            wakeups[peer.name] = [(now.wakeups - then.wakeups) / passed]
            memory[peer.name] = [processes.private_dirty_mib(pids)]
    return cpu, wakeups, memory


def starts(peers: Sequence[Peer], count: int, rounds: int) -> tuple[Series, Series]:
    """From the daemon's launch until so many children run: seconds, and CPU seconds of the daemon's side."""
    wall: dict[str, list[float]] = {peer.name: [] for peer in peers}
    cpu: dict[str, list[float]] = {peer.name: [] for peer in peers}
    for _ in range(rounds):
        for peer in random.sample([*peers], len(peers)):
            taken = peer.start(count)
            if taken is not None:
                wall[peer.name].append(taken)
                cpu[peer.name].append(processes.cost(peer.daemons()).cpu_s)
            peer.stop()
    return wall, cpu


def queries(peers: Sequence[Peer], count: int, rounds: int) -> tuple[Series, Series]:
    """The state of all children: over an open connection, and as a command of its own; ms."""
    raw: dict[str, list[float]] = {peer.name: [] for peer in peers}
    whole: dict[str, list[float]] = {peer.name: [] for peer in peers}
    with running(peers, count) as ready:
        time.sleep(QUIET_S)
        for _ in range(rounds):
            for peer in random.sample(ready, len(ready)):
                raw[peer.name] += [peer.query() * 1e3 for _ in range(3)]
                whole[peer.name].append(peer.status() * 1e3)
    # The first queries pay for the connection.
    return {name: taken[3:] for name, taken in raw.items()}, whole
