"""The parts of the measurement of bridges. Rows take turns within every round."""

import operator
import os
import random
import signal
import socket
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from tests.benchmarks import processes
from tests.benchmarks.bridges.clients import BridgeClient, Client, SilentError, call
from tests.benchmarks.bridges.rows import Direct, DirectLibrary, Row
from tests.benchmarks.bridges.servers import Servers
from tests.benchmarks.bridges.upstream import LARGE
from tests.benchmarks.parts import Series, say

SETTLE_S = 5.0
SLOW_EVERY = 10
"""Rows whose calls are slow take part in every tenth round."""

WARM_UP = 100
"""Rounds before the measurement."""

TRIES_S = 30.0

BURST, SETTLING = 20, 10
"""The calls of a bridge in one round that are measured, and those before them that are not. Like an agent, a client
calls several times in a row; what the bridge before still does after its answer, such as collecting garbage, would
otherwise be measured with the first call."""

REST_S = 0.05
"""The pause before a burst, and before a call with a large result."""

LARGE_WARM_UP = 3
"""Rounds before the measurement of large results."""

Found = dict[str, list[float]]


@contextmanager
def connected(rows: Sequence[Row]) -> Iterator[dict[Row, Client]]:
    """Clients that have begun a session and called once."""
    clients: dict[Row, Client] = {}
    try:
        for row in rows:
            clients[row] = row.connect()
            try:
                clients[row].open()
                clients[row].request("tools/list", {})
                call(clients[row], row.tool, row.arguments)
            except SilentError as problem:
                say(f"{row.name} left out: {problem}")
                clients.pop(row).close()
        yield clients
    finally:
        for client in clients.values():
            client.close()


class Starts(NamedTuple):
    """The start of bridges."""

    greeting: Series
    tools: Series
    cpu: Series


def starts(rows: Sequence[Row], rounds: int) -> Starts:
    """From exec to the answer to `initialize`, and to `tools/list`; the CPU until then. Milliseconds."""
    found = Starts(_empty(rows), _empty(rows), _empty(rows))
    for round_ in range(rounds + 1):
        for row in random.sample([*rows], len(rows)):
            began = time.perf_counter()
            client = row.connect()
            try:
                client.open()
                greeted = time.perf_counter() - began
                client.request("tools/list", {})
                listed = time.perf_counter() - began
            except SilentError as problem:
                say(f"{row.name}: {problem}")
                continue
            finally:
                used = _cpu_s(client)
                client.close()
            # The first round warms up: files are read from the disk, and our catalogue is written.
            if round_:
                _note(found.greeting, row, greeted * 1e3)
                _note(found.tools, row, listed * 1e3)
                _note(found.cpu, row, used * 1e3)
            elif row.name.startswith("godot-supervisor"):
                _let_catalogue_be_written(row)
    return found


def _let_catalogue_be_written(row: Row) -> None:
    with connected([row]):
        time.sleep(2)


class Calls(NamedTuple):
    """Calls of a small tool."""

    through: Series
    added: Series
    added_to_library: Series
    memory: Series


