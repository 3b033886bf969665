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
from tests.engine.house import TOY, House, Teller, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_server_is_ready_on_its_best_ports_and_knows_its_owner(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.state is ServerState.READY
        assert record.ports == {"http": 8000, "sessions": 9500}
        process = house.system.process(record.process or owner)
        assert process is not None
        assert process.environment["TOY_OWNER"] == str(owner.pid)
        assert process.environment["GODOT_SUPERVISOR_SERVER_ID"] == f"home.toy.{record.launch}"

    house.live(story)


def test_an_orphan_is_reaped_after_two_samples_one_grace_apart(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        died = house.system.clock.now
        await asyncio.sleep(20)
        assert not house.alive(record.process)
        (reaped,) = house.ear.of("server.reaped")
        assert died <= reaped["first_sample"] < died + 1
        assert 5 <= reaped["second_sample"] - reaped["first_sample"] < 6
        assert house.records.servers == {}
        assert house.records.editors == {}

    house.live(story)


def test_a_zombie_owner_is_a_dead_one(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner, zombie=True)
        await asyncio.sleep(20)
        assert not house.alive(record.process)

    house.live(story)


def test_a_recycled_owner_is_a_dead_one_and_the_stranger_lives(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        foreign_server = house.system.recycle(owner.pid)
        await asyncio.sleep(20)
        assert not house.alive(record.process)
        assert house.alive(foreign_server)

    house.live(story)


def test_an_open_session_keeps_it_and_its_end_is_followed_by_one_grace(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.connections[9500] = 1
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.alive(record.process)
        house.system.connections[9500] = 0
        closed = house.system.clock.now
        await asyncio.sleep(20)
        assert not house.alive(record.process)
        (reaped,) = house.ear.of("server.reaped")
        assert closed <= reaped["first_sample"] <= closed + 1.1

    house.live(story)


def test_one_of_two_owners_is_enough(house: House) -> None:
    async def story() -> None:
        first, second = house.editor(), house.editor()
        record = await house.up(first)
        await house.up(second)
        house.system.end(first)
        await asyncio.sleep(300)
        assert house.alive(record.process)
        house.system.end(second)
        await asyncio.sleep(20)
        assert not house.alive(record.process)

    house.live(story)


def test_an_owner_that_attaches_within_the_grace_saves_it(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(4)
        await house.up(house.editor())
        await asyncio.sleep(300)
        assert house.alive(record.process)

    house.live(story)


def test_a_detached_editor_lingers_before_its_server_goes(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner, project=str(tmp_path))
        editor = next(iter(house.records.editors))
        house.claims.detach(editor, stop=False)
        await asyncio.sleep(19)
        assert house.alive(record.process)
        await asyncio.sleep(3)
        assert not house.alive(record.process)

    house.live(story)


def test_an_editor_of_the_same_project_inherits_what_was_left(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        before, after = house.editor(), house.editor()
        record = await house.up(before, project=str(tmp_path))
        house.claims.detach(next(iter(house.records.editors)), stop=False)
        heir = house.claims.attach(Arrival(after.pid, project=str(tmp_path)))
        house.system.end(before)
        await asyncio.sleep(300)
        assert house.alive(record.process)
        assert [owner.editor for owner in house.records.server("toy").owners] == [heir.id]

    house.live(story)


def test_detach_with_stop_does_not_linger(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        house.claims.detach(next(iter(house.records.editors)), stop=True)
        await asyncio.sleep(6)
        assert not house.alive(record.process)

    house.live(story)


def test_a_server_without_owner_is_not_reaped(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        await asyncio.sleep(3600)
        assert house.alive(record.process)

    house.live(story)


def test_a_probe_that_cannot_tell_keeps_the_server(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        other = house.editor()
        record = await house.up(owner)
        await house.up(other)
        house.system.processes[owner.pid].unreadable = True
        house.system.end(other)
        await asyncio.sleep(300)
        assert house.alive(record.process)

    house.live(story)


def test_equal_wishes_share_one_flight(house: House) -> None:
    async def story() -> None:
        tellers = [Teller() for _ in range(20)]
        owners = [house.editor() for _ in tellers]
        wishes = [house.up(owner, requester=teller) for owner, teller in zip(owners, tellers, strict=True)]
        records = await asyncio.gather(*wishes)
        assert len({record.process for record in records}) == 1
        assert [teller.joined for teller in tellers] == [False] + [True] * 19
        assert all(teller.told[0] == "accepted" for teller in tellers)
        assert {owner.process for owner in house.records.server("toy").owners} == set(owners)

    house.live(story)


def test_a_stop_during_a_start_is_busy_and_says_with_what(house: House) -> None:
    def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        asyncio.get_running_loop().call_later(5, serve, system, process, command)

    async def story() -> None:
        house.system.programs["toy"] = slow
        start = asyncio.create_task(house.up(house.editor()))
        await asyncio.sleep(2)
        teller = Teller()
        with pytest.raises(Busy) as caught:
            await house.supervisor.stop("toy", requester=teller)
        assert caught.value.data["running"]["method"] == "server.ensure"
        assert caught.value.data["running"]["elapsed_ms"] == pytest.approx(2000, abs=50)
        assert caught.value.retry_after_ms
        assert teller.told == []
        assert (await start).state is ServerState.READY

    house.live(story)


def test_an_ensure_during_a_stop_waits_and_starts_again(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        house.system.processes[first.process.pid].ignores_sigterm = True
        stop = asyncio.create_task(house.supervisor.stop("toy"))
        await asyncio.sleep(1)
        second = await house.up(house.editor())
        assert (await stop).state is ServerState.STOPPED
        assert second.process != first.process
        assert second.state is ServerState.READY

    house.live(story)


def test_a_stop_that_is_ignored_becomes_a_kill_of_the_whole_tree(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        child = house.system.fork(record.process, "child")
        escaped = house.system.fork(child, "escaped", session=4711)
        for identity in (record.process, child, escaped):
            house.system.processes[identity.pid].ignores_sigterm = True
        began = house.system.clock.now
        await house.supervisor.stop("toy")
        # The server has its time, and then what it ran has as much.
        assert 20 <= house.system.clock.now - began < 22
        assert [house.alive(identity) for identity in (record.process, child, escaped)] == [False, False, True]

    house.live(story)


def test_an_editor_below_the_server_is_never_signalled(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        assert record.process is not None
        editor = house.system.fork(record.process, "godot")
        game = house.system.fork(editor, "game")
        house.claims.attach(Arrival(editor.pid))
        await house.supervisor.stop("toy")
        assert not house.alive(record.process)
        assert house.alive(editor)
        assert house.alive(game)

    house.live(story)


def test_a_failed_start_leaves_nothing_and_says_why(house: House) -> None:
    def give_up(system: FakeSystem, process: FakeProcess, _: Command) -> None:
        asyncio.get_running_loop().call_later(1, system.end, process.identity, 3)

    async def story() -> None:
        house.system.programs["toy"] = give_up
        with pytest.raises(StartFailed, match="exit status 3"):
            await house.up(house.editor())
        record = house.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert record.failure.exit == 3
        house.system.programs["toy"] = serve
        assert (await house.up(house.editor())).state is ServerState.READY

    house.live(story)


def test_a_server_that_never_listens_is_stopped_at_its_deadline(house: House) -> None:
    async def story() -> None:
        started: list[ProcessIdentity] = []
        house.system.programs["toy"] = lambda _, process, __: started.append(process.identity)
        with pytest.raises(StartFailed, match="not ready after 30 s"):
            await house.up(house.editor())
        assert not house.alive(started[0])

    house.live(story)


def test_a_port_that_is_lost_after_the_choice_is_answered_with_the_next_set(house: House) -> None:
    async def story() -> None:
        thief = house.system.start("thief")

        def robbed(system: FakeSystem, process: FakeProcess, command: Command) -> None:
            if command.argv[1] == "8000":
                system.listen(thief, 8000)
                asyncio.get_running_loop().call_later(1, system.end, process.identity, 98)
            else:
                serve(system, process, command)

        house.system.programs["toy"] = robbed
        record = await house.up(house.editor())
        assert record.ports == {"http": 8001, "sessions": 9501}
        assert record.relocated[0].port == 8000
        assert house.alive(thief)

    house.live(story)


def test_two_projects_at_once_never_get_one_port(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        projects = [tmp_path / name for name in ("one", "two", "three", "four")]
        for project in projects:
            project.mkdir()
        wishes = [house.up(house.editor(), "solo", project=str(project)) for project in projects]
        records = await asyncio.gather(*wishes)
        assert sorted(record.ports["http"] for record in records) == [8000, 8001, 8002, 8003]
        (tmp_path / "five").mkdir()
        with pytest.raises(PortsExhausted):
            await house.up(house.editor(), "solo", project=str(tmp_path / "five"))

    house.live(story)


def test_a_project_keeps_its_ports(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        for name in ("one", "two"):
            (tmp_path / name).mkdir()
            await house.up(house.editor(), "solo", project=str(tmp_path / name))
        for name in ("one", "two"):
            await house.supervisor.stop(f"solo@{name}")
        record = await house.up(house.editor(), "solo", project=str(tmp_path / "two"))
        assert record.ports["http"] == 8001

    house.live(story)


def test_projects_of_one_name_are_two_servers(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        ids = []
        for folder in ("a", "b"):
            (tmp_path / folder / "game").mkdir(parents=True)
            record = await house.up(house.editor(), "solo", project=str(tmp_path / folder / "game"))
            ids.append(record.id)
        assert ids == ["solo@game", "solo@game-2"]

    house.live(story)


def test_a_disk_that_refuses_is_told_before_anything_is_started(house: House) -> None:
    async def story() -> None:
        house.store.broken = True
        teller = Teller()
        with pytest.raises(StateNotWritable):
            await house.up(requester=teller)
        assert teller.told == []
        assert house.system.spawned == {}
        assert house.records.servers == {}
        house.store.broken = False
        assert (await house.up()).state is ServerState.READY

    house.live(story)


@pytest.mark.parametrize("field", ["pid", "start_token", "project"])
def test_an_arrival_that_is_wrong_is_refused_by_field(house: House, field: str, tmp_path: Path) -> None:
    async def story() -> None:
        owner = house.editor()
        if field == "pid":
            house.system.processes[owner.pid].denied = True
        wrong = {"start_token": {"start_token": "other"}, "project": {"project": str(tmp_path / "nowhere")}}
        with pytest.raises(InvalidParams) as caught:
            house.claims.attach(Arrival(owner.pid, **wrong.get(field, {})))
        assert caught.value.field == field

    house.live(story)


def test_a_dead_pid_is_no_editor(house: House) -> None:
    async def story() -> None:
        with pytest.raises(EditorGone):
            house.claims.attach(Arrival(99999))
        with pytest.raises(NotFound):
            house.claims.detach("nobody", stop=False)

    house.live(story)


def test_a_server_that_ends_by_itself_is_started_again_on_its_ports(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        first = await house.up(owner)
        assert first.process is not None
        child = house.system.fork(first.process, "child")
        house.system.listen(child, 8000)
        house.system.end(first.process, 7)
        await asyncio.sleep(1)
        second = house.records.server("toy")
        assert second.state is ServerState.READY
        assert second.ports == first.ports
        assert second.process != first.process
        assert second.restarts == 1
        assert not house.alive(child)
        assert len(house.system.spawned) == 2

    house.live(story)


def test_a_restarted_server_is_given_a_living_owner(house: House) -> None:
    async def story() -> None:
        gone, stays = house.editor(), house.editor()
        await house.up(gone)
        record = await house.up(stays)
        house.system.end(gone)
        assert record.process is not None
        house.system.end(record.process)
        await asyncio.sleep(1)
        again = house.records.server("toy").process
        assert again is not None
        assert house.system.processes[again.pid].environment["TOY_OWNER"] == str(stays.pid)

    house.live(story)


def test_a_server_that_nobody_needs_is_not_started_again(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert record.process is not None
        house.system.end(owner)
        house.system.end(record.process)
        await asyncio.sleep(30)
        assert house.records.servers == {}
        assert len(house.system.spawned) == 1

    house.live(story)


@pytest.mark.parametrize("life_s", [0.2, 15.0])
def test_a_server_that_keeps_ending_is_given_up_after_five(house: House, life_s: float) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(life_s, system.end, process.identity, 9)

    async def story() -> None:
        house.system.programs["toy"] = short_lived
        await house.up(house.editor())
        await asyncio.sleep(300)
        record = house.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert record.failure.exit == 9
        assert len(house.system.spawned) == 5
        pauses = [row["pause_s"] for row in house.ear.of("server.backs_off")]
        assert len(pauses) == 3
        assert pauses[0] < pauses[1] < pauses[2]
        house.system.programs["toy"] = serve
        assert (await house.up(house.editor())).state is ServerState.READY

    house.live(story)


def test_a_stable_time_forgives_earlier_ends(house: House) -> None:
    def lasting(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(61, system.end, process.identity, 9)

    async def story() -> None:
        house.system.programs["toy"] = lasting
        await house.up(house.editor())
        await asyncio.sleep(700)
        assert house.records.server("toy").state is ServerState.READY
        assert len(house.system.spawned) > 10

    house.live(story)


def test_an_owner_that_dies_during_a_pause_ends_the_waiting(house: House) -> None:
    def short_lived(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        serve(system, process, command)
        asyncio.get_running_loop().call_later(0.1, system.end, process.identity, 9)

    async def story() -> None:
        house.system.programs["toy"] = short_lived
        owner = house.editor()
        await house.up(owner)
        await asyncio.sleep(0.4)
        assert house.ear.of("server.backs_off")
        house.system.end(owner)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert len(house.system.spawned) == 2

    house.live(story)


def test_the_next_daemon_finds_the_same_server_and_still_reaps(house: House) -> None:
    owner = house.editor()
    launches: list[str] = []

    async def first() -> None:
        launches.append((await house.up(owner)).launch)

    house.live(first)
    later = house.restarted()

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

    later.live(second)


def test_a_launch_that_a_killed_daemon_left_half_done_is_finished(house: House) -> None:
    async def first() -> None:
        house.system.programs["toy"] = lambda *_: None
        start = asyncio.create_task(house.up(house.editor()))
        await asyncio.sleep(1)
        assert not start.done()

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        (process,) = [p for p in later.system.processes.values() if p.command[:1] == ("toy",)]
        later.system.listen(process.identity, 8000)
        later.system.listen(process.identity, 9500)
        record = await later.up(later.editor())
        assert record.process == process.identity
        assert record.state is ServerState.READY
        assert len([p for p in later.system.processes.values() if p.command[:1] == ("toy",)]) == 1

    later.live(second)


def test_a_row_whose_process_was_never_written_down_finds_it_by_its_token(house: House) -> None:
    async def first() -> None:
        record = await house.up(house.editor())
        house.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        house.records.commit()

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        record = await later.up(later.editor())
        assert record.state is ServerState.READY
        assert len(later.system.spawned) == 1

    later.live(second)


def test_a_row_that_had_started_nothing_is_cleared(house: House) -> None:
    async def first() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        house.records.servers["toy"] = record.with_(state=ServerState.STARTING, root=None, process=None)
        house.records.commit()
        house.system.end(record.process)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        assert later.records.servers == {}

    later.live(second)


def test_a_lost_registry_is_rebuilt_from_what_lives_and_nothing_is_killed(house: House) -> None:
    owner = house.editor()

    async def first() -> None:
        await house.up(owner)

    house.live(first)
    house.store.data = None
    later = house.restarted()

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

    later.live(second)


def living_godot_ai(house: House) -> ProcessIdentity:
    """A godot-ai of this home, as its environment's interpreter runs it."""
    command = ("/env/bin/python", "-P", "-m", "godot_ai", "--port", "8000", "--ws-port", "9500")
    process = house.system.start(*command, environment={TOKEN_VARIABLE: "home.godot-ai.abcd1234", "HOME": "/root"})
    house.system.listen(process, 8000)
    house.system.listen(process, 9500)
    return process


def test_a_lost_registry_is_rebuilt_for_a_kind_that_needs_an_environment(house: House) -> None:
    async def identify(*_: object) -> Identification:
        return Identification(matches=True, version="4.3.0")

    house.queries = replace(house.queries, identify=identify)
    process = living_godot_ai(house)

    async def story() -> None:
        record = house.records.server("godot-ai")
        assert (record.process, record.version) == (process, "4.3.0")
        assert record.url == "http://127.0.0.1:8000/mcp"
        assert record.connect == ()

    house.live(story)


def test_a_server_that_cannot_be_rebuilt_keeps_nobody_from_starting(house: House) -> None:
    async def identify(*_: object) -> Identification:
        raise RuntimeError("a defect")

    house.queries = replace(house.queries, identify=identify)
    process = living_godot_ai(house)

    async def story() -> None:
        assert house.records.servers == {}
        (told,) = house.ear.of("server.not_rebuilt")
        assert told["token"] == "home.godot-ai.abcd1234"
        assert house.alive(process)

    house.live(story)


def test_the_idle_time_of_a_kind_ends_a_server_that_never_had_an_owner(house: House) -> None:
    house.tables = {"toy": {**TOY, "idle_s": 60}}

    async def story() -> None:
        record = await house.up()
        house.system.connections[9500] = 1
        await asyncio.sleep(300)
        assert house.alive(record.process)
        house.system.connections[9500] = 0
        await asyncio.sleep(70)
        assert not house.alive(record.process)

    house.live(story)


def test_a_server_that_could_not_be_stopped_is_stopped_before_another_is_started(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor())
        assert first.process is not None
        house.system.processes[first.process.pid].denied = True
        with pytest.raises(StopFailed):
            await house.supervisor.stop("toy")
        assert house.records.server("toy").state is ServerState.FAILED
        with pytest.raises(StopFailed):
            await house.up(house.editor())
        house.system.processes[first.process.pid].denied = False
        owner = house.editor()
        second = await house.up(owner)
        assert not house.alive(first.process)
        assert house.alive(second.process)
        assert owner in [o.process for o in second.owners]

    house.live(story)


def test_a_port_that_an_unprovable_process_of_the_launch_still_holds_is_told(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        between = house.system.fork(record.process, "between")
        escaped = house.system.fork(between, "escaped", session=4711)
        house.system.end(between)
        house.system.listen(escaped, 8000)
        with pytest.raises(StopFailed, match=f"8000 is still held by pid {escaped.pid}"):
            await house.supervisor.stop("toy")
        assert not house.alive(record.process)
        assert house.alive(escaped)

    house.live(story)


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def test_a_start_that_nobody_waits_for_any_more_leaves_nothing_behind(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        start = asyncio.create_task(house.up())
        await asyncio.sleep(1)
        start.cancel()
        await asyncio.sleep(1)
        assert house.records.servers == {}
        assert all(house.system.process(identity) is None for identity in house.system.spawned)

    house.live(story)


def test_a_start_for_an_editor_that_is_alive_is_completed_and_its_request_answered_again(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        owner = house.editor()
        start = asyncio.create_task(house.up(owner, request_id="mine-1"))
        await asyncio.sleep(1)
        start.cancel()
        teller = Teller()
        rejoined = asyncio.create_task(house.up(owner, request_id="mine-1", requester=teller))
        await asyncio.sleep(10)
        assert rejoined.done()
        assert teller.told[0] == "accepted"
        assert (await house.up(owner, request_id="mine-1")).launch == (await rejoined).launch
        assert len(house.system.spawned) == 1

    house.live(story)


def test_one_of_two_that_cancels_does_not_stop_the_other(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        first = asyncio.create_task(house.up(request_id="one"))
        second = asyncio.create_task(house.up(request_id="two"))
        await asyncio.sleep(1)
        house.supervisor.cancel("one")
        await asyncio.sleep(10)
        assert (await second).state is ServerState.READY
        with pytest.raises(Cancelled):
            await first

    house.live(story)


def test_a_cancelled_start_says_so(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        start = asyncio.create_task(house.up(house.editor(), request_id="mine"))
        await asyncio.sleep(1)
        house.supervisor.cancel("mine")
        with pytest.raises(Cancelled):
            await start
        assert house.records.servers == {}
        assert all(house.system.process(identity) is None for identity in house.system.spawned)

    house.live(story)


def test_the_outcome_of_a_request_is_kept_for_five_minutes(house: House) -> None:
    async def story() -> None:
        await house.up(request_id="mine")
        assert (await house.supervisor.result("mine")).state is ServerState.READY
        with pytest.raises(InvalidParams):
            await house.supervisor.stop("toy", request_id="mine")
        await asyncio.sleep(301)
        with pytest.raises(NotFound):
            await house.supervisor.result("mine")

    house.live(story)


def test_an_editor_that_was_refused_is_no_owner(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        first, second = house.editor(), house.editor()
        record = await house.up(first)
        with pytest.raises(InvalidParams):
            await house.up(second, ports={"http": 8002, "sessions": 9502})
        house.system.end(first)
        await asyncio.sleep(20)
        assert not house.alive(record.process)

    house.live(story)


def test_a_connection_that_ends_after_its_request_was_rejoined_takes_nobody_with_it(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = slow
        first = asyncio.create_task(house.up(request_id="mine"))
        await asyncio.sleep(1)
        second = asyncio.create_task(house.up(request_id="mine"))
        await asyncio.sleep(1)
        first.cancel()
        assert (await second).state is ServerState.READY

    house.live(story)
