"""The checks of the simulation find broken engines.

Each test breaks the engine on purpose, as its name says, and the simulation has to notice that a promise is broken.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from supervisor.core import reaping
from supervisor.core.model import ProcessIdentity, ProcessRow, ServerRecord
from supervisor.core.processes import trees
from supervisor.core.processes.owners import DeadOwner
from supervisor.core.processes.proof import Stoppable
from supervisor.core.processes.token_carriers import TokenCarrier
from supervisor.core.processes.trees import spawned_tree
from supervisor.core.single_flight import Operation
from supervisor.daemon.home_ownership import HomeOwnership
from supervisor.engine.claims.leases import Leases
from supervisor.engine.ending import reap
from supervisor.engine.monitor import Monitor
from supervisor.engine.operations.admitted_request import AdmittedRequest
from supervisor.engine.operations.coordinator import Operations
from supervisor.engine.operations.operation import RunningOperation
from supervisor.engine.processes import signals
from supervisor.engine.processes import tree as looks
from supervisor.engine.processes.signals import Signals
from supervisor.engine.processes.stop import StopReason
from supervisor.engine.recovery import rebuild, recover
from supervisor.engine.starting.launch import Launches
from supervisor.engine.starting.placement import Placement
from supervisor.engine.starting.provision import Provisioner
from supervisor.engine.state.records import Records
from supervisor.engine.state.standing import Standing
from tests.simulation import clients, events
from tests.simulation.environments import FakeEnvironments
from tests.simulation.play import ACTIONS, StoryFailedError, play

SEEDS = 400
"""The number of seeds within which each broken engine has to be found."""

WITHOUT_OWNER = "what was asked for without an owner runs until it is stopped"


def bites(*promises: str, rates: Mapping[str, float] | None = None) -> None:
    """Play seeds until one of these promises is broken. Fail if none is, or if another promise is."""
    for seed in range(1, SEEDS + 1):
        try:
            play(seed, rates=rates)
        except StoryFailedError as error:
            if any(promise in str(error) for promise in promises):
                return
            raise
    pytest.fail(f"not found within {SEEDS} seeds")


def test_a_signal_to_a_bare_pid(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that has the pid now is signalled, and is the root of its server's tree."""

    def by_number(table: Sequence[ProcessRow], root: ProcessIdentity, forbidden: frozenset[ProcessIdentity]) -> Any:
        now = next((row.identity for row in table if row.identity.pid == root.pid), root)
        return spawned_tree(table, now, forbidden)

    monkeypatch.setattr(looks, "spawned_tree", by_number)
    monkeypatch.setattr(signals, "judge_signal", lambda member, evidence: Stoppable("because"))  # noqa: ARG005
    ask, kill = Signals.ask, Signals.kill

    def aimed(self: Signals, member: Any) -> Any:
        now = self.identify(member.identity.pid)
        return type(member)(now, member.role, member.launch_token) if now else member

    async def ask_bluntly(self: Signals, member: Any, evidence: Any, *, server: str) -> Any:
        return await ask(self, aimed(self, member), evidence, server=server)

    def kill_bluntly(self: Signals, member: Any, evidence: Any, *, server: str) -> Any:
        return kill(self, aimed(self, member), evidence, server=server)

    monkeypatch.setattr(Signals, "ask", ask_bluntly)
    monkeypatch.setattr(Signals, "kill", kill_bluntly)
    bites("no signal to what is not stoppable")


def test_a_foreign_server_that_is_stopped_without_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """The owner of a foreign server counts as dead, alive or not."""
    owner_of = "supervisor.engine.identification.recognise.owner_of"
    monkeypatch.setattr(owner_of, lambda context, kind, process: DeadOwner(1))  # noqa: ARG005
    bites("no signal to what is not stoppable")


def test_an_editor_that_counts_as_part_of_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that a server has launched is ended with it."""
    monkeypatch.setattr(looks, "is_editor", lambda command: False)  # noqa: ARG005
    bites("no signal to what is not stoppable")


@pytest.mark.full
def test_a_token_that_counts_as_proof(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any process that carries the token and leads a session is the server."""

    def eldest(carriers: Collection[TokenCarrier], fits: object) -> ProcessIdentity | None:  # noqa: ARG001
        leaders = [carrier.identity for carrier in carriers if carrier.row.session == carrier.identity.pid]
        return leaders[-1] if leaders else None

    monkeypatch.setattr(recover, "launched_process", eldest)
    monkeypatch.setattr(rebuild, "launched_process", eldest)
    monkeypatch.setitem(ACTIONS, events.registry_lost, 3)
    bites("no signal to what is not stoppable", "every live server of ours is known", "one server for each key")


