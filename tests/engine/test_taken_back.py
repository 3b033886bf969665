"""A server at rest that is asked for: which version it becomes, and what is left where the start is taken back."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.errors import Busy, Cancelled, StartFailed
from supervisor.native.api import Command
from supervisor.registry.codec import decode, encode
from tests.engine.house import TOY, House, Teller, serve
from tests.fakes import FakeProcess, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": {**TOY, "version": "1.0"}}
    return house


def ends(system: FakeSystem, process: FakeProcess, command: Command) -> None:  # noqa: ARG001 (the Protocol's)
    system.end(process.identity, 1)


def hangs(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    """A server that never listens."""


async def failed(house: House, version: str | None = None) -> ServerRecord:
    """A server that an editor owns, and that did not start."""
    house.system.programs["toy"] = ends
    with pytest.raises(StartFailed):
        await house.up(house.editor(), version=version)
    return house.records.server("toy")


async def taken_back(house: House) -> None:
    """Another editor asks for it, and takes that back while it starts."""
    house.system.programs["toy"] = hangs
    start = asyncio.ensure_future(house.up(house.editor(), requester=Teller(), request_id="q"))
    await asyncio.sleep(1)
    house.supervisor.cancel("q")
    with pytest.raises(Cancelled):
        await start
    await asyncio.sleep(1)


def test_a_failed_server_whose_start_is_taken_back_is_as_before(house: House) -> None:
    async def story() -> None:
        before = await failed(house, version="2.0")
        await taken_back(house)
        after = house.records.server("toy")
        assert after.state is ServerState.FAILED
        assert (after.failure, after.log, after.version) == (before.failure, before.log, "2.0")
        assert [owner.process for owner in after.owners] == [owner.process for owner in before.owners]
        house.system.programs["toy"] = serve
        assert (await house.up(house.editor())).state is ServerState.READY

    house.live(story)


def test_a_taken_back_start_tells_no_port_of_another_as_its_own(house: House) -> None:
    async def story() -> None:
        await failed(house)
        house.records.put(house.records.server("toy").with_(state=ServerState.BACKOFF, ports={"http": 8000}))
        before = house.records.server("toy")
        house.records.move("toy", ServerState.STARTING, ports={})
        house.records.put(before.with_(id="toy-2"))
        assert house.records.take_back(before).ports == {}
        house.records.drop("toy-2")

    house.live(story)


def test_a_first_start_that_is_taken_back_leaves_no_row(house: House) -> None:
    async def story() -> None:
        await taken_back(house)
        assert house.records.servers == {}

    house.live(story)


def test_a_server_starting_anew_is_of_the_version_it_becomes(house: House) -> None:
    async def story() -> None:
        await failed(house, version="2.0")
        house.system.programs["toy"] = serve
        seen: list[str | None] = []
        house.system.meanwhile["facts"] = lambda: seen.append(house.records.server("toy").version)
        record = await house.up(house.editor())
        assert (record.version, seen) == ("1.0", ["1.0"])

    house.live(story)


def test_no_second_server_stands_beside_a_start_of_its_version(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        await failed(house, version="2.0")
        house.system.programs["toy"] = serve
        planner = house.supervisor._ensurer._planner
        without = planner.without

        async def slow(*given: object, **named: object) -> object:
            await asyncio.sleep(5)
            return await without(*given, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(planner, "without", slow)
        start = asyncio.ensure_future(house.up(house.editor()))
        await asyncio.sleep(1)
        with pytest.raises(Busy):
            await house.up(house.editor(), version="1.0")
        record = await start
        again = await house.up(house.editor(), version="1.0")
        assert (record.version, again.process) == ("1.0", record.process)
        assert list(house.records.servers) == ["toy"]

    house.live(story)


def test_a_server_of_unknown_version_comes_back_in_its_recipes(house: House) -> None:
    async def begin() -> None:
        await house.up(house.editor())

    house.live(begin)
    state = decode(house.store.data or b"")
    house.store.data = encode(type(state)(state.editors, {"toy": state.servers["toy"].with_(version=None)}))
    following = house.restarted()
    following.tables = {"toy": {**TOY, "command": ["toy", "{http}", "{sessions}", "{version}"], "version": "1.0"}}

    commands: list[tuple[str, ...]] = []

    def program(system: FakeSystem, process: FakeProcess, command: Command) -> None:
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

    following.live(story)
