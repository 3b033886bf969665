"""Operations that break off in the middle, for whatever reason: whoever has a server keeps it."""

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
from supervisor.native.api import Command
from tests.engine.house import TOY, House, Teller, serve
from tests.fakes import FakeProcess, FakeSystem, Fault

NO_DESCRIPTORS = OSError(24, "Too many open files")


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": {**TOY, "version": "1.0"}}
    return house


@pytest.fixture
def answering(house: House) -> None:
    """Every server says that it is the toy, in version 1.0."""

    async def identify(*_: object) -> Identification:
        return Identification(matches=True, version="1.0")

    house.queries = replace(house.queries, identify=identify)


IDENTIFY = {"identify": {"http": "/s", "port": "http", "match": {"name": "toy"}, "version": "version"}}


def hangs(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    """A server that never listens."""


def stubborn(house: House, record: ServerRecord) -> None:
    assert record.process is not None
    house.system.processes[record.process.pid].ignores_sigterm = True


def foreign_server(house: House, owner: ProcessIdentity | str) -> ProcessIdentity:
    """A toy that a plugin has started."""
    pid = owner if isinstance(owner, str) else str(owner.pid)
    process = house.system.start("toy", "8000", "9500", environment={"TOY_OWNER": pid})
    house.system.listen(process, 8000)
    house.system.listen(process, 9500)
    return process


async def until(happened: Callable[[], object]) -> None:
    """Let virtual time pass."""
    for _ in range(1000):
        if happened():
            return
        await asyncio.sleep(0.1)
    pytest.fail("it did not happen")


async def first_signal(house: House) -> None:
    await until(lambda: house.ear.of("signal.sent"))


# --- what has begun to end another server cannot be taken back ---


def test_an_update_that_is_cancelled_after_the_old_one_was_asked_to_end_is_seen_through(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        stubborn(house, await house.up(owner))
        update = asyncio.ensure_future(house.up(owner, version="2.0", request_id="q"))
        await first_signal(house)
        house.supervisor.cancel("q")
        new = await update
        assert (new.version, house.alive(new.process)) == ("2.0", True)

    house.live(story)


def test_an_update_whose_asker_goes_while_the_new_one_starts_is_rolled_back_if_that_fails(house: House) -> None:
    async def story() -> None:
        old = await house.up()
        house.system.programs["toy"] = hangs
        update = asyncio.ensure_future(house.up(version="2.0", requester=Teller()))
        await until(lambda: not house.alive(old.process))
        update.cancel()
        await asyncio.sleep(1)
        house.system.programs["toy"] = serve
        await asyncio.sleep(60)
        record = house.records.server("toy")
        assert (record.version, record.state, house.alive(record.process)) == ("1.0", ServerState.READY, True)

    house.live(story)


def test_an_update_whose_asker_ends_meanwhile_leaves_no_server_for_ever(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        stubborn(house, await house.up(owner))
        update = asyncio.ensure_future(house.up(owner, version="2.0"))
        await asyncio.sleep(3)
        house.system.end(owner)
        new = await update
        await asyncio.sleep(60)
        assert not house.alive(new.process)

    house.live(story)


# --- a row that others want outlives what somebody began with it ---


def test_a_start_that_is_given_up_leaves_the_server_to_the_owner_that_had_it(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 1)
        assert old.process is not None
        house.system.kill(old.process.pid)
        await until(lambda: house.records.server("toy").state is ServerState.BACKOFF)
        house.system.programs["toy"] = hangs
        start = asyncio.ensure_future(house.up(requester=Teller(), request_id="q"))
        await asyncio.sleep(0.1)
        house.system.programs["toy"] = serve
        house.supervisor.cancel("q")
        with pytest.raises(Cancelled):
            await start
        await asyncio.sleep(60)
        assert house.alive(house.records.server("toy").process)

    house.live(story)


def test_a_restart_that_the_daemons_own_end_cuts_short_is_finished_by_the_next(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def first() -> None:
        old = await house.up(house.editor())
        planner = house.supervisor._ensurer._planner
        without = planner.without

        async def slow(*given: object, **named: object) -> object:
            await asyncio.sleep(30)
            return await without(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(planner, "without", slow)
        restart = asyncio.ensure_future(house.supervisor.restart("toy"))
        await until(lambda: not house.alive(old.process))
        await house.supervisor.close(servers=False)
        with pytest.raises(ShuttingDown):
            await restart

    house.live(first)
    later = house.restarted()
    later.tables = house.tables

    async def second() -> None:
        await asyncio.sleep(1)
        assert later.alive(later.records.server("toy").process)

    later.live(second)


@pytest.mark.parametrize("what", ["the table after the first signal", "the ports before the start"])
def test_a_restart_that_breaks_leaves_a_server_to_its_owner(house: House, what: str) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        if what.startswith("the table"):
            stubborn(house, old)
            restart = asyncio.ensure_future(house.supervisor.restart("toy"))
            await first_signal(house)
            house.system.fails["table"] = Fault(NO_DESCRIPTORS)
        else:
            house.system.fails["facts"] = Fault(NO_DESCRIPTORS, after=1)
            restart = asyncio.ensure_future(house.supervisor.restart("toy"))
        with pytest.raises(OSError, match="Too many open files"):
            await restart
        await asyncio.sleep(60)
        assert house.alive(house.records.server("toy").process)

    house.live(story)


def test_a_crash_that_is_followed_by_a_defect_is_still_made_good(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        assert old.process is not None
        house.system.fails["facts"] = Fault(NO_DESCRIPTORS)
        house.system.kill(old.process.pid)
        await asyncio.sleep(60)
        assert house.alive(house.records.server("toy").process)

    house.live(story)


def test_a_start_that_breaks_each_time_is_given_up_and_says_so(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        assert old.process is not None
        house.system.fails["facts"] = Fault(NO_DESCRIPTORS, times=1000)
        house.system.kill(old.process.pid)
        await asyncio.sleep(600)
        assert house.records.server("toy").state is ServerState.FAILED
        assert len(house.ear.of("operation.broke")) < 10

    house.live(story)


# --- the daemon's own verdict is worth no more than its proof ---


@pytest.mark.usefixtures("answering")
def test_a_reap_of_a_found_server_that_breaks_is_judged_again(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}
    house.discover = "watch"

    async def story() -> None:
        editor = house.editor()
        process = foreign_server(house, editor)
        house.system.processes[process.pid].ignores_sigterm = True
        await asyncio.sleep(40)
        house.system.end(editor)
        await first_signal(house)
        house.system.fails["table"] = Fault(NO_DESCRIPTORS)
        await asyncio.sleep(60)
        assert not house.alive(process)
        assert len(house.ear.of("server.reaped")) == 2

    house.live(story)


@pytest.mark.usefixtures("answering")
def test_a_found_server_that_could_not_be_ended_can_be_adopted(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}
    house.discover = "watch"

    async def story() -> None:
        editor = house.editor()
        process = foreign_server(house, editor)
        await asyncio.sleep(40)
        house.system.processes[process.pid].denied = True
        house.system.end(editor)
        await asyncio.sleep(20)
        assert house.records.server("toy").state is ServerState.FAILED
        house.system.processes[process.pid].denied = False
        adopted = await house.supervisor.adopt(AdoptRequest(pid=process.pid))
        assert (adopted.state, house.alive(process)) == (ServerState.READY, True)

    house.live(story)


@pytest.mark.usefixtures("answering")
def test_an_orphan_that_is_spared_at_the_last_moment_of_an_update_stays_an_orphan(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.tables = {"toy": {**TOY, "version": "2.0", **IDENTIFY}}

    async def story() -> None:
        process = foreign_server(house, "99999")
        asker = house.editor()
        tree_reader = house.supervisor._fulfiller._replacer._termination._stopper._tree_reader
        look, taken = tree_reader.look, []

        async def seen_in_use(target: Target, before: ProcessTree | None = None) -> ProcessTree:
            found = await look(target, before)
            if not taken:
                taken.append(house.claims.acquire("toy", "an AI client", 30))
            return found

        monkeypatch.setattr(tree_reader, "look", seen_in_use)
        with pytest.raises(VersionConflict):
            await house.up(asker, version="2.0")
        assert house.alive(process)
        await asyncio.sleep(120)
        assert not house.alive(process)

    house.live(story)


@pytest.mark.usefixtures("answering")
def test_a_server_that_was_adopted_for_somebody_who_has_ended_is_reaped(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0", **IDENTIFY}}

    async def story() -> None:
        process = foreign_server(house, "99999")
        asker = house.editor()
        house.system.meanwhile["facts"] = lambda: house.system.end(asker)
        await house.up(asker)
        await asyncio.sleep(60)
        assert not house.alive(process)

    house.live(story)


def test_a_stop_that_was_named_and_breaks_is_finished(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        stubborn(house, old)
        stop = asyncio.ensure_future(house.supervisor.stop("toy"))
        await first_signal(house)
        house.system.fails["table"] = Fault(NO_DESCRIPTORS)
        with pytest.raises(OSError, match="Too many open files"):
            await stop
        await asyncio.sleep(60)
        assert not house.alive(old.process)
        assert house.records.servers == {}

    house.live(story)


def test_a_row_that_took_another_launch_to_its_end_keeps_its_leases(house: House) -> None:
    async def story() -> None:
        old = await house.up(house.editor())
        assert old.process is not None
        house.claims.acquire("toy", "an AI client", 600)
        house.system.processes[old.process.pid].denied = True
        with pytest.raises(Exception, match="still alive"):
            await house.supervisor.restart("toy")
        house.system.processes[old.process.pid].denied = False
        new = await house.up(house.editor())
        assert [lease.holder for lease in new.leases] == ["an AI client"]
        assert not house.alive(old.process)

    house.live(story)


def test_a_first_start_that_fails_is_shown_and_not_repeated(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = hangs
        with pytest.raises(StartFailed):
            await house.up(house.editor())
        await asyncio.sleep(600)
        assert house.records.server("toy").state is ServerState.FAILED
        assert len(house.system.spawned) == 1
        assert not isinstance(house.supervisor.reaper.verdict("toy"), Reap)

    house.live(story)
