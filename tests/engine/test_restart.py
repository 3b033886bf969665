import asyncio

import pytest

from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.errors import Busy, KindUnknown, NotFound, StartFailed, StopFailed
from supervisor.native.api import ChildCommand
from tests.engine.harness import TOY, EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem


def toys(system: FakeSystem) -> list[ProcessIdentity]:
    """Return the living servers of all daemons."""
    return [process.identity for process in system.processes.values() if process.command[:1] == ("toy",)]


def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def failing(system: FakeSystem, process: FakeProcess, _: ChildCommand) -> None:
    system.end(process.identity, 3)


def owners(record: ServerRecord) -> list[ProcessIdentity]:
    return [owner.process for owner in record.owners]


# --- asked for --------------------------------------------------------------------------------------------------------


def test_restart_keeps_the_ports_and_the_owners(harness: EngineHarness) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        await harness.up(first)
        before = await harness.up(second)
        _, lease = harness.attachments.acquire_lease("toy", "an AI client", 600)
        requester = FakeRequester()
        after = await harness.supervisor.restart("toy", requester)
        assert (after.state, after.restarts) == (ServerState.READY, 1)
        assert not harness.alive(before.process)
        assert harness.alive(after.process)
        assert toys(harness.system) == [after.process]
        assert (after.ports, after.url, after.version) == (before.ports, before.url, before.version)
        assert (owners(after), after.leases) == ([first, second], (lease,))
        assert after.launch != before.launch
        assert requester.told[:1] == ["accepted"]
        assert ("stopping" in requester.told, "starting" in requester.told) == (True, True)

    harness.run(story)


def test_restart_keeps_ports_that_a_user_chose(harness: EngineHarness) -> None:
    async def story() -> None:
        chosen = {"http": 8100, "sessions": 9600}
        await harness.up(ports=chosen)
        assert (await harness.supervisor.restart("toy")).ports == chosen

    harness.run(story)