def test_a_shell_that_counts_as_a_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every `bash` counts as a launcher, also an interactive shell with an option like `-norc`."""
    monkeypatch.setattr(trees, "is_runner", lambda command: command[:1] == ("bash",))
    bites("no signal to what is not stoppable")


@pytest.mark.full
def test_a_home_that_ignores_the_adoption_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    """A found server is an orphan when the owner that this home knows has ended."""
    for module in ("ending.sampling", "ending.final_checks", "identification.snapshot"):
        monkeypatch.setattr(f"supervisor.engine.{module}.find_other_adoption_of_server", lambda context, record: None)  # noqa: ARG005
    monkeypatch.setattr("supervisor.engine.identification.recognise.find_other_adoption", lambda context, process: None)  # noqa: ARG005
    bites("no signal to what is not stoppable")


@pytest.mark.parametrize(
    "blind",
    [
        pytest.param(lambda sample: {"owners": ()}, id="for owners"),  # noqa: ARG005
        pytest.param(lambda sample: {"daemon_leases": 0}, id="for leases"),  # noqa: ARG005
        pytest.param(lambda sample: {"sessions": 0}, id="for sessions"),  # noqa: ARG005
    ],
)
def test_a_reaper_that_ignores_a_claim(blind: Callable[[Any], Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that is needed is reaped."""
    judge = reaping.judge
    monkeypatch.setattr(reap, "judge", lambda suspicion, sample: judge(suspicion, replace(sample, **blind(sample))))
    bites("what is in use is not reaped")


@pytest.mark.full
def test_a_clock_gap_that_goes_unnoticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A jump of the clock costs leases their time."""
    monkeypatch.setattr(Leases, "_renew_all", lambda self: None)  # noqa: ARG005
    monkeypatch.setitem(ACTIONS, events.clock_gap, 6)
    bites("what is in use is not reaped")


@pytest.mark.full
def test_a_starting_editor_that_counts_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """An editor that never attaches keeps its project's servers."""
    for module in ("core.processes.successors", "engine.ending.successors"):
        monkeypatch.setattr(f"supervisor.{module}.STARTING_S", 1e6)
    monkeypatch.setitem(ACTIONS, clients.reload_project, 20)
    bites("an orphan goes in time")


def test_a_reaper_that_forgets_its_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    """A suspicion is never looked at again."""
    set_timer = reap.Reaper._set_timer

    def forgetful(self: reap.Reaper, server_id: str, delay_s: float | None) -> None:
        set_timer(self, server_id, None if delay_s and delay_s > 4 else delay_s)

    monkeypatch.setattr(reap.Reaper, "_set_timer", forgetful)
    bites("an orphan goes in time")


def test_an_owner_that_is_not_watched_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A probe that was wrong once costs an orphan for ever."""
    monkeypatch.setattr(
        "supervisor.engine.monitor.Monitor.watch_owner",
        lambda self, editor_id: None,  # noqa: ARG005
    )
    bites("an orphan goes in time", rates={"probe denied": 0.2})


def test_a_second_server_beside_a_compatible_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that has waited is not compared again with the servers that run by then."""
    monkeypatch.setattr(Placement, "resolve_after_waiting", lambda self, resolved, request: resolved)  # noqa: ARG005
    monkeypatch.setattr(Placement, "_is_becoming", lambda self, resolved, record: False)  # noqa: ARG005
    monkeypatch.setattr(Placement, "_fits", lambda self, resolved: False)  # noqa: ARG005
    bites("one server for each key and version")