def calls(rows: Sequence[Row], calls_each: int, memory_after: int) -> Calls:
    """Milliseconds of a call, milliseconds more than the median direct call of the same round, MiB of private memory.

    The direct call is one on a bare socket, and one by `http.client`. The memory is taken when a bridge has served
    `memory_after` calls, a slow one when it has served a tenth of that.
    """
    found = Calls(_empty(rows), _empty(rows), _empty(rows), _empty(rows))
    with connected(rows) as clients:
        for _ in range(WARM_UP):
            _call_each(clients, [row for row in clients if not row.is_slow], rest_s=0.0)
        for round_ in range(calls_each // BURST):
            chosen = [row for row in clients if not row.is_slow or round_ % SLOW_EVERY == 0]
            taken = _burst_each(clients, chosen)
            for row, burst in taken.items():
                for seconds in burst:
                    _note(found.through, row, seconds * 1e3)
            medians = {row: statistics.median(burst) for row, burst in taken.items()}
            for row, burst in taken.items():
                for seconds in burst:
                    one = {**medians, row: seconds}
                    _note_beside(Direct, found.added, one, row, _ms_more)
                    _note_beside(DirectLibrary, found.added_to_library, one, row, _ms_more)
        for row, client in clients.items():
            wanted = memory_after // SLOW_EVERY if row.is_slow else memory_after
            for _ in range(wanted - len(found.through[row.name])):
                call(client, row.tool, row.arguments)
            if isinstance(client, BridgeClient):
                _note(found.memory, row, private_mib(client))
    return found


def _call_each(
    clients: Mapping[Row, Client], rows: Sequence[Row], tool: str | None = None, *, rest_s: float
) -> dict[Row, float]:
    """Call once through each of these rows, in random order; seconds. A call that fails is left out."""
    taken = {}
    for row in random.sample([*rows], len(rows)):
        time.sleep(rest_s)
        with suppress(SilentError):
            arguments = row.arguments if tool is None else {}
            taken[row] = call(clients[row], tool or row.tool, arguments)
    return taken


def _burst_each(clients: Mapping[Row, Client], rows: Sequence[Row]) -> dict[Row, list[float]]:
    """Call several times through each of these rows, in random order; seconds. Calls that fail are left out."""
    taken: dict[Row, list[float]] = {}
    for row in random.sample([*rows], len(rows)):
        time.sleep(REST_S)
        for place in range(SETTLING + BURST):
            with suppress(SilentError):
                seconds = call(clients[row], row.tool, row.arguments)
                if place >= SETTLING:
                    taken.setdefault(row, []).append(seconds)
    return taken


def _ms_more(own: float, direct: float) -> float:
    return (own - direct) * 1e3


def _note_beside(
    direct_row: type[Row],
    found: Series,
    taken: Mapping[Row, float],
    row: Row,
    compare: Callable[[float, float], float],
) -> None:
    """Note how a row compares with the direct row of this class before the same server, if there is one."""
    for direct, seconds in taken.items():
        if isinstance(direct, direct_row) and direct.kind == row.kind:
            _note(found, row, compare(taken[row], seconds))


class Large(NamedTuple):
    """Calls with a large result."""

    through: Series
    ratio: Series
    memory: Series


def large(rows: Sequence[Row], tool: str, rounds: int) -> Large:
    """Milliseconds of a call, times the direct call of the same round, and peak of memory in sizes of the message.

    The memory is what the bridge's processes had at most, less what they had before the first large call.
    """
    chosen = [row for row in rows if row.kind == "bench" and "floor" not in row.name]
    found = Large(_empty(chosen), _empty(chosen), _empty(chosen))
    with connected(chosen) as clients:
        before = {row: _resident(client, "VmRSS:") for row, client in clients.items()}
        for round_ in range(-LARGE_WARM_UP, rounds):
            taken = _call_each(clients, [*clients], tool, rest_s=REST_S)
            for row, seconds in taken.items() if round_ >= 0 else ():
                _note(found.through, row, seconds * 1e3)
                _note_beside(Direct, found.ratio, taken, row, operator.truediv)
        for row, client in clients.items():
            if isinstance(client, BridgeClient):
                _note(found.memory, row, (_resident(client, "VmHWM:") - before[row]) / LARGE)
    return found


def restarts(servers: Servers, rows: Sequence[Row], rounds: int) -> Series:
    """The server killed with -9 while idle, to the answer of the next call, less the server's own start; ms.

    A client calls until a call succeeds, as long as its bridge lives. The daemon starts the server again.
    """
    chosen = [row for row in rows if row.kind == "bench" and "floor" not in row.name and "direct" not in row.name]
    found = _empty(chosen)
    for _ in range(rounds):
        for row in random.sample(chosen, len(chosen)):
            own_start = _own_start_s(servers)
            with connected([row]) as clients:
                for client in clients.values():
                    time.sleep(1)
                    pid = servers.pid(row.kind)
                    began = time.perf_counter()
                    os.kill(pid, signal.SIGKILL)
                    while processes.started(pid) is not None:
                        time.sleep(0.001)
                    if _call_until_answered(client, row):
                        _note(found, row, (time.perf_counter() - began - own_start) * 1e3)
            servers.ensure(row.kind)
            # Servers that end often are started later and later.
            time.sleep(2)
    return found


def _call_until_answered(client: Client, row: Row) -> bool:
    end = time.monotonic() + TRIES_S
    while time.monotonic() < end:
        try:
            call(client, row.tool, row.arguments)
        except SilentError:
            if isinstance(client, BridgeClient) and client.process.poll() is not None:
                return False
            time.sleep(0.01)
        else:
            return True
    return False


def _own_start_s(servers: Servers) -> float:
    """Return how long the small server takes from its exec to the moment when it listens."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    began = time.perf_counter()
    with subprocess.Popen(servers.upstream_command(str(port)), start_new_session=True) as process:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
            except OSError:
                time.sleep(0.0005)
            else:
                break
        taken = time.perf_counter() - began
        process.kill()
    return taken


class Idle(NamedTuple):
    """Bridges with a session, while nothing happens."""

    wakeups: Series
    cpu: Series


def idleness(rows: Sequence[Row], window_s: float) -> Idle:
    """Wake-ups in the whole window (voluntary context switches of all threads), and CPU milliseconds per minute."""
    found = Idle(_empty(rows), _empty(rows))
    with connected(rows) as clients:
        time.sleep(SETTLE_S)
        bridges = {row: _pids(client) for row, client in clients.items() if isinstance(client, BridgeClient)}
        before = {row: processes.cost(pids) for row, pids in bridges.items()}
        time.sleep(window_s)
        for row, pids in bridges.items():
            now = processes.cost(pids)
            _note(found.wakeups, row, now.wakeups - before[row].wakeups)
            _note(found.cpu, row, (now.cpu_s - before[row].cpu_s) / window_s * 60e3)
    return found


def private_mib(client: BridgeClient) -> float:
    """Return the memory that only the processes of this bridge have."""
    kib = 0
    for pid in _pids(client):
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii").splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith("Private_"))
    return kib / 1024


def _resident(client: Client, field: str) -> int:
    """Return a field of memory of all processes of a bridge; bytes."""
    kib = 0
    for pid in _pids(client):
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
        kib += sum(int(line.split()[1]) for line in lines if line.startswith(field))
    return kib * 1024


def _pids(client: Client) -> list[int]:
    """Return the processes of a bridge. Some start helpers under the names of shells."""
    return processes.tree(client.process.pid, ()) if isinstance(client, BridgeClient) else []


def _cpu_s(client: Client) -> float:
    with suppress(OSError):
        return processes.cost(_pids(client)).cpu_s
    return 0.0


def _empty(rows: Sequence[Row]) -> Found:
    return {row.name: [] for row in rows}


def _note(series: Mapping[str, Sequence[float]], row: Row, value: float) -> None:
    values = series[row.name]
    assert isinstance(values, list)
    values.append(value)
