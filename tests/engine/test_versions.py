"""Versions of servers are compared as PEP 440 reads versions."""

import asyncio

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import StartFailed
from tests.engine.answers import ANSWERING, Answers, start_foreign_toy
from tests.engine.harness import EngineHarness


@pytest.mark.parametrize(
    ("pinned", "said"),
    [
        ("1.0", "1.0.0"),
        ("v1.0.0", "1"),
        ("1.0rc1", "1.0-RC.1"),
        ("1.0+mine", "1.0"),
        ("1.0", "1.0+mine"),
        ("1!2", "1!2.0"),
    ],
)
def test_server_that_reports_an_equal_version_is_ready(
    harness: EngineHarness, answers: Answers, pinned: str, said: str
) -> None:
    harness.tables = {"toy": {**ANSWERING, "version": pinned}}
    answers.version = said

    async def story() -> None:
        record = await harness.up()
        assert record.state is ServerState.READY
        again = await harness.up()
        assert (again.process, again.state) == (record.process, ServerState.READY)

    harness.run(story)


@pytest.mark.parametrize(
    ("pinned", "said"), [("1.0", "1.0.1"), ("1.0", "1.0.post0"), ("1.0", "1.0rc1"), ("1.0", "1!1.0")]
)
def test_server_that_reports_another_version_is_not_ready(
    harness: EngineHarness, answers: Answers, pinned: str, said: str
) -> None:
    harness.tables = {"toy": {**ANSWERING, "version": pinned}}
    answers.version = said

    async def story() -> None:
        with pytest.raises(StartFailed, match=f"it answers as version {said}, not {pinned}"):
            await harness.up()

    harness.run(story)


def test_equal_versions_share_one_start(harness: EngineHarness, answers: Answers) -> None:
    harness.tables = {"toy": ANSWERING}
    answers.version = "2.0.0"

    async def story() -> None:
        first, second = await asyncio.gather(harness.up(version="2.0"), harness.up(version="v2.0.0"))
        assert first.process == second.process
        assert list(harness.records.servers) == ["toy"]
        third = await harness.up(version="2")
        assert third.process == first.process

    harness.run(story)


def test_foreign_server_of_an_equal_version_is_adopted(harness: EngineHarness, answers: Answers) -> None:
    harness.tables = {"toy": ANSWERING}
    answers.version = "1.2.0"

    async def story() -> None:
        foreign_server = start_foreign_toy(harness)
        record = await harness.up(version="1.2")
        assert (record.process, record.version) == (foreign_server, "1.2.0")

    harness.run(story)
