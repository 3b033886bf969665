"""Servers that run by an older recipe are reported, and a restart gives them the new recipe."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import ServerRecord, ServerState
from supervisor.engine.starting.versions.recipe_checks import recipe_changes, unusable_kinds
from supervisor.native.api import ChildCommand
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakeProcess, FakeSystem

PINNED = {**TOY, "version": "1.0", "env": {"TOY_OWNER": "{owner_pid}", "SECRET": "hunter2"}}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": PINNED}
    return harness


def recipe(harness: EngineHarness, **changes: Any) -> None:
    harness.reload({"toy": {**PINNED, **changes}})


def told(harness: EngineHarness, record: ServerRecord | None = None) -> dict[str, str]:
    changes = recipe_changes(harness.engine.context, record or harness.records.server("toy"))
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
def test_changed_recipe_is_reported_for_running_servers(
    harness: EngineHarness, changes: dict[str, Any], what: dict[str, str]
) -> None:
    async def story() -> None:
        await harness.up()
        recipe(harness, **changes)
        assert told(harness) == what
        harness.system.programs["toy"] = listening
        await harness.supervisor.restart("toy")
        assert told(harness) == {}

    harness.run(story)


def listening(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    for word in command.argv[1:]:
        if word.isdecimal():
            system.listen(process.identity, int(word))


def test_values_of_variables_are_not_recorded(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        assert record.recipe is not None
        assert "hunter2" not in repr(record.recipe)
        assert harness.store.data is not None
        assert b"hunter2" not in harness.store.data

    harness.run(story)


def test_older_recipe_is_known_to_the_next_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        await harness.up()

    harness.run(first)
    later = harness.restarted()
    later.tables = {"toy": {**PINNED, "command": ["toy", "{sessions}", "{http}"]}}

    async def second() -> None:
        assert told(later) == {"command": ""}

    later.run(second)


def test_restart_takes_the_version_that_is_pinned_now(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        recipe(harness, version="2.0")
        assert (await harness.supervisor.restart("toy")).version == "2.0"
        recipe(harness, version="3.0")
        assert (await harness.supervisor.restart("toy")).version == "3.0"

    harness.run(story)


def test_requested_version_does_not_count_as_an_older_recipe(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(version="1.0")
        recipe(harness, version="2.0")
        assert told(harness) == {}
        assert (await harness.supervisor.restart("toy")).version == "1.0"

    harness.run(story)


def test_crash_keeps_the_version(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        recipe(harness, version="2.0")
        assert record.process is not None
        harness.system.end(record.process, 1)
        await asyncio.sleep(2)
        after = harness.records.server("toy")
        assert (after.state, after.version) == (ServerState.READY, "1.0")
        assert told(harness) == {"version": "1.0, now 2.0"}

    harness.run(story)


def test_restart_moves_a_server_into_its_new_range(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        recipe(harness, ports={"http": "8100-8103", "sessions": "9600-9603"})
        assert (await harness.supervisor.restart("toy")).ports == {"http": 8100, "sessions": 9600}

    harness.run(story)


def test_kind_with_a_missing_program_is_named(harness: EngineHarness) -> None:
    async def story() -> None:
        context = harness.engine.context
        assert await unusable_kinds(context) == {}
        recipe(harness, command=["no-such", "{http}", "{sessions}"])
        assert list(await unusable_kinds(context)) == ["toy"]

    harness.run(story)
