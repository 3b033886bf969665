import asyncio
import gc
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerRecord, ServerState
from supervisor.core.single_flight import Operation, OperationRequest
from supervisor.engine.operations.coordinator import Operations
from supervisor.engine.operations.known_requests import KnownRequests
from supervisor.engine.operations.operation import RunningOperation, Work
from supervisor.engine.operations.waiters import never, nothing
from supervisor.engine.state.events import Events
from supervisor.errors import (
    Busy,
    Cancelled,
    InvalidParams,
    NotFound,
    ShuttingDown,
    StartFailed,
    StopFailed,
    TimedOut,
    VersionConflict,
)
from supervisor.native.api import Command
from tests import virtual
from tests.engine.harness import TOY, EngineHarness, EventRecorder, FakeRequester, serve
from tests.fakes import FakeClock, FakeProcess, FakeSystem
from tests.installers import BASE, installer

ENSURE = OperationRequest(Operation.ENSURE, "game-1")
STOP = OperationRequest(Operation.STOP, "game-1")
REAP = OperationRequest(Operation.REAP, "the daemon")
RECORD = ServerRecord("toy", "toy", None, None, ServerState.READY, Origin.SPAWNED, "first", {}, 0.0)
NEXT = replace(RECORD, launch="next")


class OperationsHarness:
    """Flights alone, on virtual time."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events = EventRecorder()
        self.landed: list[tuple[str, BaseException | None]] = []

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def life() -> None:
            events = Events(self.events, self.clock)
            self.operations = Operations(self.clock, events)
            self.requests = KnownRequests(self.operations, events)
            self.operations.on_ended = lambda server_id, defect: self.landed.append((server_id, defect))
            await story()

        virtual.run(self.clock, life())

    def begin(
        self,
        request: OperationRequest = ENSURE,
        work: Work | None = None,
        *,
        server_id: str = "toy",
        admitted: Callable[[], None] = nothing,
        undo: Callable[[], None] = nothing,
        keep_if: Callable[[], bool] = never,
        deadline_s: float = 100.0,
        **origin: Any,
    ) -> asyncio.Task[ServerRecord]:
        """Make a request. `admitted` registers what the operation needs."""

        async def perform() -> ServerRecord:
            admission = self.operations.admit(server_id, request, deadline_s=deadline_s, **origin)
            if admission.repeats is None:
                await self.operations.turn(admission)
                admitted()
            return await self.operations.run(admission, work or lasting(), undo=undo, keep_if=keep_if)

        return asyncio.create_task(perform())


@pytest.fixture
def tower() -> OperationsHarness:
    return OperationsHarness()


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def lasting(
    seconds: float = 5.0,
    outcome: ServerRecord | Exception = RECORD,
    *,
    commits: bool = False,
    stages: tuple[str, ...] = (),
) -> Callable[[RunningOperation], Awaitable[ServerRecord]]:
    """Work that takes so long, and what comes of it. `commits`: it cannot be undone."""

    async def work(flight: RunningOperation) -> ServerRecord:
        flight.committed = commits
        for stage in stages:
            flight.progress(stage, "so far")
        await asyncio.sleep(seconds)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    return work


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def toys(harness: EngineHarness) -> list[ProcessIdentity]:
    """The living servers, whichever daemon started them."""
    return [process.identity for process in harness.system.processes.values() if process.command[:1] == ("toy",)]


def test_equal_wishes_are_one_flight_with_one_outcome(tower: OperationsHarness) -> None:
    async def story() -> None:
        requesters = [FakeRequester(), FakeRequester()]
        flown = [tower.begin(requester=requester, work=lasting(stages=("starting",))) for requester in requesters]
        assert await asyncio.gather(*flown) == [RECORD, RECORD]
        assert [requester.joined for requester in requesters] == [False, True]
        assert [requester.told for requester in requesters] == [["accepted", "starting"], ["accepted", "starting"]]
        assert len(tower.events.of("flight.started")) == 1

    tower.run(story)


def test_another_mutation_is_busy_and_its_requester_is_told_nothing(tower: OperationsHarness) -> None:
    async def story() -> None:
        start = tower.begin(request_id="mine")
        await asyncio.sleep(2)
        requester, admitted = FakeRequester(), []
        with pytest.raises(Busy) as caught:
            await tower.begin(STOP, requester=requester, admitted=lambda: admitted.append("stop"))
        assert caught.value.data["requested"] == "server.stop"
        assert caught.value.data["running"] == {
            "method": "server.ensure",
            "request": "mine",
            "holder": "game-1",
            "elapsed_ms": 2000,
        }
        assert (requester.told, admitted) == ([], [])
        assert await start == RECORD

    tower.run(story)


def test_whoever_waits_is_told_at_once_and_once_and_admitted_when_its_turn_comes(tower: OperationsHarness) -> None:
    async def story() -> None:
        stop = tower.begin(STOP)
        await asyncio.sleep(1)
        requester, admitted = FakeRequester(), []
        wait = tower.begin(
            work=lasting(outcome=NEXT), requester=requester, admitted=lambda: admitted.append(tower.clock.now)
        )
        await asyncio.sleep(0.1)
        assert (requester.told, requester.joined, admitted) == (["accepted", "queued"], False, [])
        landing = tower.clock.now + 3.9
        assert await wait == NEXT
        assert await stop == RECORD
        assert requester.told == ["accepted", "queued"]
        assert admitted == [pytest.approx(landing)]

    tower.run(story)


def test_whoever_was_told_that_it_waits_is_not_refused_when_another_was_quicker(tower: OperationsHarness) -> None:
    async def story() -> None:
        tower.begin(STOP)
        await asyncio.sleep(1)
        requester = FakeRequester()
        quicker = tower.begin(OperationRequest(Operation.ENSURE, "game-2", "1.0"))
        slower = tower.begin(
            OperationRequest(Operation.ENSURE, "game-3", "2.0"), lasting(outcome=NEXT), requester=requester
        )
        assert await quicker == RECORD
        assert await slower == NEXT
        assert requester.told == ["accepted", "queued", "queued"]

    tower.run(story)


def test_a_failed_admission_ends_the_request_before_anybody_is_told(tower: OperationsHarness) -> None:
    def refuse() -> None:
        raise InvalidParams("ports", "in use")

    async def story() -> None:
        requester = FakeRequester()
        with pytest.raises(InvalidParams):
            await tower.begin(requester=requester, admitted=refuse)
        assert requester.told == []
        assert tower.operations.running("toy") is None
        assert await tower.begin() == RECORD

    tower.run(story)


def test_the_door_is_free_again_after_the_deadline(tower: OperationsHarness) -> None:
    async def story() -> None:
        with pytest.raises(TimedOut, match=r"server\.ensure did not end within 3 s"):
            await tower.begin(work=lasting(3600), deadline_s=3)
        assert tower.operations.running("toy") is None
        assert await tower.begin(STOP) == RECORD

    tower.run(story)


def test_a_deadline_that_was_suspended_begins_again_when_it_is_extended(tower: OperationsHarness) -> None:
    async def install_then(seconds: float, flight: RunningOperation) -> ServerRecord:
        flight.suspend()
        await asyncio.sleep(3600)
        flight.extend()
        await asyncio.sleep(seconds)
        return RECORD

    async def story() -> None:
        assert await tower.begin(work=lambda flight: install_then(9, flight), deadline_s=10) == RECORD
        began = tower.clock.now
        with pytest.raises(TimedOut):
            await tower.begin(work=lambda flight: install_then(11, flight), deadline_s=10)
        assert tower.clock.now - began == pytest.approx(3610)

    tower.run(story)


def test_a_flight_that_lands_is_told_with_defects_of_ours_only(tower: OperationsHarness) -> None:
    async def story() -> None:
        defect = OSError(5, "Input/output error")
        await tower.begin()
        await asyncio.gather(tower.begin(work=lasting(outcome=StopFailed("alive"))), return_exceptions=True)
        await asyncio.gather(tower.begin(work=lasting(outcome=defect)), return_exceptions=True)
        assert tower.landed == [("toy", None), ("toy", None), ("toy", defect)]
        assert [event["outcome"] for event in tower.events.of("flight.ended")] == ["done", "failed", "failed"]

    tower.run(story)


@pytest.mark.parametrize(
    ("outcome", "gave_up"),
    [(VersionConflict("no"), ["first", "second"]), (StartFailed("no"), []), (OSError(5, "no"), []), (RECORD, [])],
    ids=["refused", "failed", "broken", "done"],
)
def test_only_a_refusal_undoes_what_admission_did_and_for_everybody(
    tower: OperationsHarness, outcome: ServerRecord | Exception, gave_up: list[str]
) -> None:
    async def story() -> None:
        undone: list[str] = []
        first = tower.begin(work=lasting(outcome=outcome), undo=lambda: undone.append("first"))
        second = tower.begin(undo=lambda: undone.append("second"))
        await asyncio.gather(first, second, return_exceptions=True)
        assert undone == gave_up

    tower.run(story)


def test_a_flight_that_everybody_has_left_is_cancelled(tower: OperationsHarness) -> None:
    async def story() -> None:
        passengers = [tower.begin(STOP), tower.begin(STOP)]
        await asyncio.sleep(1)
        passengers[0].cancel()
        await asyncio.sleep(1)
        assert tower.operations.running("toy") is not None
        passengers[1].cancel()
        await asyncio.sleep(1)
        assert tower.operations.running("toy") is None
        assert tower.events.of("flight.ended")[0]["outcome"] == "cancelled"

    tower.run(story)


def test_a_flight_that_goes_on_alone_ends_well_and_its_outcome_is_kept(tower: OperationsHarness) -> None:
    async def story() -> None:
        passenger = tower.begin(request_id="mine", keep_if=lambda: True)
        await asyncio.sleep(1)
        passenger.cancel()
        await asyncio.sleep(10)
        assert await tower.requests.result("mine") == RECORD

    tower.run(story)


def test_a_stop_that_has_acted_goes_on_when_everybody_has_left(tower: OperationsHarness) -> None:
    async def story() -> None:
        passenger = tower.begin(STOP, lasting(commits=True), request_id="mine")
        await asyncio.sleep(1)
        passenger.cancel()
        await asyncio.sleep(10)
        assert await tower.requests.result("mine") == RECORD

    tower.run(story)


def test_a_flight_of_the_daemon_outlives_whoever_joined_it(tower: OperationsHarness) -> None:
    async def story() -> None:
        own = tower.operations.start_own("toy", STOP, lasting(), deadline_s=100)
        await asyncio.sleep(1)
        joiner = tower.begin(STOP)
        await asyncio.sleep(1)
        joiner.cancel()
        await asyncio.sleep(10)
        assert own is not None
        assert own.task.result() == RECORD
        assert tower.events.of("flight.ended")[0]["outcome"] == "done"

    tower.run(story)


def test_the_daemon_itself_begins_nothing_beside_another_flight_or_after_the_close(tower: OperationsHarness) -> None:
    async def story() -> None:
        start = tower.begin()
        await asyncio.sleep(1)
        assert tower.operations.start_own("toy", STOP, lasting(), deadline_s=100) is None
        assert await start == RECORD
        assert tower.landed == [("toy", None)]
        await tower.operations.close(10)
        assert tower.operations.start_own("toy", STOP, lasting(), deadline_s=100) is None

    tower.run(story)


def test_the_outcome_of_the_daemons_own_operation_can_be_asked_for(tower: OperationsHarness) -> None:
    async def story() -> None:
        own = tower.operations.start_own("toy", STOP, lasting(), deadline_s=100)
        assert own is not None
        assert await tower.requests.result(own.running.request_id) == RECORD

    tower.run(story)


def test_a_request_is_given_up_by_its_id_and_its_flight_is_undone_before_that_is_told(tower: OperationsHarness) -> None:
    undone_at: list[float] = []

    async def undoing(flight: RunningOperation) -> ServerRecord:
        flight.committed = True
        try:
            await asyncio.sleep(3600)
        finally:
            await asyncio.sleep(4)
            undone_at.append(tower.clock.now)
        return RECORD

    async def story() -> None:
        gave_up: list[str] = []
        passenger = tower.begin(work=undoing, request_id="mine", undo=lambda: gave_up.append("mine"))
        await asyncio.sleep(1)
        tower.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await passenger
        assert undone_at == [tower.clock.now]
        assert gave_up == ["mine"]

    tower.run(story)


def test_whoever_gives_up_a_shared_flight_is_told_at_once_and_the_other_gets_the_outcome(
    tower: OperationsHarness,
) -> None:
    async def story() -> None:
        first, second = tower.begin(request_id="one"), tower.begin(request_id="two")
        await asyncio.sleep(1)
        tower.requests.cancel("one")
        given_up = tower.clock.now
        with pytest.raises(Cancelled):
            await first
        assert tower.clock.now == given_up
        assert await second == RECORD

    tower.run(story)


def test_giving_up_what_has_ended_is_harmless_and_what_never_was_is_told(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.begin(request_id="mine")
        tower.requests.cancel("mine")
        assert await tower.requests.result("mine") == RECORD
        with pytest.raises(NotFound, match="'yours'"):
            tower.requests.cancel("yours")

    tower.run(story)


def test_a_request_that_is_sent_again_is_not_performed_again(tower: OperationsHarness) -> None:
    async def story() -> None:
        first = tower.begin(request_id="mine")
        await asyncio.sleep(1)
        again = FakeRequester()
        assert await tower.begin(request_id="mine", requester=again, work=lasting(outcome=NEXT)) == RECORD
        assert await first == RECORD
        assert (again.told, again.joined) == (["accepted"], True)
        assert await tower.begin(request_id="mine", work=lasting(outcome=NEXT)) == RECORD
        assert len(tower.events.of("flight.started")) == 1

    tower.run(story)


def test_a_kept_failure_is_raised_again(tower: OperationsHarness) -> None:
    async def story() -> None:
        for _ in range(2):
            with pytest.raises(StartFailed, match="no"):
                await tower.begin(request_id="mine", work=lasting(outcome=StartFailed("no")))
        assert len(tower.events.of("flight.started")) == 1

    tower.run(story)


def test_the_id_of_a_request_does_not_do_for_another_operation(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.begin(request_id="mine")
        with pytest.raises(InvalidParams, match=r"'mine' was server\.ensure on toy"):
            await tower.begin(STOP, request_id="mine")

    tower.run(story)


def test_a_made_up_id_is_never_one_that_a_client_has_chosen(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.begin(request_id="r-1")
        await tower.begin()
        assert [event["request"] for event in tower.events.of("flight.started")] == ["r-1", "r-2"]

    tower.run(story)


def test_outcomes_are_kept_for_five_minutes(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.begin(request_id="mine")
        await asyncio.sleep(299)
        assert await tower.requests.result("mine") == RECORD
        await asyncio.sleep(2)
        with pytest.raises(NotFound, match="'mine'"):
            await tower.requests.result("mine")

    tower.run(story)


def test_an_id_whose_outcome_is_not_kept_any_more_is_a_new_request(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.begin(request_id="mine")
        await asyncio.sleep(301)
        assert await tower.begin(request_id="mine", work=lasting(outcome=NEXT)) == NEXT

    tower.run(story)


def test_a_request_that_waits_can_be_given_up(tower: OperationsHarness) -> None:
    async def story() -> None:
        stop = tower.begin(STOP)
        await asyncio.sleep(1)
        wait = tower.begin(request_id="mine", requester=FakeRequester())
        await asyncio.sleep(1)
        tower.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await wait
        assert await stop == RECORD
        assert len(tower.events.of("flight.started")) == 1

    tower.run(story)


def test_a_request_that_waits_and_is_sent_again_is_performed_once(tower: OperationsHarness) -> None:
    async def story() -> None:
        tower.begin(STOP)
        await asyncio.sleep(1)
        first, again = (tower.begin(request_id="mine", work=lasting(outcome=NEXT)) for _ in range(2))
        assert await asyncio.gather(first, again) == [NEXT, NEXT]
        assert [event["method"] for event in tower.events.of("flight.started")] == ["server.stop", "server.ensure"]

    tower.run(story)


def test_a_request_that_waits_on_a_second_connection_can_be_given_up_when_the_first_is_lost(
    tower: OperationsHarness,
) -> None:
    async def story() -> None:
        tower.begin(STOP)
        await asyncio.sleep(1)
        first, again = tower.begin(request_id="mine"), tower.begin(request_id="mine")
        await asyncio.sleep(1)
        first.cancel()
        await asyncio.sleep(1)
        tower.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await again
        assert [event["method"] for event in tower.events.of("flight.started")] == ["server.stop"]

    tower.run(story)


def test_the_outcome_of_a_request_that_waits_can_be_waited_for(tower: OperationsHarness) -> None:
    async def story() -> None:
        tower.begin(STOP)
        await asyncio.sleep(1)
        wait = tower.begin(request_id="mine", work=lasting(outcome=NEXT))
        await asyncio.sleep(1)
        assert await tower.requests.result("mine") == NEXT
        assert await wait == NEXT

    tower.run(story)


def test_a_close_cancels_what_has_not_acted_and_lets_the_rest_end(tower: OperationsHarness) -> None:
    async def story() -> None:
        start = tower.begin()
        stop = tower.begin(STOP, lasting(commits=True), server_id="other")
        await asyncio.sleep(1)
        began = tower.clock.now
        await tower.operations.close(10)
        assert tower.clock.now - began == pytest.approx(4)
        with pytest.raises(ShuttingDown):
            await start
        assert await stop == RECORD

    tower.run(story)


def test_a_close_does_not_wait_for_longer_than_its_patience(tower: OperationsHarness) -> None:
    async def story() -> None:
        late = tower.begin(STOP, lasting(3600, commits=True), deadline_s=4000)
        await asyncio.sleep(1)
        began = tower.clock.now
        await tower.operations.close(10)
        assert tower.clock.now - began == pytest.approx(10)
        with pytest.raises(ShuttingDown):
            await late

    tower.run(story)


def test_whoever_waits_when_the_daemon_closes_is_told_so_and_starts_nothing(tower: OperationsHarness) -> None:
    async def story() -> None:
        tower.begin(STOP, lasting(commits=True))
        await asyncio.sleep(1)
        wait = tower.begin()
        await asyncio.sleep(1)
        await tower.operations.close(10)
        with pytest.raises(ShuttingDown):
            await wait
        assert [event["method"] for event in tower.events.of("flight.started")] == ["server.stop"]

    tower.run(story)


def test_nothing_takes_off_after_the_close_but_the_last_flight(tower: OperationsHarness) -> None:
    async def story() -> None:
        await tower.operations.close(10)
        with pytest.raises(ShuttingDown):
            await tower.begin()
        assert await tower.operations.run_last("toy", STOP, lasting(), deadline_s=100) == RECORD
        with pytest.raises(TimedOut):
            await tower.operations.run_last("toy", STOP, lasting(3600), deadline_s=100)

    tower.run(story)


def test_an_ensure_during_a_stop_is_told_accepted_at_once(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.system.processes[first.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        requester = FakeRequester()
        again = asyncio.create_task(harness.up(harness.editor(), requester=requester))
        await asyncio.sleep(0.1)
        assert requester.told == ["accepted", "queued"]
        assert not stop.done()
        second = await again
        assert requester.told.count("accepted") == 1
        assert "starting" in requester.told
        assert second.process != first.process

    harness.run(story)


def test_whoever_joins_while_an_ensure_stops_the_last_launch_is_an_owner_too(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        process = harness.system.processes[record.process.pid]
        process.denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        harness.system.end(owner)
        process.denied = False
        process.ignores_sigterm = True
        first, second = harness.editor(), harness.editor()
        one = asyncio.create_task(harness.up(first))
        await asyncio.sleep(3)
        two = asyncio.create_task(harness.up(second))
        assert (await one).launch == (await two).launch
        assert {held.process for held in harness.records.server("toy").owners} == {first, second}
        harness.system.end(first)
        await asyncio.sleep(3600)
        assert harness.alive((await two).process)

    harness.run(story)


def test_a_shutdown_with_servers_stops_one_that_is_being_started(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(2)
        await harness.supervisor.close(servers=True)
        await asyncio.gather(start, return_exceptions=True)
        assert toys(harness) == []
        assert harness.records.servers == {}

    harness.run(story)


def test_a_shutdown_with_servers_starts_none_for_whoever_waits(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        again = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(0.1)
        await harness.supervisor.close(servers=True)
        with pytest.raises(ShuttingDown):
            await again
        assert len(harness.system.spawned) == 1
        assert toys(harness) == []
        await asyncio.gather(stop, return_exceptions=True)

    harness.run(story)


def test_a_shutdown_with_servers_stops_all_at_once(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        for name in ("one", "two", "three"):
            (tmp_path / name).mkdir()
            record = await harness.up(harness.editor(), "solo", project=str(tmp_path / name))
            assert record.process is not None
            harness.system.processes[record.process.pid].ignores_sigterm = True
        began = harness.system.clock.now
        await harness.supervisor.close(servers=True)
        assert toys(harness) == []
        assert harness.system.clock.now - began < 15

    harness.run(story)


def test_a_server_that_a_shutdown_cannot_stop_is_told_and_does_not_keep_the_others(
    harness: EngineHarness, tmp_path: Path
) -> None:
    async def story() -> None:
        (tmp_path / "game").mkdir()
        held = await harness.up(harness.editor())
        other = await harness.up(harness.editor(), "solo", project=str(tmp_path / "game"))
        assert held.process is not None
        harness.system.processes[held.process.pid].denied = True
        await harness.supervisor.close(servers=True)
        assert toys(harness) == [held.process]
        assert not harness.alive(other.process)
        (told,) = harness.events.of("server.not_stopped")
        assert str(held.process.pid) in told["reason"]

    harness.run(story)


def test_a_shutdown_without_servers_leaves_them_and_what_starts_to_the_next_daemon(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        harness.system.programs["toy"] = lambda *_: None
        start = asyncio.create_task(harness.up(owner))
        await asyncio.sleep(2)
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start

    harness.run(first)
    (process,) = toys(harness)
    later = harness.restarted()

    async def second() -> None:
        later.system.listen(process, 8000)
        later.system.listen(process, 9500)
        record = await later.up(owner)
        assert (record.state, record.process) == (ServerState.READY, process)
        assert toys(later) == [process]

    later.run(second)


def test_a_shutdown_before_anything_was_started_leaves_nothing_to_the_next_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(0)
        assert "toy" in harness.records.servers
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start
        assert harness.system.spawned == {}

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert later.records.servers == {}

    later.run(second)


def with_silent_installers(harness: EngineHarness) -> None:
    """The toy comes from a package: the two installers say nothing, and take 50 s each."""
    harness.tables = {"toy": {**TOY, "package": "toy", "version": "1.0", "ready_timeout_s": 5}}

    install = installer(50, lambda _: "1.0")
    harness.system.programs |= {BASE: install, "python": install, "python.exe": install}


def test_an_install_that_is_silent_for_longer_than_a_start_may_take_makes_no_start_late(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        began = harness.system.clock.now
        record = await harness.up(harness.editor())
        assert record.state is ServerState.READY
        assert harness.system.clock.now - began >= 100

    harness.run(story)


def test_a_shutdown_without_servers_ends_an_install_and_leaves_nothing(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(20)
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await start
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1
        assert not any(harness.alive(installer) for installer in harness.system.spawned)

    harness.run(story)


def test_an_install_that_nobody_wants_any_more_is_ended_and_leaves_nothing(harness: EngineHarness) -> None:
    with_silent_installers(harness)

    async def story() -> None:
        start = asyncio.create_task(harness.up(harness.editor(), request_id="mine"))
        await asyncio.sleep(20)
        harness.supervisor.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await start
        await asyncio.sleep(3600)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1
        assert not any(harness.alive(installer) for installer in harness.system.spawned)

    harness.run(story)


def test_a_cancelled_ensure_during_a_stop_starts_nothing(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        again = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        again.cancel()
        assert (await stop).state is ServerState.STOPPED
        await asyncio.sleep(60)
        assert toys(harness) == []
        assert harness.records.servers == {}

    harness.run(story)


def test_whoever_gives_up_a_shared_start_is_no_owner_of_it(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first, second = harness.editor(), harness.editor()
        one = asyncio.create_task(harness.up(first, request_id="one"))
        two = asyncio.create_task(harness.up(second, request_id="two"))
        await asyncio.sleep(1)
        harness.supervisor.requests.cancel("one")
        with pytest.raises(Cancelled):
            await one
        record = await two
        assert [held.process for held in harness.records.server("toy").owners] == [second]
        harness.system.end(second)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_whoever_owned_a_server_before_gives_up_its_request_and_not_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        owner = harness.editor()
        with pytest.raises(StartFailed):
            await harness.up(owner)
        harness.system.programs["toy"] = slow
        again = asyncio.create_task(harness.up(owner, request_id="mine"))
        other = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        harness.supervisor.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await again
        record = await other
        assert owner in [held.process for held in harness.records.server("toy").owners]
        assert harness.alive(record.process)

    harness.run(story)


@pytest.mark.parametrize("outcome", [RECORD, VersionConflict("another version runs")], ids=["done", "refused"])
def test_the_outcome_is_kept_and_nobody_who_waited_for_it(
    tower: OperationsHarness, outcome: ServerRecord | Exception
) -> None:
    async def story() -> None:
        requester = FakeRequester()
        held = weakref.ref(requester)
        ride = tower.begin(work=lasting(outcome=outcome), requester=requester, request_id="mine")
        await asyncio.gather(ride, return_exceptions=True)
        again = FakeRequester()
        held_again = weakref.ref(again)
        await asyncio.gather(tower.requests.result("mine", again), return_exceptions=True)
        assert again.told
        del requester, again, ride
        # The loop lets go of what woke us.
        await asyncio.sleep(0)
        gc.collect()
        assert (held(), held_again()) == (None, None)

    tower.run(story)
