import asyncio

import pytest

from supervisor.core.model import ServerState
from supervisor.engine.operations.outcomes import KEPT
from supervisor.errors import Busy, Cancelled, NotFound
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem


def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


@pytest.mark.parametrize("verb", ["stop", "restart"])
def test_a_cancelled_operation_that_has_signalled_completes(harness: EngineHarness, verb: str) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        operation = harness.supervisor.stop if verb == "stop" else harness.supervisor.restart
        ending = asyncio.create_task(operation("toy", request_id="mine"))
        await asyncio.sleep(1)
        assert harness.events.of("signal.sent") != []
        harness.engine.requests.cancel("mine")
        outcome = await ending
        assert outcome.state is (ServerState.STOPPED if verb == "stop" else ServerState.READY)
        assert not harness.alive(record.process)
        assert await harness.engine.requests.result("mine") == outcome

    harness.run(story)


@pytest.mark.parametrize("pause_s", [0.0, 60.0])
def test_a_request_dropped_with_its_connection_runs_when_sent_again(harness: EngineHarness, pause_s: float) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(pause_s)
        requester = FakeRequester()
        record = await harness.up(request_id="mine", requester=requester)
        assert record.state is ServerState.READY
        assert harness.alive(record.process)
        assert requester.told[:1] == ["accepted"]

    harness.run(story)


def test_a_request_during_an_undone_start_waits_and_gets_a_server(harness: EngineHarness) -> None:
    def stubborn(_: FakeSystem, process: FakeProcess, __: ChildCommand) -> None:
        process.ignores_sigterm = True

    async def story() -> None:
        harness.system.programs["toy"] = stubborn
        first = asyncio.create_task(harness.up())
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        harness.system.programs["toy"] = serve
        owner, requester = harness.editor(), FakeRequester()
        record = await harness.up(owner, requester=requester)
        assert record.state is ServerState.READY
        assert [held.process for held in record.owners] == [owner]
        assert (requester.told[0], requester.joined) == ("accepted", False)

    harness.run(story)


def test_a_refusal_for_a_busy_editor_is_reported_with_who_asked_and_why(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        (editor,) = harness.records.editors.values()
        harness.attachments.occupy(editor.id, "importing", 60)
        with pytest.raises(Busy):
            await harness.supervisor.stop("toy", FakeRequester(), request_id="mine")
        (refused,) = harness.events.of("flight.refused")
        told = {name: refused[name] for name in ("server", "method", "request", "holder", "error", "reason")}
        assert told == {
            "server": "toy",
            "method": "server.stop",
            "request": "mine",
            "holder": "a test",
            "error": "BUSY",
            "reason": f"{editor.id} is busy: importing",
        }

    harness.run(story)


@pytest.mark.parametrize("busy_before", [True, False])
def test_a_stop_is_refused_for_a_busy_editor_before_it_is_accepted(
    harness: EngineHarness, *, busy_before: bool
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        (editor,) = harness.records.editors.values()
        harness.system.programs["toy"] = slow
        harness.system.kill(record.process.pid)
        await asyncio.sleep(1)
        if busy_before:
            harness.attachments.occupy(editor.id, "importing", 60)
        requester = FakeRequester()
        stop = asyncio.create_task(harness.supervisor.stop("toy", requester))
        await asyncio.sleep(1)
        harness.attachments.occupy(editor.id, "importing", 60)
        if busy_before:
            with pytest.raises(Busy):
                await stop
            assert requester.told == []
        else:
            assert (await stop).state is ServerState.STOPPED
            assert requester.told[:2] == ["accepted", "queued"]

    harness.run(story)


def test_the_last_500_outcomes_are_kept(harness: EngineHarness) -> None:
    async def story() -> None:
        for number in range(KEPT + 20):
            await harness.up(request_id=f"mine-{number}")
        assert (await harness.engine.requests.result(f"mine-{KEPT + 19}")).state is ServerState.READY
        assert (await harness.engine.requests.result("mine-30")).state is ServerState.READY
        with pytest.raises(NotFound):
            await harness.engine.requests.result("mine-1")

    harness.run(story)


@pytest.mark.parametrize("cancelled", ["first", "second"])
def test_cancelling_one_of_two_requests_leaves_the_owner(harness: EngineHarness, cancelled: str) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        owner = harness.editor()
        requests = {name: asyncio.create_task(harness.up(owner, request_id=name)) for name in ("first", "second")}
        await asyncio.sleep(1)
        harness.engine.requests.cancel(cancelled)
        kept = await requests["second" if cancelled == "first" else "first"]
        assert [held.process for held in kept.owners] == [owner]
        with pytest.raises(Cancelled):
            await requests[cancelled]

    harness.run(story)


def test_cancelling_both_requests_removes_the_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        other, owner = asyncio.create_task(harness.up(harness.editor())), harness.editor()
        both = [asyncio.create_task(harness.up(owner, request_id=name)) for name in ("first", "second")]
        await asyncio.sleep(1)
        for name in ("first", "second"):
            harness.engine.requests.cancel(name)
        await asyncio.wait(both)
        assert owner not in [held.process for held in (await other).owners]

    harness.run(story)
