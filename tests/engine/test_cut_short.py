"""Operations that break off in the middle: an owner keeps its server, whatever the reason."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.core.reaping import Reap
from supervisor.engine.processes.tree import ProcessTree, Target
from supervisor.engine.starting.adopt import AdoptRequest
from supervisor.errors import Cancelled, ShuttingDown, StartFailed, VersionConflict
from supervisor.kinds.queries.identify import Identification
from supervisor.native.api import ChildCommand
from tests.engine.harness import TOY, EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem, Fault

NO_DESCRIPTORS = OSError(24, "Too many open files")


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": {**TOY, "version": "1.0"}}
    return harness


@pytest.fixture
def answering(harness: EngineHarness) -> None:
    """Every server says that it is the toy, in version 1.0."""

    async def identify(*_: object) -> Identification:
        return Identification(matches=True, version="1.0")

    harness.queries = replace(harness.queries, identify=identify)


IDENTIFY = {"identify": {"http": "/s", "port": "http", "match": {"name": "toy"}, "version": "version"}}


def hangs(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    """Run as a server that never listens."""


def stubborn(harness: EngineHarness, record: ServerRecord) -> None:
    assert record.process is not None
    harness.system.processes[record.process.pid].ignores_sigterm = True


def foreign_server(harness: EngineHarness, owner: ProcessIdentity | str) -> ProcessIdentity:
    """Start a toy server as a plugin does."""
    pid = owner if isinstance(owner, str) else str(owner.pid)
    process = harness.system.start("toy", "8000", "9500", environment={"TOY_OWNER": pid})
    harness.system.listen(process, 8000)
    harness.system.listen(process, 9500)
    return process


async def until(happened: Callable[[], object]) -> None:
    """Let virtual time pass."""
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it did not happen")


async def first_signal(harness: EngineHarness) -> None:
    await until(lambda: harness.events.of("signal.sent"))


# --- what has begun to end another server cannot be taken back ---


def test_an_update_cancelled_after_its_first_signal_is_completed(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        stubborn(harness, await harness.up(owner))
        update = asyncio.ensure_future(harness.up(owner, version="2.0", request_id="q"))
        await first_signal(harness)
        harness.engine.requests.cancel("q")
        new = await update
        assert (new.version, harness.alive(new.process)) == ("2.0", True)

    harness.run(story)


def test_an_update_without_its_caller_is_still_rolled_back(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        old = await harness.up()
        harness.system.programs["toy"] = hangs
        update = asyncio.ensure_future(harness.up(version="2.0", requester=FakeRequester()))
        await until(lambda: not harness.alive(old.process))
        update.cancel()
        await asyncio.sleep(1)
        harness.system.programs["toy"] = serve
        await asyncio.sleep(60)
        record = harness.records.server("toy")
        assert (record.version, record.state, harness.alive(record.process)) == ("1.0", ServerState.READY, True)

    harness.run(story)


def test_an_update_whose_caller_has_ended_leaves_no_orphan(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        stubborn(harness, await harness.up(owner))
        update = asyncio.ensure_future(harness.up(owner, version="2.0"))
        await asyncio.sleep(3)
        harness.system.end(owner)
        new = await update
        await asyncio.sleep(60)
        assert not harness.alive(new.process)

    harness.run(story)


# --- a row that others want outlives a start that is broken off ---


def test_a_cancelled_start_leaves_the_server_to_its_earlier_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 1)
        assert old.process is not None
        harness.system.kill(old.process.pid)
        await until(lambda: harness.records.server("toy").state is ServerState.BACKOFF)
        harness.system.programs["toy"] = hangs
        start = asyncio.ensure_future(harness.up(requester=FakeRequester(), request_id="q"))
        await asyncio.sleep(0.1)
        harness.system.programs["toy"] = serve
        harness.engine.requests.cancel("q")
        with pytest.raises(Cancelled):
            await start
        await asyncio.sleep(60)
        assert harness.alive(harness.records.server("toy").process)

    harness.run(story)


def test_a_restart_cut_short_by_the_daemons_end_is_finished_later(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first() -> None:
        old = await harness.up(harness.editor())
        planner = harness.supervisor.ensuring.reuser._planner
        plan_start = planner.plan_start

        async def slow(*given: object, **named: object) -> object:
            await asyncio.sleep(30)
            return await plan_start(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(planner, "plan_start", slow)
        restart = asyncio.ensure_future(harness.supervisor.restart("toy"))
        await until(lambda: not harness.alive(old.process))
        await harness.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await restart

    harness.run(first)
    later = harness.restarted()
    later.tables = harness.tables

    async def second() -> None:
        await asyncio.sleep(1)
        assert later.alive(later.records.server("toy").process)

    later.run(second)


@pytest.mark.parametrize("what", ["the table after the first signal", "the ports before the start"])
def test_a_restart_that_breaks_leaves_a_server_to_its_owner(harness: EngineHarness, what: str) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        if what.startswith("the table"):
            stubborn(harness, old)
            restart = asyncio.ensure_future(harness.supervisor.restart("toy"))
            await first_signal(harness)
            harness.system.fails["table"] = Fault(NO_DESCRIPTORS)
        else:
            harness.system.fails["facts"] = Fault(NO_DESCRIPTORS, after=1)
            restart = asyncio.ensure_future(harness.supervisor.restart("toy"))
        with pytest.raises(OSError, match="Too many open files"):
            await restart
        await asyncio.sleep(60)
        assert harness.alive(harness.records.server("toy").process)

    harness.run(story)


def test_a_crash_that_is_followed_by_a_defect_is_still_made_good(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        assert old.process is not None
        harness.system.fails["facts"] = Fault(NO_DESCRIPTORS)
        harness.system.kill(old.process.pid)
        await asyncio.sleep(60)
        assert harness.alive(harness.records.server("toy").process)

    harness.run(story)


def test_a_start_that_breaks_each_time_is_given_up_and_says_so(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        assert old.process is not None
        harness.system.fails["facts"] = Fault(NO_DESCRIPTORS, times=1000)
        harness.system.kill(old.process.pid)
        await asyncio.sleep(600)
        assert harness.records.server("toy").state is ServerState.FAILED
        assert len(harness.events.of("operation.broke")) < 10

    harness.run(story)


# --- the daemon's own verdict is worth no more than its proof ---


@pytest.mark.usefixtures("answering")
def test_a_reap_of_a_found_server_that_breaks_is_judged_again(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}
    harness.discover = "watch"

    async def story() -> None:
        editor = harness.editor()
        process = foreign_server(harness, editor)
        harness.system.processes[process.pid].ignores_sigterm = True
        await asyncio.sleep(40)
        harness.system.end(editor)
        await first_signal(harness)
        harness.system.fails["table"] = Fault(NO_DESCRIPTORS)
        await asyncio.sleep(60)
        assert not harness.alive(process)
        assert len(harness.events.of("server.reaped")) == 2

    harness.run(story)


@pytest.mark.usefixtures("answering")
def test_a_found_server_that_could_not_be_ended_can_be_adopted(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}
    harness.discover = "watch"

    async def story() -> None:
        editor = harness.editor()
        process = foreign_server(harness, editor)
        await asyncio.sleep(40)
        harness.system.processes[process.pid].denied = True
        harness.system.end(editor)
        await asyncio.sleep(20)
        assert harness.records.server("toy").state is ServerState.FAILED
        harness.system.processes[process.pid].denied = False
        adopted = await harness.supervisor.adopt(AdoptRequest(pid=process.pid))
        assert (adopted.state, harness.alive(process)) == (ServerState.READY, True)

    harness.run(story)


@pytest.mark.usefixtures("answering")
def test_an_orphan_that_an_update_spares_stays_an_orphan(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tables = {"toy": {**TOY, "version": "2.0", **IDENTIFY}}

    async def story() -> None:
        process = foreign_server(harness, "99999")
        editor = harness.editor()
        tree_reader = harness.supervisor.ensuring.replacer._termination._stopper._tree_reader
        look, taken = tree_reader.read, []

        async def seen_in_use(target: Target, before: ProcessTree | None = None) -> ProcessTree:
            found = await look(target, before)
            if not taken:
                taken.append(harness.attachments.acquire_lease("toy", "an AI client", 30))
            return found

        monkeypatch.setattr(tree_reader, "read", seen_in_use)
        with pytest.raises(VersionConflict):
            await harness.up(editor, version="2.0")
        assert harness.alive(process)
        await asyncio.sleep(120)
        assert not harness.alive(process)

    harness.run(story)


@pytest.mark.usefixtures("answering")
def test_a_server_adopted_for_an_ended_owner_is_reaped(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}

    async def story() -> None:
        process = foreign_server(harness, "99999")
        editor = harness.editor()
        harness.system.meanwhile["facts"] = lambda: harness.system.end(editor)
        await harness.up(editor)
        await asyncio.sleep(60)
        assert not harness.alive(process)

    harness.run(story)


def test_a_users_stop_that_breaks_off_is_finished(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        stubborn(harness, old)
        stop = asyncio.ensure_future(harness.supervisor.stop("toy"))
        await first_signal(harness)
        harness.system.fails["table"] = Fault(NO_DESCRIPTORS)
        with pytest.raises(OSError, match="Too many open files"):
            await stop
        await asyncio.sleep(60)
        assert not harness.alive(old.process)
        assert harness.records.servers == {}

    harness.run(story)


def test_a_server_started_after_a_failed_restart_keeps_its_leases(harness: EngineHarness) -> None:
    async def story() -> None:
        old = await harness.up(harness.editor())
        assert old.process is not None
        harness.attachments.acquire_lease("toy", "an AI client", 600)
        harness.system.processes[old.process.pid].denied = True
        with pytest.raises(Exception, match="still alive"):
            await harness.supervisor.restart("toy")
        harness.system.processes[old.process.pid].denied = False
        new = await harness.up(harness.editor())
        assert [lease.holder for lease in new.leases] == ["an AI client"]
        assert not harness.alive(old.process)

    harness.run(story)


def test_a_first_start_that_fails_is_shown_and_not_repeated(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = hangs
        with pytest.raises(StartFailed):
            await harness.up(harness.editor())
        await asyncio.sleep(600)
        assert harness.records.server("toy").state is ServerState.FAILED
        assert len(harness.system.spawned) == 1
        assert not isinstance(harness.engine.inspector.reaper.last_verdict("toy"), Reap)

    harness.run(story)
