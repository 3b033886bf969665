"""Requests by their ids: cancelled, sent again, and asked for their outcomes."""

import asyncio
import gc
import weakref

import pytest

from supervisor.core.model import ServerRecord
from supervisor.engine.operations.operation import RunningOperation
from supervisor.errors import (
    Cancelled,
    InvalidParams,
    NotFound,
    StartFailed,
    VersionConflict,
)
from tests.engine.harness import FakeRequester
from tests.engine.operations_harness import NEXT, RECORD, STOP, OperationsHarness, lasting


@pytest.fixture
def harness() -> OperationsHarness:
    return OperationsHarness()


def test_cancelling_an_ended_request_is_harmless_an_unknown_one_fails(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.begin(request_id="mine")
        harness.requests.cancel("mine")
        assert await harness.requests.result("mine") == RECORD
        with pytest.raises(NotFound, match="'yours'"):
            harness.requests.cancel("yours")

    harness.run(story)


def test_a_request_that_is_sent_again_is_not_performed_again(harness: OperationsHarness) -> None:
    async def story() -> None:
        first = harness.begin(request_id="mine")
        await asyncio.sleep(1)
        again = FakeRequester()
        assert await harness.begin(request_id="mine", requester=again, work=lasting(outcome=NEXT)) == RECORD
        assert await first == RECORD
        assert (again.told, again.joined) == (["accepted"], True)
        assert await harness.begin(request_id="mine", work=lasting(outcome=NEXT)) == RECORD
        assert len(harness.events.of("flight.started")) == 1

    harness.run(story)


def test_a_kept_failure_is_raised_again(harness: OperationsHarness) -> None:
    async def story() -> None:
        for _ in range(2):
            with pytest.raises(StartFailed, match="no"):
                await harness.begin(request_id="mine", work=lasting(outcome=StartFailed("no")))
        assert len(harness.events.of("flight.started")) == 1

    harness.run(story)


def test_a_request_id_cannot_be_used_for_another_operation(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.begin(request_id="mine")
        with pytest.raises(InvalidParams, match=r"'mine' was server\.ensure on toy"):
            await harness.begin(STOP, request_id="mine")

    harness.run(story)


def test_a_made_up_id_is_never_one_that_a_client_has_chosen(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.begin(request_id="r-1")
        await harness.begin()
        assert [event["request"] for event in harness.events.of("flight.started")] == ["r-1", "r-2"]

    harness.run(story)


def test_outcomes_are_kept_for_five_minutes(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.begin(request_id="mine")
        await asyncio.sleep(299)
        assert await harness.requests.result("mine") == RECORD
        await asyncio.sleep(2)
        with pytest.raises(NotFound, match="'mine'"):
            await harness.requests.result("mine")

    harness.run(story)


def test_an_id_whose_outcome_is_not_kept_any_more_is_a_new_request(harness: OperationsHarness) -> None:
    async def story() -> None:
        await harness.begin(request_id="mine")
        await asyncio.sleep(301)
        assert await harness.begin(request_id="mine", work=lasting(outcome=NEXT)) == NEXT

    harness.run(story)


def test_a_queued_request_can_be_cancelled(harness: OperationsHarness) -> None:
    async def story() -> None:
        stop = harness.begin(STOP)
        await asyncio.sleep(1)
        wait = harness.begin(request_id="mine", requester=FakeRequester())
        await asyncio.sleep(1)
        harness.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await wait
        assert await stop == RECORD
        assert len(harness.events.of("flight.started")) == 1

    harness.run(story)


def test_a_queued_request_that_is_sent_again_runs_once(harness: OperationsHarness) -> None:
    async def story() -> None:
        harness.begin(STOP)
        await asyncio.sleep(1)
        first, again = (harness.begin(request_id="mine", work=lasting(outcome=NEXT)) for _ in range(2))
        assert await asyncio.gather(first, again) == [NEXT, NEXT]
        assert [event["method"] for event in harness.events.of("flight.started")] == ["server.stop", "server.ensure"]

    harness.run(story)


def test_a_queued_request_can_be_cancelled_after_one_connection_is_lost(
    harness: OperationsHarness,
) -> None:
    async def story() -> None:
        harness.begin(STOP)
        await asyncio.sleep(1)
        first, again = harness.begin(request_id="mine"), harness.begin(request_id="mine")
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        harness.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await again
        assert [event["method"] for event in harness.events.of("flight.started")] == ["server.stop"]

    harness.run(story)


def test_the_outcome_of_a_queued_request_can_be_waited_for(harness: OperationsHarness) -> None:
    async def story() -> None:
        harness.begin(STOP)
        await asyncio.sleep(1)
        wait = harness.begin(request_id="mine", work=lasting(outcome=NEXT))
        await asyncio.sleep(1)
        assert await harness.requests.result("mine") == NEXT
        assert await wait == NEXT

    harness.run(story)


@pytest.mark.parametrize("outcome", [RECORD, VersionConflict("another version runs")], ids=["done", "refused"])
def test_an_outcome_is_kept_without_its_waiters(harness: OperationsHarness, outcome: ServerRecord | Exception) -> None:
    async def story() -> None:
        requester = FakeRequester()
        held = weakref.ref(requester)
        ride = harness.begin(work=lasting(outcome=outcome), requester=requester, request_id="mine")
        await asyncio.gather(ride, return_exceptions=True)
        again = FakeRequester()
        held_again = weakref.ref(again)
        await asyncio.gather(harness.requests.result("mine", again), return_exceptions=True)
        assert again.told
        del requester, again, ride
        # The loop lets go of what woke us.
        await asyncio.sleep(0)
        gc.collect()
        assert (held(), held_again()) == (None, None)

    harness.run(story)


def test_a_cancelled_request_is_answered_after_its_start_is_undone(harness: OperationsHarness) -> None:
    undone_at: list[float] = []

    async def undoing(operation: RunningOperation) -> ServerRecord:
        operation.committed = True
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(4)
            undone_at.append(harness.clock.now)
        return RECORD

    async def story() -> None:
        undone: list[str] = []
        caller = harness.begin(work=undoing, request_id="mine", undo=lambda: undone.append("mine"))
        await asyncio.sleep(1)
        harness.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await caller
        assert undone_at == [harness.clock.now]
        assert undone == ["mine"]

    harness.run(story)


def test_cancelling_a_shared_operation_leaves_it_to_the_other_caller(
    harness: OperationsHarness,
) -> None:
    async def story() -> None:
        first, second = harness.begin(request_id="one"), harness.begin(request_id="two")
        await asyncio.sleep(1)
        harness.requests.cancel("one")
        given_up = harness.clock.now
        with pytest.raises(Cancelled):
            await first
        assert harness.clock.now == given_up
        assert await second == RECORD

    harness.run(story)
