"""Threads for blocking work, and their fate beside a process that hangs in the kernel."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.errors import Fault, SystemExhausted
from supervisor.native.lane import Lane, take
from supervisor.native.shared import lanes as lanes_module
from supervisor.native.shared import process_queries
from supervisor.native.shared.lanes import THREADS, ThreadLanes, Work
from supervisor.native.shared.process_queries import ProcessQueries, ProcessQuery

HUNG, WELL = 7, 8
PATIENCE_S = 0.3
"""What the lanes and the queries of this file have in the place of their own, longer `PATIENCE_S`."""


class Kernel:
    """Reads of `HUNG` do not return until they are released."""

    def __init__(self) -> None:
        self.queries = ProcessQueries(lambda pid: ProcessIdentity(pid, self.token))
        self.token = "1"
        self.released = threading.Event()
        self.reads = 0

    def read(self, pid: int) -> str:
        return self.queries.run(pid, self._read, pid)

    def _read(self, pid: int) -> str:
        if pid == HUNG:
            self.reads += 1
            self.released.wait(60)
        return f"{pid} was read"

    def scan(self) -> dict[int, str]:
        found = {}
        for pid in (6, HUNG, WELL):
            try:
                found[pid] = self.read(pid)
            except OSError:
                continue
        return found


@pytest.fixture
def kernel() -> Iterator[Kernel]:
    kernel = Kernel()
    yield kernel
    kernel.released.set()


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (lanes_module, process_queries):
        monkeypatch.setattr(module, "PATIENCE_S", PATIENCE_S)
    for method in (Work.hangs, ProcessQuery.hangs):
        monkeypatch.setattr(method, "__defaults__", (PATIENCE_S,))


@pytest.fixture
def lanes(kernel: Kernel) -> ThreadLanes:
    return ThreadLanes(kernel.queries)


async def until(condition: Callable[[], bool]) -> None:
    for _ in range(1000):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


def test_scan_omits_a_process_that_hangs(kernel: Kernel, lanes: ThreadLanes) -> None:
    async def story() -> None:
        began = time.monotonic()
        assert await lanes.look(kernel.scan) == {6: "6 was read", WELL: "8 was read"}
        assert time.monotonic() - began < PATIENCE_S + 2
        assert kernel.queries.hanging() == (HUNG,)

    asyncio.run(story())


def test_a_hanging_process_costs_one_thread_however_often_asked(kernel: Kernel, lanes: ThreadLanes) -> None:
    async def story() -> None:
        await asyncio.gather(*(lanes.look(kernel.scan) for _ in range(20)))
        began = time.monotonic()
        for _ in range(20):
            await lanes.look(kernel.scan)
        assert kernel.reads == 1
        assert time.monotonic() - began < PATIENCE_S
        assert lanes.threads[Lane.QUESTIONS] <= THREADS[Lane.QUESTIONS] + 1

    asyncio.run(story())


def test_several_hanging_processes_leave_a_lane_its_threads(lanes: ThreadLanes, kernel: Kernel) -> None:
    def read(pid: int) -> None:
        kernel.queries.run(pid, kernel.released.wait, 60)

    async def story() -> None:
        async def ask(pid: int) -> None:
            with pytest.raises(TimeoutError):
                await lanes.look(read, pid)

        await asyncio.gather(*(ask(100 + number) for number in range(2 * THREADS[Lane.QUESTIONS])))
        assert await lanes.look(kernel.read, WELL) == "8 was read"

    asyncio.run(story())


def test_process_is_queried_again_after_its_query_returned(kernel: Kernel, lanes: ThreadLanes) -> None:
    async def story() -> None:
        await lanes.look(kernel.scan)
        kernel.released.set()
        await until(lambda: not kernel.queries.hanging())
        assert HUNG in await lanes.look(kernel.scan)
        assert kernel.reads == 2

    asyncio.run(story())


def test_new_process_with_the_pid_of_a_hung_one_is_queried(kernel: Kernel, lanes: ThreadLanes) -> None:
    async def story() -> None:
        await lanes.look(kernel.scan)
        await lanes.look(kernel.scan)
        kernel.token = "2"
        reads = kernel.reads
        await lanes.look(kernel.scan)
        assert kernel.reads == reads + 1

    asyncio.run(story())


def test_a_caller_that_gives_up_leaves_the_lane_its_threads(kernel: Kernel, lanes: ThreadLanes) -> None:
    async def story() -> None:
        for _ in range(THREADS[Lane.QUESTIONS] + 1):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await lanes.look(kernel.read, HUNG)
        assert await lanes.look(kernel.read, WELL) == "8 was read"

    asyncio.run(story())


def test_a_full_lane_delays_no_other(lanes: ThreadLanes) -> None:
    free = threading.Event()

    async def story() -> None:
        slow = [asyncio.create_task(lanes.do(free.wait, 60)) for _ in range(10)]
        await asyncio.sleep(0.05)
        for lane in (Lane.STARTING, Lane.ENDING, Lane.JUDGING):
            assert await asyncio.wait_for(lanes.look(lambda: 1, lane=lane), 5) == 1
        free.set()
        assert all(await asyncio.gather(*slow))

    asyncio.run(story())


def test_task_works_in_the_lane_that_it_took(lanes: ThreadLanes) -> None:
    async def name() -> str:
        return await lanes.look(lambda: threading.current_thread().name)

    async def ending() -> tuple[str, str]:
        take(Lane.ENDING)
        return await name(), await asyncio.create_task(name())

    async def story() -> None:
        assert await asyncio.create_task(ending()) == ("lane ending", "lane ending")
        assert await name() == "lane questions"

    asyncio.run(story())


def test_threads_are_made_when_needed_and_end_when_idle(lanes: ThreadLanes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "IDLE_S", 0.05)

    async def story() -> None:
        assert set(lanes.threads.values()) == {0}
        await asyncio.gather(*(lanes.do(time.sleep, 0.01) for _ in range(50)))
        assert lanes.threads[Lane.QUESTIONS] <= THREADS[Lane.QUESTIONS]
        await until(lambda: not lanes.threads[Lane.QUESTIONS])
        assert await lanes.do(lambda: 2) == 2

    asyncio.run(story())


@pytest.fixture
def no_threads(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Return a function that makes the system refuse threads, as at its limit."""

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    return lambda: monkeypatch.setattr(threading.Thread, "start", refuse)


