"""The processes that a stop signals, and those that it leaves alone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Occupant, ProcessIdentity
from supervisor.engine.processes.tree import LOOK_TIMEOUT_S, TreeReader
from supervisor.errors import StartFailed, StopFailed
from supervisor.native.lane import Lane
from supervisor.native.shared.lanes import ThreadLanes
from tests.engine.answers import ANSWERING, start_foreign_toy
from tests.engine.harness import EngineHarness
from tests.fakes import FakeProbe, FakeProcessControl

pytestmark = pytest.mark.usefixtures("answers")


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": ANSWERING}
    harness.discover = "watch"
    return harness


async def found_under_a_shell(harness: EngineHarness) -> tuple[ProcessIdentity, ProcessIdentity, ProcessIdentity]:
    """Return a discovered server, the shell that launched it, and its owner."""
    owner = harness.editor()
    shell = harness.system.start("sh", "-c", "toy 8000 9500; something else")
    toy = start_foreign_toy(harness, owner=str(owner.pid), parent=shell)
    await asyncio.sleep(40)
    assert harness.records.server("toy").root == shell
    return toy, shell, owner


async def reaped(harness: EngineHarness, owner: ProcessIdentity) -> None:
    harness.system.end(owner)
    await asyncio.sleep(60)
    assert harness.records.servers == {}


def test_launcher_that_became_another_program_is_left_alone(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(harness)
        harness.system.processes[shell.pid].command = ("important-work",)
        await reaped(harness, owner)
        assert (harness.alive(toy), harness.alive(shell)) == (False, True)
        assert [row["pid"] for row in harness.events.of("signal.sent")] == [toy.pid]

    harness.run(story)


def test_launcher_with_another_child_is_left_alone(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(harness)
        work = harness.system.fork(shell, "make", "all")
        await reaped(harness, owner)
        assert [harness.alive(each) for each in (toy, shell, work)] == [False, True, True]

    harness.run(story)


def test_launcher_that_ignores_the_request_is_killed(harness: EngineHarness) -> None:
    async def story() -> None:
        _, shell, owner = await found_under_a_shell(harness)
        harness.system.processes[shell.pid].ignores_sigterm = True
        await reaped(harness, owner)
        assert not harness.alive(shell)

    harness.run(story)


def test_launcher_that_runs_on_after_its_server_is_not_killed(harness: EngineHarness) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(harness)
        harness.system.processes[shell.pid].ignores_sigterm = True
        harness.system.end(owner)
        await harness.supervisor.termination._stopper.wait_for_end(toy)
        work = harness.system.fork(shell, "something", "else")
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert [harness.alive(each) for each in (shell, work)] == [True, True]

    harness.run(story)


def hide(monkeypatch: pytest.MonkeyPatch, hidden: Callable[[ProcessIdentity], bool]) -> None:
    """Make the system hide some processes."""
    honest = FakeProbe.identify

    def identify(self: FakeProbe, pid: int) -> ProcessIdentity | None:
        found = honest(self, pid)
        if found is not None and hidden(found):
            raise OSError(24, "Too many open files")
        return found

    monkeypatch.setattr(FakeProbe, "identify", identify)


def test_briefly_unidentified_process_is_asked_before_the_kill(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        until = harness.system.clock.now + 2
        hide(monkeypatch, lambda process: process == record.process and harness.system.clock.now < until)
        await harness.supervisor.stop("toy")
        assert [row["signal"] for row in harness.events.of("signal.sent")] == ["ask"]
        assert harness.events.of("signal.failed")

    harness.run(story)


def test_unidentified_process_is_not_signalled(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        hide(monkeypatch, lambda process: process == record.process)
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        assert harness.events.of("signal.sent") == []
        assert len(harness.events.of("signal.failed")) < 50

    harness.run(story)


def test_stop_does_not_wait_to_name_left_processes(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = ThreadLanes.look

    async def look(self: ThreadLanes, read: Callable[..., Any], *arguments: Any, lane: Lane | None = None) -> Any:
        searches = getattr(read, "__func__", None) is TreeReader.find_token_carriers
        if searches and harness.events.of("signal.sent"):
            await asyncio.sleep(3600)
        return await honest(self, read, *arguments, lane=lane)

    monkeypatch.setattr(ThreadLanes, "look", look)

    async def story() -> None:
        await harness.up(harness.editor())
        began = harness.system.clock.now
        await harness.supervisor.stop("toy")
        assert LOOK_TIMEOUT_S <= harness.system.clock.now - began < LOOK_TIMEOUT_S + 1
        assert harness.records.servers == {}

    harness.run(story)


async def down(harness: EngineHarness) -> None:
    await harness.supervisor.stop("toy")


async def orphaned(harness: EngineHarness) -> None:
    for owner in harness.records.server("toy").owners:
        harness.system.end(owner.process)
    await asyncio.sleep(60)


async def restarted(harness: EngineHarness) -> None:
    await harness.supervisor.restart("toy")


async def replaced(harness: EngineHarness) -> None:
    for owner in harness.records.server("toy").owners:
        harness.system.end(owner.process)
    # The new server still answers as 1.0 and is rolled back, after the old server's tree was stopped.
    with pytest.raises(StartFailed):
        await harness.up(harness.editor(), version="2.0")


HOW = pytest.mark.parametrize("how", [down, orphaned, restarted, replaced])
How = Callable[[EngineHarness], Awaitable[None]]


@HOW
def test_editor_started_by_a_server_is_not_even_asked(harness: EngineHarness, how: How) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        editor = harness.system.fork(record.process, "Godot_v4.3-stable_linux.x86_64", "--path", "/p", "-e")
        game = harness.system.fork(editor, "Godot_v4.3-stable_linux.x86_64", "--path", "/p", "--remote-debug", "x")
        await how(harness)
        assert [harness.alive(each) for each in (record.process, editor, game)] == [False, True, True]
        assert not {editor.pid, game.pid} & {row["pid"] for row in harness.events.of("signal.sent")}
        assert editor.pid in harness.events.of("server.left_behind")[0]["pids"]

    harness.run(story)


@HOW
def test_process_with_its_own_session_is_asked_left_and_named(harness: EngineHarness, how: How) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        studio = harness.system.fork(record.process, "studio", session=4711)
        harness.system.processes[studio.pid].ignores_sigterm = True
        polite = harness.system.fork(record.process, "helper", session=4712)
        await how(harness)
        assert [harness.alive(each) for each in (record.process, studio, polite)] == [False, True, False]
        assert [row["signal"] for row in harness.events.of("signal.sent") if row["pid"] == studio.pid] == ["ask"]
        assert harness.events.of("server.left_behind")[0]["pids"] == [studio.pid]

    harness.run(story)


@HOW
def test_descendant_gets_time_after_the_request(harness: EngineHarness, how: How) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        worker = harness.system.fork(record.process, "worker")
        harness.system.processes[worker.pid].ignores_sigterm = True
        await how(harness)
        await asyncio.sleep(1)
        assert not harness.alive(worker)
        asked, killed = [row for row in harness.events.of("signal.sent") if row["pid"] == worker.pid]
        assert (asked["signal"], killed["signal"]) == ("ask", "kill")
        assert killed["mono"] - asked["mono"] >= 10

    harness.run(story)


def test_killed_server_that_takes_a_moment_to_end_is_killed_once(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    def kill_slowly(control: FakeProcessControl, identity: ProcessIdentity) -> bool:
        asyncio.get_running_loop().call_later(1, kill_at_once, control, identity)
        return True

    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        await down(harness)
        assert [row["signal"] for row in harness.events.of("signal.sent")] == ["ask", "kill"]

    kill_at_once = FakeProcessControl.kill
    monkeypatch.setattr(FakeProcessControl, "kill", kill_slowly)
    harness.run(story)


def test_process_holding_a_port_is_killed_despite_its_session(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        holder = harness.system.fork(record.process, "holder", session=4711)
        harness.system.processes[holder.pid].ignores_sigterm = True
        harness.system.listen(holder, record.ports["http"])
        await down(harness)
        assert not harness.alive(holder)
        assert harness.events.of("server.left_behind") == []

    harness.run(story)


def test_session_left_by_a_crash_is_asked_before_the_kill(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        polite = harness.system.fork(record.process, "polite")
        editor = harness.system.fork(record.process, "godot", "--editor")
        stubborn = harness.system.fork(record.process, "stubborn")
        harness.system.processes[stubborn.pid].ignores_sigterm = True
        harness.system.end(record.process, -11)
        await asyncio.sleep(30)
        assert [harness.alive(each) for each in (polite, editor, stubborn)] == [False, True, False]
        signals = [(row["pid"], row["signal"]) for row in harness.events.of("signal.sent")]
        assert signals == [(polite.pid, "ask"), (stubborn.pid, "ask"), (stubborn.pid, "kill")]
        assert harness.events.of("server.left_behind")[0]["pids"] == [editor.pid]

    harness.run(story)


def test_descendant_that_may_be_an_editor_is_left(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FakeProbe.describe
    hidden: list[int] = []

    def describe(self: FakeProbe, pid: int) -> Occupant:
        return Occupant() if pid in hidden else honest(self, pid)

    monkeypatch.setattr(FakeProbe, "describe", describe)

    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        unknown = harness.system.fork(record.process, "godot", "--editor")
        hidden.append(unknown.pid)
        await down(harness)
        assert [harness.alive(each) for each in (record.process, unknown)] == [False, True]
        assert unknown.pid not in {row["pid"] for row in harness.events.of("signal.sent")}
        assert harness.events.of("server.left_behind")[0]["pids"] == [unknown.pid]

    harness.run(story)
