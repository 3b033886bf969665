"""What keeps a server from being reaped, and what does not."""

import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import Liveness, Ownership, ProcessIdentity, ServerState
from supervisor.core.reaping import Keep
from tests.engine.answers import ANSWERING, Answers
from tests.engine.house import TOY, House
from tests.fakes import FakeProbe


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def test_a_server_whose_kind_was_taken_out_of_the_configuration_is_kept_with_its_sessions(house: House) -> None:
    async def begin() -> None:
        await house.up(house.editor())

    house.live(begin)
    later = house.restarted()
    later.tables = {}
    house.system.connections[9500] = 1

    async def story() -> None:
        record = later.records.server("toy")
        house.system.end(record.owners[0].process)
        await asyncio.sleep(600)
        assert later.alive(record.process)
        verdict = later.supervisor.reaper.verdict("toy")
        assert isinstance(verdict, Keep)
        assert verdict.reasons == ("its kind was taken out of the configuration: its sessions cannot be told",)

    later.live(story)
    last = later.restarted()
    last.tables = {"toy": TOY}
    house.system.connections[9500] = 0

    async def ending() -> None:
        await asyncio.sleep(10)
        assert last.records.servers == {}

    last.live(ending)


def test_an_owner_that_was_forgotten_before_it_became_one_keeps_nothing_when_its_name_is_anothers(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        (name,) = house.records.editors
        forgotten = house.editor()
        house.system.end(forgotten)
        honest, lies = FakeProbe.sample, [Liveness.ALIVE]

        def sample(self: FakeProbe, identity: ProcessIdentity) -> Liveness:
            return lies.pop() if identity == forgotten and lies else honest(self, identity)

        monkeypatch.setattr(FakeProbe, "sample", sample)
        house.records.claim("toy", (Ownership(name, forgotten),))
        house.supervisor.reaper.look("toy")
        await asyncio.sleep(10)
        assert not lies
        assert not house.alive(record.process)

    house.live(story)


def test_a_server_too_old_to_be_asked_is_taken_at_its_word_and_reaped(house: House, answers: Answers) -> None:
    old = {**ANSWERING, "version": "0.9", "identify": {**ANSWERING["identify"], "versions": ">=1"}}
    house.tables = {"toy": old}

    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        assert (record.state, record.version, answers.asked) == (ServerState.READY, "0.9", [])
        house.system.end(owner)
        await asyncio.sleep(30)
        assert house.records.servers == {}
        assert not house.alive(record.process)
        assert answers.asked == []

    house.live(story)


def test_a_server_that_does_not_tell_its_leases_is_kept(house: House, answers: Answers) -> None:
    house.tables = {"toy": ANSWERING}
    answers.leases = None

    async def story() -> None:
        owner = house.editor()
        record = await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(600)
        assert house.alive(record.process)
        verdict = house.supervisor.reaper.verdict("toy")
        assert isinstance(verdict, Keep)
        assert verdict.reasons == ("its leases are unknown",)

    house.live(story)
