"""Which version of a server runs, as PEP 440 reads versions."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import ServerState
from supervisor.errors import StartFailed
from tests.engine.answers import ANSWERING, Answers, strangers_toy
from tests.engine.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


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
def test_a_server_that_tells_an_equal_version_is_ready(house: House, answers: Answers, pinned: str, said: str) -> None:
    house.tables = {"toy": {**ANSWERING, "version": pinned}}
    answers.version = said

    async def story() -> None:
        record = await house.up()
        assert record.state is ServerState.READY
        again = await house.up()
        assert (again.process, again.state) == (record.process, ServerState.READY)

    house.live(story)


@pytest.mark.parametrize(
    ("pinned", "said"), [("1.0", "1.0.1"), ("1.0", "1.0.post0"), ("1.0", "1.0rc1"), ("1.0", "1!1.0")]
)
def test_a_server_that_tells_another_version_does_not_become_ready(
    house: House, answers: Answers, pinned: str, said: str
) -> None:
    house.tables = {"toy": {**ANSWERING, "version": pinned}}
    answers.version = said

    async def story() -> None:
        with pytest.raises(StartFailed, match=f"it answers as version {said}, not {pinned}"):
            await house.up()

    house.live(story)


def test_equal_versions_share_one_start(house: House, answers: Answers) -> None:
    house.tables = {"toy": ANSWERING}
    answers.version = "2.0.0"

    async def story() -> None:
        first, second = await asyncio.gather(house.up(version="2.0"), house.up(version="v2.0.0"))
        assert first.process == second.process
        assert list(house.records.servers) == ["toy"]
        third = await house.up(version="2")
        assert third.process == first.process

    house.live(story)


def test_a_stranger_of_an_equal_version_is_adopted(house: House, answers: Answers) -> None:
    house.tables = {"toy": ANSWERING}
    answers.version = "1.2.0"

    async def story() -> None:
        foreign_server = strangers_toy(house)
        record = await house.up(version="1.2")
        assert (record.process, record.version) == (foreign_server, "1.2.0")

    house.live(story)
