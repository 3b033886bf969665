import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.engine.holders.editors import Arrival
from supervisor.engine.state.context import TOKEN_VARIABLE
from supervisor.errors import (
    Busy,
    Cancelled,
    EditorGone,
    InvalidParams,
    NotFound,
    PortsExhausted,
    StartFailed,
    StateNotWritable,
    StopFailed,
)
from supervisor.kinds.queries.identify import Identification
from supervisor.native.api import Command
from tests.engine.harness import TOY, EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def test_a_server_is_ready_on_its_best_ports_and_knows_its_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.state is ServerState.READY
        assert record.ports == {"http": 8000, "sessions": 9500}
        process = harness.system.process(record.process or owner)
        assert process is not None
        assert process.environment["TOY_OWNER"] == str(owner.pid)
        assert process.environment["GODOT_SUPERVISOR_SERVER_ID"] == f"home.toy.{record.launch}"

    harness.run(story)


def test_an_orphan_is_reaped_after_two_samples_one_grace_apart(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        died = harness.system.clock.now
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        (reaped,) = harness.events.of("server.reaped")
        assert died <= reaped["first_sample"] < died + 1
        assert 5 <= reaped["second_sample"] - reaped["first_sample"] < 6
        assert harness.records.servers == {}
        assert harness.records.editors == {}

    harness.run(story)


def test_a_zombie_owner_is_a_dead_one(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner, zombie=True)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_recycled_owner_is_a_dead_one_and_the_stranger_lives(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        foreign_server = harness.system.recycle(owner.pid)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        assert harness.alive(foreign_server)

    harness.run(story)


def test_an_open_session_keeps_it_and_its_end_is_followed_by_one_grace(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.connections[9500] = 1
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.alive(record.process)
        harness.system.connections[9500] = 0
        closed = harness.system.clock.now
        await asyncio.sleep(20)
        assert not harness.alive(record.process)
        (reaped,) = harness.events.of("server.reaped")
        assert closed <= reaped["first_sample"] <= closed + 1.1

    harness.run(story)


def test_one_of_two_owners_is_enough(harness: EngineHarness) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        record = await harness.up(first)
        await harness.up(second)
        harness.system.end(first)
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        harness.system.end(second)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_owner_that_attaches_within_the_grace_saves_it(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(4)
        await harness.up(harness.editor())
        await asyncio.sleep(300)
        assert harness.alive(record.process)

    harness.run(story)


def test_a_detached_editor_lingers_before_its_server_goes(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner, project=str(tmp_path))
        editor = next(iter(harness.records.editors))
        harness.claims.detach(editor, stop=False)
        await asyncio.sleep(19)
        assert harness.alive(record.process)
        await asyncio.sleep(3)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_editor_of_the_same_project_inherits_what_was_left(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        before, after = harness.editor(), harness.editor()
        record = await harness.up(before, project=str(tmp_path))
        harness.claims.detach(next(iter(harness.records.editors)), stop=False)
        heir = harness.claims.attach(Arrival(after.pid, project=str(tmp_path)))
        harness.system.end(before)
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        assert [owner.editor for owner in harness.records.server("toy").owners] == [heir.id]

    harness.run(story)


def test_detach_with_stop_does_not_linger(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        harness.claims.detach(next(iter(harness.records.editors)), stop=True)
        await asyncio.sleep(6)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_server_without_owner_is_not_reaped(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        await asyncio.sleep(3600)
        assert harness.alive(record.process)

    harness.run(story)


def test_a_probe_that_cannot_tell_keeps_the_server(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        other = harness.editor()
        record = await harness.up(owner)
        await harness.up(other)
        harness.system.processes[owner.pid].unreadable = True
        harness.system.end(other)
        await asyncio.sleep(300)
        assert harness.alive(record.process)

    harness.run(story)


def test_equal_wishes_share_one_flight(harness: EngineHarness) -> None:
    async def story() -> None:
        requesters = [FakeRequester() for _ in range(20)]
        owners = [harness.editor() for _ in requesters]
        wishes = [harness.up(owner, requester=requester) for owner, requester in zip(owners, requesters, strict=True)]
        records = await asyncio.gather(*wishes)
        assert len({record.process for record in records}) == 1
        assert [requester.joined for requester in requesters] == [False] + [True] * 19
        assert all(requester.told[0] == "accepted" for requester in requesters)
        assert {owner.process for owner in harness.records.server("toy").owners} == set(owners)

    harness.run(story)


def test_a_stop_during_a_start_is_busy_and_says_with_what(harness: EngineHarness) -> None:
    def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        asyncio.get_running_loop().call_later(5, serve, system, process, command)

    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(2)
        requester = FakeRequester()
        with pytest.raises(Busy) as caught:
            await harness.supervisor.stop("toy", requester=requester)
        assert caught.value.data["running"]["method"] == "server.ensure"
        assert caught.value.data["running"]["elapsed_ms"] == pytest.approx(2000, abs=50)
        assert caught.value.retry_after_ms
        assert requester.told == []
        assert (await start).state is ServerState.READY

    harness.run(story)


def test_an_ensure_during_a_stop_waits_and_starts_again(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.system.processes[first.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(harness.supervisor.stop("toy"))
        await asyncio.sleep(1)
        second = await harness.up(harness.editor())
        assert (await stop).state is ServerState.STOPPED
        assert second.process != first.process
        assert second.state is ServerState.READY

    harness.run(story)


def test_a_stop_that_is_ignored_becomes_a_kill_of_the_whole_tree(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        child = harness.system.fork(record.process, "child")
        escaped = harness.system.fork(child, "escaped", session=4711)
        for identity in (record.process, child, escaped):
            harness.system.processes[identity.pid].ignores_sigterm = True
        began = harness.system.clock.now
        await harness.supervisor.stop("toy")
        # The server has its time, and then what it ran has as much.
        assert 20 <= harness.system.clock.now - began < 22
        assert [harness.alive(identity) for identity in (record.process, child, escaped)] == [False, False, True]

    harness.run(story)


def test_an_editor_below_the_server_is_never_signalled(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        assert record.process is not None
        editor = harness.system.fork(record.process, "godot")
        game = harness.system.fork(editor, "game")
        harness.claims.attach(Arrival(editor.pid))
        await harness.supervisor.stop("toy")
        assert not harness.alive(record.process)
        assert harness.alive(editor)
        assert harness.alive(game)

    harness.run(story)


def test_a_failed_start_leaves_nothing_and_says_why(harness: EngineHarness) -> None:
    def give_up(system: FakeSystem, process: FakeProcess, _: Command) -> None:
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 3)

    async def story() -> None:
        harness.system.programs["toy"] = give_up
        with pytest.raises(StartFailed, match="exit status 3"):
            await harness.up(harness.editor())
        record = harness.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert record.failure.exit == 3
        harness.system.programs["toy"] = serve
        assert (await harness.up(harness.editor())).state is ServerState.READY

    harness.run(story)


def test_a_server_that_never_listens_is_stopped_at_its_deadline(harness: EngineHarness) -> None:
    async def story() -> None:
        started: list[ProcessIdentity] = []
        harness.system.programs["toy"] = lambda _, process, __: started.append(process.identity)
        with pytest.raises(StartFailed, match="not ready after 30 s"):
            await harness.up(harness.editor())
        assert not harness.alive(started[0])

    harness.run(story)


def test_a_port_that_is_lost_after_the_choice_is_answered_with_the_next_set(harness: EngineHarness) -> None:
    async def story() -> None:
        thief = harness.system.start("thief")

        def robbed(system: FakeSystem, process: FakeProcess, command: Command) -> None:
            if command.argv[1] == "8000":
                system.listen(thief, 8000)
                asyncio.get_running_loop().call_later(1, system.end, process.identity, 98)
            else:
                serve(system, process, command)

        harness.system.programs["toy"] = robbed
        record = await harness.up(harness.editor())
        assert record.ports == {"http": 8001, "sessions": 9501}
        assert record.relocated[0].port == 8000
        assert harness.alive(thief)

    harness.run(story)


def test_two_projects_at_once_never_get_one_port(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        projects = [tmp_path / name for name in ("one", "two", "three", "four")]
        for project in projects:
            project.mkdir()
        wishes = [harness.up(harness.editor(), "solo", project=str(project)) for project in projects]
        records = await asyncio.gather(*wishes)
        assert sorted(record.ports["http"] for record in records) == [8000, 8001, 8002, 8003]
        (tmp_path / "five").mkdir()
        with pytest.raises(PortsExhausted):
            await harness.up(harness.editor(), "solo", project=str(tmp_path / "five"))

    harness.run(story)


def test_a_project_keeps_its_ports(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            await harness.up(harness.editor(), "solo", project=str(tmp_path / name))
        for name in ("one", "two"):
            await harness.supervisor.stop(f"solo@{name}")
        record = await harness.up(harness.editor(), "solo", project=str(tmp_path / "two"))
        assert record.ports["http"] == 8001

    harness.run(story)


def test_projects_of_one_name_are_two_servers(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        ids = []
        for folder in ("a", "b"):
            (tmp_path / folder / "game").mkdir(parents=True)
            record = await harness.up(harness.editor(), "solo", project=str(tmp_path / folder / "game"))
            ids.append(record.id)
        assert ids == ["solo@game", "solo@game-2"]

    harness.run(story)


def test_a_disk_that_refuses_is_told_before_anything_is_started(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.store.broken = True
        requester = FakeRequester()
        with pytest.raises(StateNotWritable):
            await harness.up(requester=requester)
        assert requester.told == []
        assert harness.system.spawned == {}
        assert harness.records.servers == {}
        harness.store.broken = False
        assert (await harness.up()).state is ServerState.READY

    harness.run(story)


@pytest.mark.parametrize("field", ["pid", "start_token", "project"])
def test_an_arrival_that_is_wrong_is_refused_by_field(harness: EngineHarness, field: str, tmp_path: Path) -> None:
    async def story() -> None:
        owner = harness.editor()
        if field == "pid":
            harness.system.processes[owner.pid].denied = True
        wrong = {"start_token": {"start_token": "other"}, "project": {"project": str(tmp_path / "nowhere")}}
        with pytest.raises(InvalidParams) as caught:
            harness.claims.attach(Arrival(owner.pid, **wrong.get(field, {})))
        assert caught.value.field == field

    harness.run(story)


def test_a_dead_pid_is_no_editor(harness: EngineHarness) -> None:
    async def story() -> None:
        with pytest.raises(EditorGone):
            harness.claims.attach(Arrival(99999))
        with pytest.raises(NotFound):
            harness.claims.detach("nobody", stop=False)

    harness.run(story)


def test_a_server_that_ends_by_itself_is_started_again_on_its_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        first = await harness.up(owner)
        assert first.process is not None
        child = harness.system.fork(first.process, "child")
        harness.system.listen(child, 8000)
        harness.system.end(first.process, 7)
        await asyncio.sleep(1)
        second = harness.records.server("toy")
        assert second.state is ServerState.READY
        assert second.ports == first.ports
        assert second.process != first.process
        assert second.restarts == 1
        assert not harness.alive(child)
        assert len(harness.system.spawned) == 2

    harness.run(story)


def test_a_restarted_server_is_given_a_living_owner(harness: EngineHarness) -> None:
    async def story() -> None:
        gone, stays = harness.editor(), harness.editor()
        await harness.up(gone)
        record = await harness.up(stays)
        harness.system.end(gone)
        assert record.process is not None
        harness.system.end(record.process)
        await asyncio.sleep(1)
        again = harness.records.server("toy").process
        assert again is not None
        assert harness.system.processes[again.pid].environment["TOY_OWNER"] == str(stays.pid)

    harness.run(story)


def test_a_server_that_nobody_needs_is_not_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record = await harness.up(owner)
        assert record.process is not None
        harness.system.end(owner)
        harness.system.end(record.process)
        await asyncio.sleep(30)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 1

    harness.run(story)


@pytest.mark.parametrize("life_s", [0.2, 15.0])
def test_a_server_that_keeps_ending_is_given_up_after_five(harness: EngineHarness, life_s: float) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(life_s, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = short_lived
        await harness.up(harness.editor())
        await asyncio.sleep(300)
        record = harness.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert record.failure.exit == 9
        assert len(harness.system.spawned) == 5
        pauses = [row["pause_s"] for row in harness.events.of("server.backs_off")]
        assert len(pauses) == 3
        assert pauses[0] < pauses[1] < pauses[2]
        harness.system.programs["toy"] = serve
        assert (await harness.up(harness.editor())).state is ServerState.READY

    harness.run(story)


def test_a_stable_time_forgives_earlier_ends(harness: EngineHarness) -> None:
    def lasting(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(61, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = lasting
        await harness.up(harness.editor())
        await asyncio.sleep(700)
        assert harness.records.server("toy").state is ServerState.READY
        assert len(harness.system.spawned) > 10

    harness.run(story)


def test_an_owner_that_dies_during_a_pause_ends_the_waiting(harness: EngineHarness) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(0.1, system.end, process.identity, 9)

    async def story() -> None:
        harness.system.programs["toy"] = short_lived
        owner = harness.editor()
        await harness.up(owner)
        await asyncio.sleep(0.4)
        assert harness.events.of("server.backs_off")
        harness.system.end(owner)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert len(harness.system.spawned) == 2

    harness.run(story)


def test_the_next_daemon_finds_the_same_server_and_still_reaps(harness: EngineHarness) -> None:
    owner = harness.editor()
    launches: list[str] = []

    async def first() -> None:
        launches.append((await harness.up(owner)).launch)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.launch == launches[0]
        assert later.alive(record.process)
        assert (await later.up(later.editor())).launch == launches[0]
        for identity in list(later.system.processes.values()):
            if identity.command[:1] == ("godot",):
                later.system.end(identity.identity)
        await asyncio.sleep(20)
        assert not later.alive(record.process)

    later.run(second)


def test_a_launch_that_a_killed_daemon_left_half_done_is_finished(harness: EngineHarness) -> None:
    async def first() -> None:
        harness.system.programs["toy"] = lambda *_: None
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        assert not start.done()

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        (process,) = [p for p in later.system.processes.values() if p.command[:1] == ("toy",)]
        later.system.listen(process.identity, 8000)
        later.system.listen(process.identity, 9500)
        record = await later.up(later.editor())
        assert record.process == process.identity
        assert record.state is ServerState.READY
        assert len([p for p in later.system.processes.values() if p.command[:1] == ("toy",)]) == 1

    later.run(second)


def test_a_row_whose_process_was_never_written_down_finds_it_by_its_token(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up(harness.editor())
        harness.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        harness.records.commit()

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        record = await later.up(later.editor())
        assert record.state is ServerState.READY
        assert len(later.system.spawned) == 1

    later.run(second)


def test_a_row_that_had_started_nothing_is_cleared(harness: EngineHarness) -> None:
    async def first() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        harness.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        harness.records.commit()
        harness.system.end(record.process)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert later.records.servers == {}

    later.run(second)


def test_a_lost_registry_is_rebuilt_from_what_lives_and_nothing_is_killed(harness: EngineHarness) -> None:
    owner = harness.editor()

    async def first() -> None:
        await harness.up(owner)

    harness.run(first)
    harness.store.data = None
    later = harness.restarted()

    async def second() -> None:
        record = later.records.server("toy")
        assert record.origin is Origin.ADOPTED
        later.system.end(owner)
        assert record.ports == {"http": 8000, "sessions": 9500}
        assert [o.process for o in record.owners] == [owner]
        await asyncio.sleep(60)
        assert later.alive(record.process)
        await later.supervisor.stop("toy")
        assert not later.alive(record.process)

    later.run(second)


def living_godot_ai(harness: EngineHarness) -> ProcessIdentity:
    """A godot-ai of this home, as its environment's interpreter runs it."""
    command = ("/env/bin/python", "-P", "-m", "godot_ai", "--port", "8000", "--ws-port", "9500")
    process = harness.system.start(*command, environment={TOKEN_VARIABLE: "home.godot-ai.abcd1234", "HOME": "/root"})
    harness.system.listen(process, 8000)
    harness.system.listen(process, 9500)
    return process


def test_a_lost_registry_is_rebuilt_for_a_kind_that_needs_an_environment(harness: EngineHarness) -> None:
    async def identify(*_: object) -> Identification:
        return Identification(matches=True, version="4.3.0")

    harness.queries = replace(harness.queries, identify=identify)
    process = living_godot_ai(harness)

    async def story() -> None:
        record = harness.records.server("godot-ai")
        assert (record.process, record.version) == (process, "4.3.0")
        assert record.url == "http://127.0.0.1:8000/mcp"
        assert record.connect == ()

    harness.run(story)


def test_a_server_that_cannot_be_rebuilt_keeps_nobody_from_starting(harness: EngineHarness) -> None:
    async def identify(*_: object) -> Identification:
        raise RuntimeError("a defect")

    harness.queries = replace(harness.queries, identify=identify)
    process = living_godot_ai(harness)

    async def story() -> None:
        assert harness.records.servers == {}
        (told,) = harness.events.of("server.not_rebuilt")
        assert told["token"] == "home.godot-ai.abcd1234"
        assert harness.alive(process)

    harness.run(story)


def test_the_idle_time_of_a_kind_ends_a_server_that_never_had_an_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "idle_s": 60}}

    async def story() -> None:
        record = await harness.up()
        harness.system.connections[9500] = 1
        await asyncio.sleep(300)
        assert harness.alive(record.process)
        harness.system.connections[9500] = 0
        await asyncio.sleep(70)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_server_that_could_not_be_stopped_is_stopped_before_another_is_started(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor())
        assert first.process is not None
        harness.system.processes[first.process.pid].denied = True
        with pytest.raises(StopFailed):
            await harness.supervisor.stop("toy")
        assert harness.records.server("toy").state is ServerState.FAILED
        with pytest.raises(StopFailed):
            await harness.up(harness.editor())
        harness.system.processes[first.process.pid].denied = False
        owner = harness.editor()
        second = await harness.up(owner)
        assert not harness.alive(first.process)
        assert harness.alive(second.process)
        assert owner in [o.process for o in second.owners]

    harness.run(story)


def test_a_port_that_an_unprovable_process_of_the_launch_still_holds_is_told(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        between = harness.system.fork(record.process, "between")
        escaped = harness.system.fork(between, "escaped", session=4711)
        harness.system.end(between)
        harness.system.listen(escaped, 8000)
        with pytest.raises(StopFailed, match=f"8000 is still held by pid {escaped.pid}"):
            await harness.supervisor.stop("toy")
        assert not harness.alive(record.process)
        assert harness.alive(escaped)

    harness.run(story)


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def test_a_start_that_nobody_waits_for_any_more_leaves_nothing_behind(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.sleep(1)
        assert harness.records.servers == {}
        assert all(harness.system.process(identity) is None for identity in harness.system.spawned)

    harness.run(story)


def test_a_start_for_an_editor_that_is_alive_is_completed_and_its_request_answered_again(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        owner = harness.editor()
        start = asyncio.create_task(harness.up(owner, request_id="mine-1"))
        await asyncio.sleep(1)
        start.cancel()
        requester = FakeRequester()
        rejoined = asyncio.create_task(harness.up(owner, request_id="mine-1", requester=requester))
        await asyncio.sleep(10)
        assert rejoined.done()
        assert requester.told[0] == "accepted"
        assert (await harness.up(owner, request_id="mine-1")).launch == (await rejoined).launch
        assert len(harness.system.spawned) == 1

    harness.run(story)


def test_one_of_two_that_cancels_does_not_stop_the_other(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first = asyncio.create_task(harness.up(request_id="one"))
        second = asyncio.create_task(harness.up(request_id="two"))
        await asyncio.sleep(1)
        harness.supervisor.requests.cancel("one")
        await asyncio.sleep(10)
        assert (await second).state is ServerState.READY
        with pytest.raises(Cancelled):
            await first

    harness.run(story)


def test_a_cancelled_start_says_so(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        start = asyncio.create_task(harness.up(harness.editor(), request_id="mine"))
        await asyncio.sleep(1)
        harness.supervisor.requests.cancel("mine")
        with pytest.raises(Cancelled):
            await start
        assert harness.records.servers == {}
        assert all(harness.system.process(identity) is None for identity in harness.system.spawned)

    harness.run(story)


def test_the_outcome_of_a_request_is_kept_for_five_minutes(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(request_id="mine")
        assert (await harness.supervisor.requests.result("mine")).state is ServerState.READY
        with pytest.raises(InvalidParams):
            await harness.supervisor.stop("toy", request_id="mine")
        await asyncio.sleep(301)
        with pytest.raises(NotFound):
            await harness.supervisor.requests.result("mine")

    harness.run(story)


def test_an_editor_that_was_refused_is_no_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        record = await harness.up(first)
        with pytest.raises(InvalidParams):
            await harness.up(second, ports={"http": 8002, "sessions": 9502})
        harness.system.end(first)
        await asyncio.sleep(20)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_connection_that_ends_after_its_request_was_rejoined_takes_nobody_with_it(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = slow
        first = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        second = asyncio.create_task(harness.up(request_id="mine"))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).state is ServerState.READY

    harness.run(story)
