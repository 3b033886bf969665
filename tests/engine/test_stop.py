"""What a stop signals, and what it leaves alone."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Occupant, ProcessIdentity
from supervisor.engine.processes.stop import TOLD_WITHIN_S
from supervisor.errors import StartFailed, StopFailed
from supervisor.native.lane import Lane
from supervisor.native.shared.lanes import Lanes
from tests.engine.answers import ANSWERING, strangers_toy
from tests.engine.house import House
from tests.fakes import FakeProbe

pytestmark = pytest.mark.usefixtures("answers")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": ANSWERING}
    house.discover = "watch"
    return house


async def found_under_a_shell(house: House) -> tuple[ProcessIdentity, ProcessIdentity, ProcessIdentity]:
    """A server that was found, the shell that launched it, and its owner."""
    owner = house.editor()
    shell = house.system.start("sh", "-c", "toy 8000 9500; something else")
    toy = strangers_toy(house, owner=str(owner.pid), parent=shell)
    await asyncio.sleep(40)
    assert house.records.server("toy").root == shell
    return toy, shell, owner


async def reaped(house: House, owner: ProcessIdentity) -> None:
    house.system.end(owner)
    await asyncio.sleep(60)
    assert house.records.servers == {}


def test_a_launcher_that_has_become_another_program_is_left_alone(house: House) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(house)
        house.system.processes[shell.pid].command = ("important-work",)
        await reaped(house, owner)
        assert (house.alive(toy), house.alive(shell)) == (False, True)
        assert [row["pid"] for row in house.ear.of("signal.sent")] == [toy.pid]

    house.live(story)


def test_a_launcher_that_has_started_something_else_too_is_left_alone(house: House) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(house)
        work = house.system.fork(shell, "make", "all")
        await reaped(house, owner)
        assert [house.alive(each) for each in (toy, shell, work)] == [False, True, True]

    house.live(story)


def test_a_launcher_that_outlives_its_server_and_the_request_is_killed(house: House) -> None:
    async def story() -> None:
        _, shell, owner = await found_under_a_shell(house)
        house.system.processes[shell.pid].ignores_sigterm = True
        await reaped(house, owner)
        assert not house.alive(shell)

    house.live(story)


def test_a_launcher_that_goes_on_once_its_server_has_ended_is_not_killed(house: House) -> None:
    async def story() -> None:
        toy, shell, owner = await found_under_a_shell(house)
        house.system.processes[shell.pid].ignores_sigterm = True
        house.system.end(owner)
        await house.supervisor._termination._stopper.end_of(toy)
        work = house.system.fork(shell, "something", "else")
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert [house.alive(each) for each in (shell, work)] == [True, True]

    house.live(story)


def hide(monkeypatch: pytest.MonkeyPatch, hidden: Callable[[ProcessIdentity], bool]) -> None:
    """The system does not tell about some processes."""
    honest = FakeProbe.identify

    def identify(self: FakeProbe, pid: int) -> ProcessIdentity | None:
        found = honest(self, pid)
        if found is not None and hidden(found):
            raise OSError(24, "Too many open files")
        return found

    monkeypatch.setattr(FakeProbe, "identify", identify)


def test_whom_the_system_does_not_tell_about_for_a_moment_is_asked_before_it_is_killed(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        until = house.system.clock.now + 2
        hide(monkeypatch, lambda process: process == record.process and house.system.clock.now < until)
        await house.supervisor.stop("toy")
        assert [row["signal"] for row in house.ear.of("signal.sent")] == ["ask"]
        assert house.ear.of("signal.failed")

    house.live(story)


def test_whom_the_system_never_tells_about_is_not_signalled(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        hide(monkeypatch, lambda process: process == record.process)
        with pytest.raises(StopFailed):
            await house.supervisor.stop("toy")
        assert house.ear.of("signal.sent") == []
        assert len(house.ear.of("signal.failed")) < 50

    house.live(story)


def test_a_stop_does_not_wait_for_the_names_of_those_it_left_behind(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Lanes.look

    async def look(self: Lanes, read: Callable[..., Any], *arguments: Any, lane: Lane | None = None) -> Any:
        if getattr(read, "__name__", "") == "carriers" and house.ear.of("signal.sent"):
            await asyncio.sleep(3600)
        return await honest(self, read, *arguments, lane=lane)

    monkeypatch.setattr(Lanes, "look", look)

    async def story() -> None:
        await house.up(house.editor())
        began = house.system.clock.now
        await house.supervisor.stop("toy")
        assert house.system.clock.now - began < TOLD_WITHIN_S + 1
        assert house.records.servers == {}

    house.live(story)


async def down(house: House) -> None:
    await house.supervisor.stop("toy")


async def orphaned(house: House) -> None:
    for owner in house.records.server("toy").owners:
        house.system.end(owner.process)
    await asyncio.sleep(60)


async def restarted(house: House) -> None:
    await house.supervisor.restart("toy")


async def replaced(house: House) -> None:
    for owner in house.records.server("toy").owners:
        house.system.end(owner.process)
    # The new one still answers as 1.0, and is rolled back: by then the old one's tree was stopped.
    with pytest.raises(StartFailed):
        await house.up(house.editor(), version="2.0")


HOW = pytest.mark.parametrize("how", [down, orphaned, restarted, replaced])
How = Callable[[House], Awaitable[None]]


@HOW
def test_a_godot_editor_that_a_server_has_started_is_not_even_asked(house: House, how: How) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        editor = house.system.fork(record.process, "Godot_v4.3-stable_linux.x86_64", "--path", "/p", "-e")
        game = house.system.fork(editor, "Godot_v4.3-stable_linux.x86_64", "--path", "/p", "--remote-debug", "x")
        await how(house)
        assert [house.alive(each) for each in (record.process, editor, game)] == [False, True, True]
        assert not {editor.pid, game.pid} & {row["pid"] for row in house.ear.of("signal.sent")}
        assert editor.pid in house.ear.of("server.left_behind")[0]["pids"]

    house.live(story)


@HOW
def test_what_leads_a_session_of_its_own_is_asked_and_then_left_and_named(house: House, how: How) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        studio = house.system.fork(record.process, "studio", session=4711)
        house.system.processes[studio.pid].ignores_sigterm = True
        polite = house.system.fork(record.process, "helper", session=4712)
        await how(house)
        assert [house.alive(each) for each in (record.process, studio, polite)] == [False, True, False]
        assert [row["signal"] for row in house.ear.of("signal.sent") if row["pid"] == studio.pid] == ["ask"]
        assert house.ear.of("server.left_behind")[0]["pids"] == [studio.pid]

    house.live(story)


@HOW
def test_a_descendant_has_its_time_after_it_was_asked(house: House, how: How) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        worker = house.system.fork(record.process, "worker")
        house.system.processes[worker.pid].ignores_sigterm = True
        await how(house)
        await asyncio.sleep(1)
        assert not house.alive(worker)
        asked, killed = [row for row in house.ear.of("signal.sent") if row["pid"] == worker.pid]
        assert (asked["signal"], killed["signal"]) == ("ask", "kill")
        assert killed["mono"] - asked["mono"] >= 10

    house.live(story)


def test_what_holds_a_port_is_the_servers_whatever_session_it_leads(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        holder = house.system.fork(record.process, "holder", session=4711)
        house.system.processes[holder.pid].ignores_sigterm = True
        house.system.listen(holder, record.ports["http"])
        await down(house)
        assert not house.alive(holder)
        assert house.ear.of("server.left_behind") == []

    house.live(story)


def test_a_crash_asks_what_it_left_in_the_session_before_it_is_killed(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        polite = house.system.fork(record.process, "polite")
        editor = house.system.fork(record.process, "godot", "--editor")
        stubborn = house.system.fork(record.process, "stubborn")
        house.system.processes[stubborn.pid].ignores_sigterm = True
        house.system.end(record.process, -11)
        await asyncio.sleep(30)
        assert [house.alive(each) for each in (polite, editor, stubborn)] == [False, True, False]
        signals = [(row["pid"], row["signal"]) for row in house.ear.of("signal.sent")]
        assert signals == [(polite.pid, "ask"), (stubborn.pid, "ask"), (stubborn.pid, "kill")]
        assert house.ear.of("server.left_behind")[0]["pids"] == [editor.pid]

    house.live(story)


def test_a_descendant_that_cannot_be_told_from_an_editor_is_left(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    honest = FakeProbe.describe
    hidden: list[int] = []

    def describe(self: FakeProbe, pid: int) -> Occupant:
        return Occupant() if pid in hidden else honest(self, pid)

    monkeypatch.setattr(FakeProbe, "describe", describe)

    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        unknown = house.system.fork(record.process, "godot", "--editor")
        hidden.append(unknown.pid)
        await down(house)
        assert [house.alive(each) for each in (record.process, unknown)] == [False, True]
        assert unknown.pid not in {row["pid"] for row in house.ear.of("signal.sent")}
        assert house.ear.of("server.left_behind")[0]["pids"] == [unknown.pid]

    house.live(story)
