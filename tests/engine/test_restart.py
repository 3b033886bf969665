import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.errors import Busy, KindUnknown, NotFound, StartFailed, StopFailed
from supervisor.native.api import Command
from tests.engine.house import TOY, House, Teller, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def toys(system: FakeSystem) -> list[ProcessIdentity]:
    """The living servers, whichever daemon started them."""
    return [process.identity for process in system.processes.values() if process.command[:1] == ("toy",)]


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def failing(system: FakeSystem, process: FakeProcess, _: Command) -> None:
    system.end(process.identity, 3)


def owners(record: ServerRecord) -> list[ProcessIdentity]:
    return [owner.process for owner in record.owners]


# --- asked for --------------------------------------------------------------------------------------------------------


def test_a_restart_is_another_process_on_the_same_ports_with_the_same_owners(house: House) -> None:
    async def story() -> None:
        first, second = house.editor(), house.editor()
        await house.up(first)
        before = await house.up(second)
        _, lease = house.claims.acquire("toy", "an AI client", 600)
        teller = Teller()
        after = await house.supervisor.restart("toy", teller)
        assert (after.state, after.restarts) == (ServerState.READY, 1)
        assert not house.alive(before.process)
        assert house.alive(after.process)
        assert toys(house.system) == [after.process]
        assert (after.ports, after.url, after.version) == (before.ports, before.url, before.version)
        assert (owners(after), after.leases) == ([first, second], (lease,))
        assert after.launch != before.launch
        assert teller.told[:1] == ["accepted"]
        assert ("stopping" in teller.told, "starting" in teller.told) == (True, True)

    house.live(story)


def test_a_restart_keeps_ports_that_a_user_chose_outside_the_ranges(house: House) -> None:
    async def story() -> None:
        chosen = {"http": 8100, "sessions": 9600}
        await house.up(ports=chosen)
        assert (await house.supervisor.restart("toy")).ports == chosen

    house.live(story)


