"""Servers that run by an older recipe are told, and a restart gets them the new one."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.engine.starting.recipe_drift import older, unusable
from supervisor.native.api import Command
from tests.engine.house import TOY, House
from tests.fakes import FakeProcess, FakeSystem

PINNED = {**TOY, "version": "1.0", "env": {"TOY_OWNER": "{owner_pid}", "SECRET": "hunter2"}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": PINNED}
    return house


def recipe(house: House, **changes: Any) -> None:
    house.engine.context.catalog.reload({"toy": {**PINNED, **changes}})


def told(house: House, record: ServerRecord | None = None) -> dict[str, str]:
    changes = older(house.engine.context, record or house.records.server("toy"))
    return {change.part: change.detail for change in changes}


CHANGES: list[tuple[dict[str, Any], dict[str, str]]] = [
    ({}, {}),
    ({"grace_s": 7, "url": "http://127.0.0.1:{http}/mcp"}, {}),
    ({"version": "2.0"}, {"version": "1.0, now 2.0"}),
    ({"command": ["toy", "--new", "{http}", "{sessions}"]}, {"command": ""}),
    (
        {"ports": {"http": "8100-8103", "sessions": "9500-9503"}},
        {"ports": "http 8000, sessions 9500, now http 8100-8103, sessions 9500-9503"},
    ),
    ({"ports": {"http": "8000-8001", "sessions": "9500-9501"}}, {}),
    ({"env": {"TOY_OWNER": "{owner_pid}", "SECRET": "other", "MORE": "x"}}, {"environment": "MORE, SECRET"}),
    ({"defaults": {"QUIET": "1"}}, {"environment": "QUIET"}),
]


@pytest.mark.parametrize(("changes", "what"), CHANGES)
def test_change_of_a_recipe_is_told_of_what_runs(house: House, changes: dict[str, Any], what: dict[str, str]) -> None:
    async def story() -> None:
        await house.up()
        recipe(house, **changes)
        assert told(house) == what
        house.system.programs["toy"] = listening
        await house.supervisor.restart("toy")
        assert told(house) == {}

    house.live(story)


def listening(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    for word in command.argv[1:]:
        if word.isdecimal():
            system.listen(process.identity, int(word))


def test_value_of_a_variable_is_kept_nowhere(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        assert record.recipe is not None
        assert "hunter2" not in repr(record.recipe)
        assert house.store.data is not None
        assert b"hunter2" not in house.store.data

    house.live(story)


def test_older_recipe_is_known_to_the_next_daemon(house: House) -> None:
    async def first() -> None:
        await house.up()

    house.live(first)
    later = house.restarted()
    later.tables = {"toy": {**PINNED, "command": ["toy", "{sessions}", "{http}"]}}

    async def second() -> None:
        assert told(later) == {"command": ""}

    later.live(second)


def test_restart_takes_the_version_that_is_pinned_now(house: House) -> None:
    async def story() -> None:
        await house.up()
        recipe(house, version="2.0")
        assert (await house.supervisor.restart("toy")).version == "2.0"
        recipe(house, version="3.0")
        assert (await house.supervisor.restart("toy")).version == "3.0"

    house.live(story)


def test_version_that_somebody_asked_for_is_no_older_recipe(house: House) -> None:
    async def story() -> None:
        await house.up(version="1.0")
        recipe(house, version="2.0")
        assert told(house) == {}
        assert (await house.supervisor.restart("toy")).version == "1.0"

    house.live(story)


def test_crash_keeps_the_version(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        recipe(house, version="2.0")
        assert record.process is not None
        house.system.end(record.process, 1)
        await asyncio.sleep(2)
        after = house.records.server("toy")
        assert (after.state, after.version) == (ServerState.READY, "1.0")
        assert told(house) == {"version": "1.0, now 2.0"}

    house.live(story)


def test_restart_moves_a_server_into_its_new_range(house: House) -> None:
    async def story() -> None:
        await house.up()
        recipe(house, ports={"http": "8100-8103", "sessions": "9600-9603"})
        assert (await house.supervisor.restart("toy")).ports == {"http": 8100, "sessions": 9600}

    house.live(story)


def test_kind_whose_program_is_not_there_is_named(house: House) -> None:
    async def story() -> None:
        context = house.engine.context
        assert await unusable(context) == {}
        recipe(house, command=["no-such", "{http}", "{sessions}"])
        assert list(await unusable(context)) == ["toy"]

    house.live(story)
