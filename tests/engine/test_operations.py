"""At most one operation runs on a server: requests start it, join it, wait for its end, or are refused."""

import asyncio

import pytest

from supervisor.core.model import ServerRecord
from supervisor.core.single_flight import Operation, OperationRequest
from supervisor.engine.operations.operation import RunningOperation
from supervisor.errors import (
    Busy,
    InvalidParams,
    ShuttingDown,
    StartFailed,
    StopFailed,
    TimedOut,
    VersionConflict,
)
from tests.engine.harness import FakeRequester
from tests.engine.operations_harness import NEXT, RECORD, STOP, OperationsHarness, lasting


@pytest.fixture
def harness() -> OperationsHarness:
    return OperationsHarness()


def test_equal_requests_share_one_operation_and_its_outcome(harness: OperationsHarness) -> None:
    async def story() -> None:
        requesters = [FakeRequester(), FakeRequester()]
        flown = [harness.begin(requester=requester, work=lasting(stages=("starting",))) for requester in requesters]
        assert await asyncio.gather(*flown) == [RECORD, RECORD]
        assert [requester.joined for requester in requesters] == [False, True]
        assert [requester.told for requester in requesters] == [["accepted", "starting"], ["accepted", "starting"]]
        assert len(harness.events.of("flight.started")) == 1

    harness.run(story)


def test_a_refused_request_is_busy_and_gets_no_accepted(harness: OperationsHarness) -> None:
    async def story() -> None:
        start = harness.begin(request_id="mine")
        await asyncio.sleep(2)
        requester, admitted = FakeRequester(), []
        with pytest.raises(Busy) as caught:
            await harness.begin(STOP, requester=requester, admitted=lambda: admitted.append("stop"))
        assert caught.value.data["requested"] == "server.stop"
        assert caught.value.data["running"] == {
            "method": "server.ensure",
            "request": "mine",
            "holder": "game-1",
            "elapsed_ms": 2000,
        }
        assert (requester.told, admitted) == ([], [])
        assert await start == RECORD

    harness.run(story)


def test_a_queued_request_is_accepted_once_and_admitted_at_its_turn(harness: OperationsHarness) -> None:
    async def story() -> None:
        stop = harness.begin(STOP)
        await asyncio.sleep(1)
        requester, admitted = FakeRequester(), []
        wait = harness.begin(
            work=lasting(outcome=NEXT), requester=requester, admitted=lambda: admitted.append(harness.clock.now)
        )
        await asyncio.sleep(0.1)
        assert (requester.told, requester.joined, admitted) == (["accepted", "queued"], False, [])
        end = harness.clock.now + 3.9
        assert await wait == NEXT
        assert await stop == RECORD
        assert requester.told == ["accepted", "queued"]
        assert admitted == [pytest.approx(end)]

    harness.run(story)


def test_a_queued_request_is_not_refused_when_another_runs_first(harness: OperationsHarness) -> None:
    async def story() -> None:
        harness.begin(STOP)
        await asyncio.sleep(1)
        requester = FakeRequester()
        quicker = harness.begin(OperationRequest(Operation.ENSURE, "game-2", "1.0"))
        slower = harness.begin(
            OperationRequest(Operation.ENSURE, "game-3", "2.0"), lasting(outcome=NEXT), requester=requester
        )
        assert await quicker == RECORD
        assert await slower == NEXT
        assert requester.told == ["accepted", "queued", "queued"]

    harness.run(story)


def test_a_failed_registration_ends_the_request_before_accepted(harness: OperationsHarness) -> None:
    def refuse() -> None:
        raise InvalidParams("ports", "in use")

    async def story() -> None:
        requester = FakeRequester()
        with pytest.raises(InvalidParams):
            await harness.begin(requester=requester, admitted=refuse)
        assert requester.told == []
        assert harness.operations.running("toy") is None
        assert await harness.begin() == RECORD

    harness.run(story)


def test_the_server_is_free_again_after_the_deadline(harness: OperationsHarness) -> None:
    async def story() -> None:
        with pytest.raises(TimedOut, match=r"server\.ensure did not end within 3 s"):
            await harness.begin(work=lasting(3600), deadline_s=3)
        assert harness.operations.running("toy") is None
        assert await harness.begin(STOP) == RECORD

    harness.run(story)


def test_a_deadline_that_was_suspended_begins_again_when_it_is_extended(harness: OperationsHarness) -> None:
    async def install_then(seconds: float, operation: RunningOperation) -> ServerRecord:
        operation.suspend_deadline()
        await asyncio.sleep(3600)
        operation.restart_deadline()
        await asyncio.sleep(seconds)
        return RECORD

    async def story() -> None:
        assert await harness.begin(work=lambda operation: install_then(9, operation), deadline_s=10) == RECORD
        began = harness.clock.now
        with pytest.raises(TimedOut):
            await harness.begin(work=lambda operation: install_then(11, operation), deadline_s=10)
        assert harness.clock.now - began == pytest.approx(3610)

    harness.run(story)


