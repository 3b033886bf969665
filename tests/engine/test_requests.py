import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerState
from supervisor.engine.operations.coordinator import KEPT
from supervisor.errors import Busy, Cancelled, NotFound
from supervisor.native.api import Command
from tests.engine.house import House, Teller, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_what_has_signalled_completes_though_it_is_cancelled_and_its_requester_is_told_so(
    house: House, verb: str
) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        operation = house.supervisor.stop if verb == "stop" else house.supervisor.restart
        ending = asyncio.create_task(operation("toy", request_id="mine"))
        await asyncio.sleep(1)
        assert house.ear.of("signal.sent") != []
        house.supervisor.cancel("mine")
        outcome = await ending
        assert outcome.state is (ServerState.STOPPED if verb == "stop" else ServerState.READY)
        assert not house.alive(record.process)
        assert await house.supervisor.result("mine") == outcome

    house.live(story)


@pytest.mark.parametrize("pause_s", [0.0, 60.0])
def test_a_request_that_was_dropped_with_its_connection_is_performed_when_it_is_sent_again(
    house: House, pause_s: float
) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        first = asyncio.create_task(house.up(request_id="mine"))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(pause_s)
        teller = Teller()
        record = await house.up(request_id="mine", requester=teller)
        assert record.state is ServerState.READY
        assert house.alive(record.process)
        assert teller.told[:1] == ["accepted"]

    house.live(story)


def test_whoever_asks_while_a_start_that_nobody_wants_is_undone_waits_and_has_a_server(house: House) -> None:
    def stubborn(_: FakeSystem, process: FakeProcess, __: Command) -> None:
        process.ignores_sigterm = True

    async def story() -> None:
        house.system.programs["toy"] = stubborn
        first = asyncio.create_task(house.up())
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        house.system.programs["toy"] = serve
        owner, teller = house.editor(), Teller()
        record = await house.up(owner, requester=teller)
        assert record.state is ServerState.READY
        assert [held.process for held in record.owners] == [owner]
        assert (teller.told[0], teller.joined) == ("accepted", False)

    house.live(story)


def test_a_refusal_for_a_busy_editor_is_told_with_who_asked_and_why(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        (editor,) = house.records.editors.values()
        house.claims.occupy(editor.id, "importing", 60)
        with pytest.raises(Busy):
            await house.supervisor.stop("toy", Teller(), request_id="mine")
        (refused,) = house.ear.of("flight.refused")
        told = {name: refused[name] for name in ("server", "method", "request", "holder", "error", "reason")}
        assert told == {
            "server": "toy",
            "method": "server.stop",
            "request": "mine",
            "holder": "a test",
            "error": "BUSY",
            "reason": f"{editor.id} is busy: importing",
        }

    house.live(story)


@pytest.mark.parametrize("busy_before", [True, False])
def test_whether_a_stop_disturbs_is_settled_before_it_waits_and_not_after_it_was_accepted(
    house: House, *, busy_before: bool
) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        (editor,) = house.records.editors.values()
        house.system.programs["toy"] = slow
        house.system.kill(record.process.pid)
        await asyncio.sleep(1)
        if busy_before:
            house.claims.occupy(editor.id, "importing", 60)
        teller = Teller()
        stop = asyncio.create_task(house.supervisor.stop("toy", teller))
        await asyncio.sleep(1)
        house.claims.occupy(editor.id, "importing", 60)
        if busy_before:
            with pytest.raises(Busy):
                await stop
            assert teller.told == []
        else:
            assert (await stop).state is ServerState.STOPPED
            assert teller.told[:2] == ["accepted", "queued"]

    house.live(story)


def test_of_very_many_outcomes_the_last_ones_are_kept(house: House) -> None:
    async def story() -> None:
        for number in range(KEPT + 20):
            await house.up(request_id=f"mine-{number}")
        assert (await house.supervisor.result(f"mine-{KEPT + 19}")).state is ServerState.READY
        assert (await house.supervisor.result("mine-30")).state is ServerState.READY
        with pytest.raises(NotFound):
            await house.supervisor.result("mine-1")

    house.live(story)


@pytest.mark.parametrize("cancelled", ["first", "second"])
def test_of_two_requests_for_one_owner_a_cancelled_one_leaves_the_other_its_owner(house: House, cancelled: str) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        owner = house.editor()
        requests = {name: asyncio.create_task(house.up(owner, request_id=name)) for name in ("first", "second")}
        await asyncio.sleep(1)
        house.supervisor.cancel(cancelled)
        kept = await requests["second" if cancelled == "first" else "first"]
        assert [held.process for held in kept.owners] == [owner]
        with pytest.raises(Cancelled):
            await requests[cancelled]

    house.live(story)


def test_of_two_requests_for_one_owner_the_last_that_is_cancelled_takes_it_along(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        other, owner = asyncio.create_task(house.up(house.editor())), house.editor()
        both = [asyncio.create_task(house.up(owner, request_id=name)) for name in ("first", "second")]
        await asyncio.sleep(1)
        for name in ("first", "second"):
            house.supervisor.cancel(name)
        await asyncio.wait(both)
        assert owner not in [held.process for held in (await other).owners]

    house.live(story)
