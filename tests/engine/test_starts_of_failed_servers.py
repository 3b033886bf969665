"""An `ensure` of a server that does not run: the version that it gets, and what a cancelled start leaves."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.errors import Busy, Cancelled, StartFailed
from supervisor.native.api import ChildCommand
from supervisor.registry.codec import decode, encode
from tests.engine.harness import TOY, EngineHarness, FakeRequester, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": {**TOY, "version": "1.0"}}
    return harness


def ends(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:  # noqa: ARG001 (the Protocol's)
    system.end(process.identity, 1)


def hangs(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    """Run as a server that never listens."""


async def failed(harness: EngineHarness, version: str | None = None) -> ServerRecord:
    """Return the record of a server that an editor owns, and whose start failed."""
    harness.system.programs["toy"] = ends
    with pytest.raises(StartFailed):
        await harness.up(harness.editor(), version=version)
    return harness.records.server("toy")


async def taken_back(harness: EngineHarness) -> None:
    """Another editor asks for it, and takes that back while it starts."""
    harness.system.programs["toy"] = hangs
    start = asyncio.ensure_future(harness.up(harness.editor(), requester=FakeRequester(), request_id="q"))
    await asyncio.sleep(1)
    harness.engine.requests.cancel("q")
    with pytest.raises(Cancelled):
        await start
    await asyncio.sleep(1)


def test_a_failed_server_whose_start_is_cancelled_is_as_before(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await failed(harness, version="2.0")
        await taken_back(harness)
        after = harness.records.server("toy")
        assert after.state is ServerState.FAILED
        assert (after.failure, after.log, after.version) == (before.failure, before.log, "2.0")
        assert [owner.process for owner in after.owners] == [owner.process for owner in before.owners]
        harness.system.programs["toy"] = serve
        assert (await harness.up(harness.editor())).state is ServerState.READY

    harness.run(story)


def test_a_cancelled_start_reports_no_port_of_another_server(harness: EngineHarness) -> None:
    async def story() -> None:
        await failed(harness)
        harness.records.put(harness.records.server("toy").with_(state=ServerState.BACKOFF, ports={"http": 8000}))
        before = harness.records.server("toy")
        harness.records.move("toy", ServerState.STARTING, ports={})
        harness.records.put(before.with_(id="toy-2"))
        assert harness.records.undo_start(before).ports == {}
        harness.records.drop("toy-2")

    harness.run(story)


def test_a_first_start_that_is_cancelled_leaves_no_record(harness: EngineHarness) -> None:
    async def story() -> None:
        await taken_back(harness)
        assert harness.records.servers == {}

    harness.run(story)


def test_a_starting_server_counts_as_the_version_it_will_have(harness: EngineHarness) -> None:
    async def story() -> None:
        await failed(harness, version="2.0")
        harness.system.programs["toy"] = serve
        seen: list[str | None] = []
        harness.system.meanwhile["facts"] = lambda: seen.append(harness.records.server("toy").version)
        record = await harness.up(harness.editor())
        assert (record.version, seen) == ("1.0", ["1.0"])

    harness.run(story)


def test_no_second_server_starts_beside_a_start_of_its_version(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        await failed(harness, version="2.0")
        harness.system.programs["toy"] = serve
        planner = harness.supervisor.ensuring.reuser._planner
        plan_start = planner.plan_start

        async def slow(*given: object, **named: object) -> object:
            await asyncio.sleep(5)
            return await plan_start(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(planner, "plan_start", slow)
        start = asyncio.ensure_future(harness.up(harness.editor()))
        await asyncio.sleep(1)
        with pytest.raises(Busy):
            await harness.up(harness.editor(), version="1.0")
        record = await start
        again = await harness.up(harness.editor(), version="1.0")
        assert (record.version, again.process) == ("1.0", record.process)
        assert list(harness.records.servers) == ["toy"]

    harness.run(story)


def test_a_server_of_unknown_version_restarts_in_its_recipes(harness: EngineHarness) -> None:
    async def begin() -> None:
        await harness.up(harness.editor())

    harness.run(begin)
    state = decode(harness.store.data or b"")
    harness.store.data = encode(type(state)(state.editors, {"toy": state.servers["toy"].with_(version=None)}))
    following = harness.restarted()
    following.tables = {"toy": {**TOY, "command": ["toy", "{http}", "{sessions}", "{version}"], "version": "1.0"}}

    commands: list[tuple[str, ...]] = []

    def program(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        commands.append(command.argv)
        serve(system, process, replace(command, argv=command.argv[:3]))

    async def story() -> None:
        following.system.programs["toy"] = program
        record = following.records.server("toy")
        assert record.process is not None
        following.system.kill(record.process.pid)
        await asyncio.sleep(5)
        back = following.records.server("toy")
        assert (back.state, back.version) == (ServerState.READY, "1.0")
        assert commands[0][-1] == "1.0"

    following.run(story)