def test_a_restart_goes_elsewhere_when_a_stranger_takes_a_port_meanwhile(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        await asyncio.sleep(1)
        house.system.listen(house.system.start("stranger"), record.ports["http"])
        after = await restart
        assert after.ports == {"http": 8001, "sessions": 9501}
        assert after.relocated[0].port == record.ports["http"]

    house.live(story)


def test_a_failed_server_is_started_by_a_restart(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        house.system.programs["toy"] = failing
        with pytest.raises(StartFailed):
            await house.up(owner)
        house.system.programs["toy"] = serve
        after = await house.supervisor.restart("toy")
        assert (after.state, after.failure, owners(after)) == (ServerState.READY, None, [owner])

    house.live(story)


def test_a_server_that_waits_to_be_started_again_is_started_at_once_and_only_once(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        house.system.programs["toy"] = failing
        assert record.process is not None
        house.system.end(record.process, 3)
        await asyncio.sleep(2)
        assert house.records.server("toy").state is ServerState.BACKOFF
        house.system.programs["toy"] = serve
        began = house.system.clock.now
        after = await house.supervisor.restart("toy")
        assert house.system.clock.now - began < 0.5
        assert after.state is ServerState.READY
        await asyncio.sleep(3600)
        assert toys(house.system) == [after.process]
        assert house.records.server("toy").restarts == after.restarts

    house.live(story)


def test_a_restart_forgives_earlier_ends(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        for _ in range(4):
            assert record.process is not None
            house.system.end(record.process, 3)
            await asyncio.sleep(30)
            record = house.records.server("toy")
            assert record.state is ServerState.READY
        record = await house.supervisor.restart("toy")
        assert record.process is not None
        house.system.end(record.process, 3)
        await asyncio.sleep(1)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_a_restart_that_does_not_become_ready_says_why_and_keeps_the_owners(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.programs["toy"] = failing
        with pytest.raises(StartFailed):
            await house.supervisor.restart("toy")
        record = house.records.server("toy")
        assert (record.state, owners(record)) == (ServerState.FAILED, [owner])
        assert record.failure is not None
        assert (record.failure.code, record.failure.exit) == ("START_FAILED", 3)
        assert toys(house.system) == []

    house.live(story)


def test_a_server_that_cannot_be_stopped_is_not_started_beside_itself(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.system.processes[record.process.pid].denied = True
        with pytest.raises(StopFailed):
            await house.supervisor.restart("toy")
        assert toys(house.system) == [record.process]

    house.live(story)


def test_what_else_is_asked_for_during_a_restart(house: House) -> None:
    async def story() -> None:
        first, second = house.editor(), house.editor()
        await house.up(first)
        house.system.programs["toy"] = slow
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        await asyncio.sleep(1)
        with pytest.raises(Busy) as caught:
            await house.supervisor.stop("toy")
        assert caught.value.data["running"]["method"] == "server.restart"
        again = asyncio.create_task(house.supervisor.restart("toy"))
        ensured = asyncio.create_task(house.up(second))
        one, two, three = await asyncio.gather(restart, again, ensured)
        assert one == two
        assert (one.launch, one.process) == (three.launch, three.process)
        assert owners(three) == [first, second]
        assert one.restarts == 1

    house.live(story)


def test_a_restart_goes_on_when_whoever_asked_has_gone(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        house.system.programs["toy"] = slow
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        await asyncio.sleep(1)
        restart.cancel()
        await asyncio.sleep(10)
        assert not house.alive(before.process)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_an_owner_that_dies_during_a_restart_leaves_a_server_that_is_reaped(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.programs["toy"] = slow
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        await asyncio.sleep(1)
        house.system.end(owner)
        await restart
        await asyncio.sleep(6)
        assert toys(house.system) == []

    house.live(story)


def test_what_nobody_knows_cannot_be_restarted(house: House) -> None:
    async def story() -> None:
        with pytest.raises(NotFound):
            await house.supervisor.restart("toy")

    house.live(story)


def test_a_server_whose_kind_was_taken_out_goes_on_as_it_is(house: House) -> None:
    async def first() -> None:
        await house.up(house.editor(), kind="toy")

    house.live(first)
    later = house.restarted()
    later.tables = {}

    async def second() -> None:
        with pytest.raises(KindUnknown):
            await later.supervisor.restart("toy")
        assert len(toys(later.system)) == 1
        assert later.records.server("toy").state is ServerState.READY

    later.live(second)


def test_a_server_whose_kind_was_taken_out_is_given_up_when_it_ends(house: House) -> None:
    async def first() -> None:
        await house.up(house.editor(), kind="toy")

    house.live(first)
    later = house.restarted()
    later.tables = {}

    async def second() -> None:
        (process,) = toys(later.system)
        later.system.end(process, 1)
        await asyncio.sleep(60)
        assert later.records.server("toy").state is ServerState.FAILED
        assert "configuration" in later.ear.of("server.given_up")[0]["reason"]
        assert later.ear.of("operation.broke") == []

    later.live(second)


# --- the daemon is killed meanwhile -----------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, 1.0, 10.5, 12.0, 20.0])
def test_a_daemon_that_is_killed_during_a_restart_leaves_it_to_the_next(house: House, moment: float) -> None:
    owner = house.editor()

    async def first() -> None:
        record = await house.up(owner)
        assert record.process is not None
        house.system.processes[record.process.pid].ignores_sigterm = True
        house.system.programs["toy"] = slow
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        await asyncio.sleep(moment)
        assert restart.done() == (moment == 20.0)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        for process in toys(later.system):
            # What the first daemon's loop would have done for it.
            if not [row for row in later.system.listeners if row[2] == process]:
                later.system.listen(process, 8000)
                later.system.listen(process, 9500)
        await asyncio.sleep(60)
        record = later.records.server("toy")
        assert record.state is ServerState.READY
        assert toys(later.system) == [record.process]
        assert record.ports == {"http": 8000, "sessions": 9500}
        assert owners(record) == [owner]

    later.live(second)


# --- by itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime_s", [0.0, 15.0])
def test_a_server_that_ends_again_and_again_is_given_up_after_five_with_its_last_words(
    house: House, lifetime_s: float
) -> None:
    house.tables = {"toy": TOY}

    def crashing(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        command.log.parent.mkdir(parents=True, exist_ok=True)
        command.log.write_text("first\nlast words\n")
        asyncio.get_running_loop().call_later(lifetime_s + 0.2, system.end, process.identity, 7)

    async def story() -> None:
        owner = house.editor()
        house.system.programs["toy"] = crashing
        await house.up(owner)
        await asyncio.sleep(5 * (lifetime_s + 2))
        record = house.records.server("toy")
        assert record.failure is not None
        assert record.failure.exit == 7
        assert record.failure.log_tail == ("first", "last words")
        assert (record.restarts, owners(record)) == (4, [owner])
        assert len(house.ear.of("server.exited")) == 5
        pauses = [row["pause_s"] for row in house.ear.of("server.backs_off")]
        for pause, least in zip(pauses, (0.5, 1.0, 2.0), strict=True):
            assert least <= pause <= 1.2 * least
        (given_up,) = house.ear.of("server.given_up")
        assert "5 times" in given_up["reason"]
        await asyncio.sleep(3600)
        assert house.records.server("toy") == record
        assert toys(house.system) == []

    house.live(story)


def test_a_grandchild_that_keeps_the_listener_is_swept_before_the_restart(house: House) -> None:
    def launching(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        child = system.fork(process.identity, "listener")
        system.processes[child.pid].ignores_sigterm = True
        serve(system, system.processes[child.pid], command)

    async def story() -> None:
        house.system.programs["toy"] = launching
        before = await house.up(house.editor())
        assert before.root is not None
        assert before.process is not None
        assert before.root != before.process
        # Its parent has gone, the child holds the ports on.
        other = house.system.fork(before.process, "holder")
        house.system.listeners = [(address, port, other) for address, port, _ in house.system.listeners]
        house.system.end(before.process, -9)
        await asyncio.sleep(10)
        after = house.records.server("toy")
        assert (after.state, after.ports, after.restarts) == (ServerState.READY, before.ports, 1)
        assert not house.alive(other)
        names = [row["event"] for row in house.ear.heard]
        killed = [row for row in house.ear.of("signal.sent") if row["pid"] == other.pid]
        assert [row["signal"] for row in killed] == ["ask"]
        planned = [at for at, name in enumerate(names) if name == "server.planned"]
        assert house.ear.heard.index(killed[0]) < planned[1]

    house.live(story)
