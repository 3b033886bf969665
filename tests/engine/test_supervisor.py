"""The life of a server: started on its ports, stopped, refused, and reported when it fails."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity, ServerState
from supervisor.engine.claims.editors import Arrival
from supervisor.errors import (
    Busy,
    EditorGone,
    InvalidParams,
    NotFound,
    PortsExhausted,
    StartFailed,
    StateNotWritable,
    StopFailed,
)
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem


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


def test_equal_requests_start_one_server(harness: EngineHarness) -> None:
    async def story() -> None:
        requesters = [FakeRequester() for _ in range(20)]
        owners = [harness.editor() for _ in requesters]
        starts = [harness.up(owner, requester=requester) for owner, requester in zip(owners, requesters, strict=True)]
        records = await asyncio.gather(*starts)
        assert len({record.process for record in records}) == 1
        assert [requester.joined for requester in requesters] == [False] + [True] * 19
        assert all(requester.told[0] == "accepted" for requester in requesters)
        assert {owner.process for owner in harness.records.server("toy").owners} == set(owners)

    harness.run(story)


def test_a_stop_during_a_start_is_busy_and_says_with_what(harness: EngineHarness) -> None:
    def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
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
        harness.attachments.attach(Arrival(editor.pid))
        await harness.supervisor.stop("toy")
        assert not harness.alive(record.process)
        assert harness.alive(editor)
        assert harness.alive(game)

    harness.run(story)


def test_a_failed_start_leaves_nothing_and_says_why(harness: EngineHarness) -> None:
    def give_up(system: FakeSystem, process: FakeProcess, _: ChildCommand) -> None:
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


def test_a_start_that_loses_its_port_tries_the_next_set(harness: EngineHarness) -> None:
    async def story() -> None:
        thief = harness.system.start("thief")

        def robbed(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
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
        starts = [harness.up(harness.editor(), "solo", project=str(project)) for project in projects]
        records = await asyncio.gather(*starts)
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


def test_a_full_disk_is_reported_before_anything_is_started(harness: EngineHarness) -> None:
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
def test_an_attach_with_a_wrong_field_names_the_field(harness: EngineHarness, field: str, tmp_path: Path) -> None:
    async def story() -> None:
        owner = harness.editor()
        if field == "pid":
            harness.system.processes[owner.pid].denied = True
        wrong = {"start_token": {"start_token": "other"}, "project": {"project": str(tmp_path / "nowhere")}}
        with pytest.raises(InvalidParams) as caught:
            harness.attachments.attach(Arrival(owner.pid, **wrong.get(field, {})))
        assert caught.value.field == field

    harness.run(story)


def test_a_dead_pid_is_no_editor(harness: EngineHarness) -> None:
    async def story() -> None:
        with pytest.raises(EditorGone):
            harness.attachments.attach(Arrival(99999))
        with pytest.raises(NotFound):
            harness.attachments.detach("nobody", stop=False)

    harness.run(story)


def test_a_server_that_survived_a_stop_ends_before_the_next_start(harness: EngineHarness) -> None:
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


def test_a_port_held_by_an_unproven_process_of_the_launch_is_reported(harness: EngineHarness) -> None:
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