def test_the_end_of_an_operation_is_reported_with_defects_only(harness: OperationsHarness) -> None:
    async def story() -> None:
        defect = OSError(5, "Input/output error")
        await harness.begin()
        await asyncio.gather(harness.begin(work=lasting(outcome=StopFailed("alive"))), return_exceptions=True)
        await asyncio.gather(harness.begin(work=lasting(outcome=defect)), return_exceptions=True)
        assert harness.ended == [("toy", None), ("toy", None), ("toy", defect)]
        assert [event["outcome"] for event in harness.events.of("flight.ended")] == ["done", "failed", "failed"]

    harness.run(story)


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [(VersionConflict("no"), ["first", "second"]), (StartFailed("no"), []), (OSError(5, "no"), []), (RECORD, [])],
    ids=["refused", "failed", "broken", "done"],
)
def test_only_a_refusal_undoes_what_each_caller_registered(
    harness: OperationsHarness, outcome: ServerRecord | Exception, expected: list[str]
) -> None:
    async def story() -> None:
        undone: list[str] = []
        first = harness.begin(work=lasting(outcome=outcome), undo=lambda: undone.append("first"))
        second = harness.begin(undo=lambda: undone.append("second"))
        await asyncio.gather(first, second, return_exceptions=True)
        assert undone == expected

    harness.run(story)


def test_an_operation_without_connected_callers_is_cancelled(harness: OperationsHarness) -> None:
    async def story() -> None:
        callers = [harness.begin(STOP), harness.begin(STOP)]
        await asyncio.sleep(1)
        callers[0].cancel()
        await asyncio.sleep(1)
        assert harness.operations.running("toy") is not None
        callers[1].cancel()
        await asyncio.sleep(1)
        assert harness.operations.running("toy") is None
        assert harness.events.of("flight.ended")[0]["outcome"] == "cancelled"

    harness.run(story)


def test_a_kept_operation_ends_without_callers_and_keeps_its_outcome(harness: OperationsHarness) -> None:
    async def story() -> None:
        caller = harness.begin(request_id="mine", keep_if=lambda: True)
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.sleep(10)
        assert await harness.requests.result("mine") == RECORD

    harness.run(story)


def test_a_stop_that_has_acted_continues_without_callers(harness: OperationsHarness) -> None:
    async def story() -> None:
        caller = harness.begin(STOP, lasting(commits=True), request_id="mine")
        await asyncio.sleep(1)
        caller.cancel()
        await asyncio.sleep(10)
        assert await harness.requests.result("mine") == RECORD

    harness.run(story)


def test_the_daemons_own_operation_outlives_callers_that_joined(harness: OperationsHarness) -> None:
    async def story() -> None:
        own = harness.operations.start_for_daemon("toy", STOP, lasting(), deadline_s=100)
        await asyncio.sleep(1)
        joiner = harness.begin(STOP)
        await asyncio.sleep(1)
        joiner.cancel()
        await asyncio.sleep(10)
        assert own is not None
        assert own.task.result() == RECORD
        assert harness.events.of("flight.ended")[0]["outcome"] == "done"

    harness.run(story)


def test_the_outcome_of_the_daemons_own_operation_can_be_asked_for(harness: OperationsHarness) -> None:
    async def story() -> None:
        own = harness.operations.start_for_daemon("toy", STOP, lasting(), deadline_s=100)
        assert own is not None
        assert await harness.requests.result(own.running.request_id) == RECORD

    harness.run(story)


def test_the_daemon_starts_nothing_beside_an_operation_or_after_close(harness: OperationsHarness) -> None:
    async def story() -> None:
        start = harness.begin()
        await asyncio.sleep(1)
        assert harness.operations.start_for_daemon("toy", STOP, lasting(), deadline_s=100) is None
        assert await start == RECORD
        assert harness.ended == [("toy", None)]
        await harness.operations.close(10)
        assert harness.operations.start_for_daemon("toy", STOP, lasting(), deadline_s=100) is None

    harness.run(story)


def test_a_close_cancels_what_has_not_acted_and_lets_the_rest_end(harness: OperationsHarness) -> None:
    async def story() -> None:
        start = harness.begin()
        stop = harness.begin(STOP, lasting(commits=True), server_id="other")
        await asyncio.sleep(1)
        began = harness.clock.now
        await harness.operations.close(10)
        assert harness.clock.now - began == pytest.approx(4)
        with pytest.raises(ShuttingDown):
            await start
        assert await stop == RECORD

    harness.run(story)


def test_a_close_waits_no_longer_than_its_limit(harness: OperationsHarness) -> None:
    async def story() -> None:
        late = harness.begin(STOP, lasting(3600, commits=True), deadline_s=4000)
        await asyncio.sleep(1)
        began = harness.clock.now
        await harness.operations.close(10)
        assert harness.clock.now - began == pytest.approx(10)
        with pytest.raises(ShuttingDown):
            await late

    harness.run(story)


def test_a_queued_request_fails_at_the_close_and_starts_nothing(harness: OperationsHarness) -> None:
    async def story() -> None:
        harness.begin(STOP, lasting(commits=True))
        await asyncio.sleep(1)
        wait = harness.begin()
        await asyncio.sleep(1)
        await harness.operations.close(10)
        with pytest.raises(ShuttingDown):
            await wait
        assert [event["method"] for event in harness.events.of("flight.started")] == ["server.stop"]

    harness.run(story)


def test_only_the_daemons_last_operation_starts_after_the_close(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.operations.close(10)
        with pytest.raises(ShuttingDown):
            await harness.begin()
        assert await harness.operations.perform_after_close("toy", STOP, lasting(), deadline_s=100) == RECORD
        with pytest.raises(TimedOut):
            await harness.operations.perform_after_close("toy", STOP, lasting(3600), deadline_s=100)

    harness.run(story)