def test_missing_threads_are_reported_as_system_exhausted(
    lanes: ThreadLanes, no_threads: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lanes_module, "PAUSES_S", (0.01,))

    async def story() -> None:
        no_threads()
        with pytest.raises(SystemExhausted) as caught:
            await lanes.look(lambda: 1)
        assert (caught.value.fault, caught.value.retryable) == (Fault.ENVIRONMENT, True)

    asyncio.run(story())


def test_reserve_thread_works_for_all_lanes_at_the_thread_limit(
    lanes: ThreadLanes, no_threads: Callable[[], None]
) -> None:
    async def story() -> None:
        await lanes.prepare()
        no_threads()
        for lane in Lane:
            assert await lanes.look(lambda: threading.current_thread().name, lane=lane) == "lane reserve"

    asyncio.run(story())


def test_reserve_thread_does_not_end(lanes: ThreadLanes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes_module, "IDLE_S", 0.01)

    async def story() -> None:
        await lanes.prepare()
        await asyncio.sleep(0.1)
        assert lanes._reserve.alive == 1

    asyncio.run(story())


def test_thread_refused_for_a_moment_fails_no_operation(lanes: ThreadLanes, monkeypatch: pytest.MonkeyPatch) -> None:
    honest, refused = threading.Thread.start, [2]

    def start(thread: threading.Thread) -> None:
        if refused[0]:
            refused[0] -= 1
            raise RuntimeError("can't start new thread")
        honest(thread)

    async def story() -> None:
        monkeypatch.setattr(threading.Thread, "start", start)
        assert await lanes.do(lambda: 3) == 3
        assert refused == [0]

    asyncio.run(story())


def test_with_no_further_thread_a_lane_works_with_those_it_has(
    lanes: ThreadLanes, no_threads: Callable[[], None]
) -> None:
    async def story() -> None:
        await lanes.do(time.sleep, 0)
        no_threads()
        assert await asyncio.gather(*(lanes.do(time.sleep, 0.001) for _ in range(20))) == [None] * 20

    asyncio.run(story())


def test_close_waits_for_work_that_ends(kernel: Kernel, lanes: ThreadLanes) -> None:
    done: list[int] = []

    def write() -> None:
        time.sleep(0.1)
        done.append(1)

    async def story() -> None:
        await lanes.look(kernel.scan)
        abandoned = asyncio.create_task(lanes.do(write))
        await asyncio.sleep(0.02)
        abandoned.cancel()
        await lanes.close()
        assert done == [1]

    asyncio.run(story())


def test_exception_of_the_work_reaches_its_caller(lanes: ThreadLanes) -> None:
    async def story() -> None:
        with pytest.raises(ZeroDivisionError):
            await lanes.look(lambda: 1 // 0)
        with pytest.raises(FileNotFoundError):
            await lanes.do(open, "/nowhere/at/all")

    asyncio.run(story())