def test_restart_takes_other_ports_if_a_process_takes_one(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        restart = asyncio.create_task(harness.supervisor.restart("toy"))
        await asyncio.sleep(1)
        harness.system.listen(harness.system.start("bystander"), record.ports["http"])
        after = await restart
        assert after.ports == {"http": 8001, "sessions": 9501}
        assert after.relocated[0].port == record.ports["http"]

    harness.run(story)


def test_restart_starts_a_failed_server(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        harness.system.programs["toy"] = failing
        with pytest.raises(StartFailed):
            await harness.up(owner)
        harness.system.programs["toy"] = serve
        after = await harness.supervisor.restart("toy")
        assert (after.state, after.failure, owners(after)) == (ServerState.READY, None, [owner])

    harness.run(story)


def test_restart_of_a_server_in_back_off_starts_it_once(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        harness.system.programs["toy"] = failing
        assert record.process is not None
        harness.system.end(record.process, 3)
        await asyncio.sleep(2)
        assert harness.records.server("toy").state is ServerState.BACKOFF
        harness.system.programs["toy"] = serve
        began = harness.system.clock.now
        after = await harness.supervisor.restart("toy")
        assert harness.system.clock.now - began < 0.5
        assert after.state is ServerState.READY
        await asyncio.sleep(3600)
        assert toys(harness.system) == [after.process]
        assert harness.records.server("toy").restarts == after.restarts

    harness.run(story)


def test_restart_resets_the_count_of_exits(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        for _ in range(4):
            assert record.process is not None
            harness.system.end(record.process, 3)
            await asyncio.sleep(30)
            record = harness.records.server("toy")
            assert record.state is ServerState.READY
        record = await harness.supervisor.restart("toy")
        assert record.process is not None
        harness.system.end(record.process, 3)
        await asyncio.sleep(1)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_failed_restart_says_why_and_keeps_the_owners(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.programs["toy"] = failing
        with pytest.raises(StartFailed):
            await harness.supervisor.restart("toy")
        record = harness.records.server("toy")
        assert (record.state, owners(record)) == (ServerState.FAILED, [owner])
        assert record.failure is not None
        assert (record.failure.code, record.failure.exit) == ("START_FAILED", 3)
        assert toys(harness.system) == []

    harness.run(story)


def test_server_that_cannot_be_stopped_is_not_started_twice(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.system.processes[record.process.pid].denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.restart("toy")
        assert toys(harness.system) == [record.process]

    harness.run(story)


def test_requests_during_a_restart(harness: EngineHarness) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        await harness.up(first)
        harness.system.programs["toy"] = slow
        restart = asyncio.create_task(harness.supervisor.restart("toy"))
        await asyncio.sleep(1)
        with pytest.raises(Busy) as caught:
            await harness.supervisor.stop("toy")
        assert caught.value.data["running"]["method"] == "server.restart"
        again = asyncio.create_task(harness.supervisor.restart("toy"))
        ensured = asyncio.create_task(harness.up(second))
        one, two, three = await asyncio.gather(restart, again, ensured)
        assert one == two
        assert (one.launch, one.process) == (three.launch, three.process)
        assert owners(three) == [first, second]
        assert one.restarts == 1

    harness.run(story)


def test_restart_continues_when_its_client_has_gone(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        harness.system.programs["toy"] = slow
        restart = asyncio.create_task(harness.supervisor.restart("toy"))
        await asyncio.sleep(1)
        restart.cancel()
        await asyncio.sleep(10)
        assert not harness.alive(before.process)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_owner_that_dies_during_a_restart_leaves_an_orphan(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.programs["toy"] = slow
        restart = asyncio.create_task(harness.supervisor.restart("toy"))
        await asyncio.sleep(1)
        harness.system.end(owner)
        await restart
        await asyncio.sleep(6)
        assert toys(harness.system) == []

    harness.run(story)


def test_unknown_server_cannot_be_restarted(harness: EngineHarness) -> None:
    async def story() -> None:
        with pytest.raises(NotFound):
            await harness.supervisor.restart("toy")

    harness.run(story)


def test_server_of_a_removed_kind_is_not_restarted_on_request(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up(harness.editor(), kind="toy")

    harness.run(first)
    later = harness.restarted()
    later.tables = {}

    async def second() -> None:
        with pytest.raises(KindUnknown):
            await later.supervisor.restart("toy")
        assert len(toys(later.system)) == 1
        assert later.records.server("toy").state is ServerState.READY

    later.run(second)


def test_server_of_a_removed_kind_is_given_up_after_an_exit(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up(harness.editor(), kind="toy")

    harness.run(first)
    later = harness.restarted()
    later.tables = {}

    async def second() -> None:
        (process,) = toys(later.system)
        later.system.end(process, 1)
        await asyncio.sleep(60)
        assert later.records.server("toy").state is ServerState.FAILED
        assert "configuration" in later.events.of("server.given_up")[0]["reason"]
        assert later.events.of("operation.broke") == []

    later.run(second)


# --- the daemon is killed ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("moment", [0.0, 1.0, 10.5, 12.0, 20.0])
def test_next_daemon_completes_an_interrupted_restart(harness: EngineHarness, moment: float) -> None:
    owner = harness.editor()

    async def first() -> None:
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.processes[record.process.pid].ignores_sigterm = True
        harness.system.programs["toy"] = slow
        restart = asyncio.create_task(harness.supervisor.restart("toy"))
        await asyncio.sleep(moment)
        assert restart.done() == (moment == 20.0)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        for process in toys(later.system):
            # The loop of the first daemon would have done this.
            if not [row for row in later.system.listeners if row[2] == process]:
                later.system.listen(process, 8000)
                later.system.listen(process, 9500)
        await asyncio.sleep(60)
        record = later.records.server("toy")
        assert record.state is ServerState.READY
        assert toys(later.system) == [record.process]
        assert record.ports == {"http": 8000, "sessions": 9500}
        assert owners(record) == [owner]

    later.run(second)


# --- by itself --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lifetime_s", [0.0, 15.0])
def test_server_is_given_up_after_five_exits_with_its_log_tail(harness: EngineHarness, lifetime_s: float) -> None:
    harness.tables = {"toy": TOY}

    def crashing(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        serve(system, process, command)
        command.log.parent.mkdir(parents=True, exist_ok=True)
        command.log.write_text("first\nlast words\n")
        asyncio.get_running_loop().call_later(lifetime_s + 0.2, system.end, process.identity, 7)

    async def story() -> None:
        owner = harness.editor()
        harness.system.programs["toy"] = crashing
        await harness.up(owner)
        await asyncio.sleep(5 * (lifetime_s + 2))
        record = harness.records.server("toy")
        assert record.failure is not None
        assert record.failure.exit == 7
        assert record.failure.log_tail == ("first", "last words")
        assert (record.restarts, owners(record)) == (4, [owner])
        assert len(harness.events.of("server.exited")) == 5
        pauses = [row["pause_s"] for row in harness.events.of("server.backs_off")]
        for pause, least in zip(pauses, (0.5, 1.0, 2.0), strict=True):
            assert least <= pause <= 1.2 * least
        (given_up,) = harness.events.of("server.given_up")
        assert "5 times" in given_up["reason"]
        await asyncio.sleep(3600)
        assert harness.records.server("toy") == record
        assert toys(harness.system) == []

    harness.run(story)


def test_grandchild_that_holds_the_port_is_stopped_before_a_restart(harness: EngineHarness) -> None:
    def launching(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        child = system.fork(process.identity, "listener")
        system.processes[child.pid].ignores_sigterm = True
        serve(system, system.processes[child.pid], command)

    async def story() -> None:
        harness.system.programs["toy"] = launching
        before = await harness.up(harness.editor())
        assert before.root is not None
        assert before.process is not None
        assert before.root != before.process
        # The parent has ended, and the child still holds the ports.
        other = harness.system.fork(before.process, "holder")
        harness.system.listeners = [(address, port, other) for address, port, _ in harness.system.listeners]
        harness.system.end(before.process, -9)
        await asyncio.sleep(10)
        after = harness.records.server("toy")
        assert (after.state, after.ports, after.restarts) == (ServerState.READY, before.ports, 1)
        assert not harness.alive(other)
        names = [row["event"] for row in harness.events.recorded]
        killed = [row for row in harness.events.of("signal.sent") if row["pid"] == other.pid]
        assert [row["signal"] for row in killed] == ["ask"]
        planned = [at for at, name in enumerate(names) if name == "server.planned"]
        assert harness.events.recorded.index(killed[0]) < planned[1]

    harness.run(story)
