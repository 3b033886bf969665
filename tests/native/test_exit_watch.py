"""The polling watcher's timer; what it promises is in `tests/contract`."""

import asyncio

import pytest

from supervisor.native.shared.exit_watch import ArmedWatch, PollingExitWatcher
from tests.contract.platforms import on_loop, until
from tests.fakes import FakeProbe, FakeSystem


@on_loop
async def test_loop_is_not_woken_without_watches() -> None:
    system = FakeSystem()
    watcher = PollingExitWatcher(FakeProbe(system), lambda _: None, interval_s=0.001)
    assert watcher._timer is None
    first, second = (watcher.watch(system.me, pytest.fail) for _ in range(2))
    first.close()
    timer = watcher._timer
    assert timer is not None
    assert not timer.cancelled()
    assert watcher.note()
    second.close()
    assert timer.cancelled()
    assert watcher._timer is None
    assert watcher.note() is None


@on_loop
async def test_failing_callback_does_not_stop_the_other_callbacks() -> None:
    system = FakeSystem()
    watcher = PollingExitWatcher(FakeProbe(system), lambda _: None, interval_s=0.001)
    reported: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(str(context["exception"])))

    def fail() -> None:
        raise RuntimeError("broken")

    called = asyncio.Event()
    watcher.watch(system.me, fail)
    watcher.watch(system.me, called.set)
    watcher.watch(system.me, fail)
    system.end(system.me)
    await called.wait()
    await asyncio.sleep(0)
    assert reported == ["broken", "broken"]


@on_loop
async def test_status_is_collected_before_the_callback() -> None:
    system = FakeSystem()
    calls: list[str] = []
    watcher = PollingExitWatcher(FakeProbe(system), lambda _: calls.append("collected"), interval_s=0.001)
    watcher.watch(system.me, lambda: calls.append("told"))
    system.end(system.me)
    await until(lambda: "told" in calls, "the watch is called")
    assert calls == ["collected", "told"]


@on_loop
async def test_watches_return_to_the_system_when_it_accepts_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.native.shared.exit_watch.TRY_AGAIN_EVERY_S", 0.002)
    system = FakeSystem()
    refusal: list[OSError] = [OSError(24, "Too many open files")]
    taken: list[ArmedWatch] = []
    released: list[ArmedWatch] = []

    def take(watch: ArmedWatch) -> None:
        if refusal:
            raise refusal[0]
        watch.set_disarm(released.append)
        taken.append(watch)

    watcher = PollingExitWatcher(FakeProbe(system), lambda _: None, interval_s=0.001, take_over=take)
    told: list[str] = []
    watch = watcher.watch(system.me, lambda: told.append("ended"))
    await asyncio.sleep(0.01)
    assert watcher.polled == 1
    refusal.clear()
    await until(lambda: taken == [watch], "it is taken over")
    assert watcher.polled == 0
    assert watcher.note() is None
    assert watcher._timer is None
    taken[0].fire()
    assert (told, released) == (["ended"], [watch])