@pytest.mark.full
def test_ports_that_are_not_reserved(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two servers get the same ports."""
    monkeypatch.setattr(Records, "reserved_ports", lambda self, without=None: {})  # noqa: ARG005
    bites("no port twice")


def test_a_recovery_that_forgets_what_was_being_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """The child of a daemon that was killed between spawn and write is not looked for."""

    def nobody(self: recover.LivingLaunches, token: str, fits: object) -> ProcessIdentity | None:  # noqa: ARG001
        return None

    monkeypatch.setattr(recover.LivingLaunches, "find_launched", nobody)
    often = {"daemon killed in a call": 0.02}
    bites("every live server of ours is known", "one server for each key and version", rates=often)


def test_a_launch_that_is_not_written_down_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """The server record is written after the process has been started."""
    launch = Launches.launch

    async def careless(self: Launches, *given: Any) -> Any:
        commit, self._records.commit = self._records.commit, lambda: None  # type: ignore[method-assign]
        try:
            return await launch(self, *given)
        finally:
            self._records.commit = commit  # type: ignore[method-assign]

    monkeypatch.setattr(Launches, "launch", careless)
    # A lease that was granted in between is not written down either.
    bites("every live server of ours is known", "one server for each key and version", "what is in use is not reaped")


def test_an_operation_that_stays_in_the_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cancelled operation stays in the table of running operations."""
    end = Operations._has_ended

    def stuck(self: Operations, operation: RunningOperation, task: Any) -> None:
        if not task.cancelled():
            end(self, operation, task)

    monkeypatch.setattr(Operations, "_has_ended", stuck)
    bites("the server accepts requests again", "every operation ends", "every request ends")


def test_an_answer_that_never_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """An operation without a deadline whose waiters are not told of its end."""
    outcome = Operations.wait_for_outcome

    async def deaf(self: Operations, operation: RunningOperation, waiter: Any) -> Any:
        result = await outcome(self, operation, waiter)
        if operation.running.request.operation is Operation.STOP:
            await asyncio.Event().wait()
        return result

    monkeypatch.setattr(Operations, "wait_for_outcome", deaf)
    bites("every request ends")


def test_a_request_that_is_accepted_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client gets `accepted` twice for one request."""
    accept = AdmittedRequest.send_accepted

    def chatty(admitted: AdmittedRequest, *, joined: bool) -> None:
        before = admitted.accepted
        accept(admitted, joined=joined)
        admitted.accepted = before
        accept(admitted, joined=joined)

    monkeypatch.setattr(AdmittedRequest, "send_accepted", chatty)
    bites("exactly one answer", "no defect")


def test_a_start_that_breaks_and_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without a process is dropped when its operation breaks, in spite of its owners."""
    monkeypatch.setattr(Standing, "should_run", lambda self, record: False)  # noqa: ARG005
    bites("who has a server keeps it", WITHOUT_OWNER)


@pytest.mark.full
def test_a_next_daemon_that_finishes_a_stop_of_no_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """A restart that was interrupted after its stop is taken for a stop, and ends the server."""

    def finish(self: Monitor, record: ServerRecord) -> None:
        stop = partial(self.termination.stop, reason=StopReason.ORPHAN)
        self._start_operation(record.id, Operation.STOP, stop, "it had begun")

    monkeypatch.setattr(Monitor, "_judge_again", finish)
    bites("who has a server keeps it", WITHOUT_OWNER)


def test_a_daemon_that_does_not_look_whether_its_home_is_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """The daemon goes on beside the one that has taken its home."""
    monkeypatch.setattr(HomeOwnership, "check_may_act", lambda self: None)  # noqa: ARG005
    monkeypatch.setattr(HomeOwnership, "check_may_write", lambda self: None)  # noqa: ARG005
    monkeypatch.setitem(ACTIONS, events.home_taken, 6)
    bites("never two daemons that both act")


def test_a_presence_that_lets_a_second_daemon_in(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the lock removed, a second one starts."""
    monkeypatch.setattr(HomeOwnership, "_take_presence", lambda self, home_id: True)  # noqa: ARG005
    bites("never two daemons that both act")


def test_a_broken_environment_that_is_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """A failed start shows that the environment is broken, but no new one is built."""
    rebuild_if_broken = Provisioner.rebuild_if_broken

    async def idle(self: Provisioner, *given: Any) -> None:
        with contextlib.suppress(NothingIsBuiltError):
            await rebuild_if_broken(self, *given)

    class NothingIsBuiltError(Exception):
        pass

    async def rebuild(*_: Any, **__: Any) -> None:
        raise NothingIsBuiltError

    monkeypatch.setattr(FakeEnvironments, "rebuild", rebuild)
    monkeypatch.setattr(Provisioner, "rebuild_if_broken", idle)
    # The promise breaks inside a spawn, so the check of the step may see a process without a record first.
    bites("a broken environment is built anew", "every live server of ours is known")


def test_an_environment_that_is_built_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Damage to an environment is answered by one build after the other."""
    monkeypatch.setattr("supervisor.engine.starting.provision.REBUILT_AGAIN_AFTER_S", 0.0)
    bites("a broken environment is built anew once", rates={"environment breaks again": 0.8})


def test_a_daemon_that_polls_exits_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel reports exits again, and the daemon goes on polling."""
    offer = "supervisor.native.shared.exit_watch.PollingExitWatcher._offer_all"
    monkeypatch.setattr(offer, lambda self, take_over: None)  # noqa: ARG005 (in its place)
    bites("a source that is back is used again")
