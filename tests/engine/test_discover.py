import asyncio
from pathlib import Path

import pytest

from supervisor.core.foreign import ForeignServer
from supervisor.core.model import Occupant, PortFact
from supervisor.engine.identification.recognise import Recogniser
from supervisor.kinds.kind import Kind
from tests.engine.answers import ANSWERING, strangers_toy
from tests.engine.house import TOY, House

MATCHED = {**TOY, "identify": {"http": "/", "match": {"name": "toy"}}}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.discover = "watch"
    house.tables = {"toy": MATCHED, "plain": {**TOY, "ports": {"http": "8100", "sessions": "9600"}}}
    return house


def test_a_look_at_start_and_then_one_every_half_minute(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 1
        await asyncio.sleep(28)
        assert house.system.calls["listening"] == 1
        await asyncio.sleep(2)
        assert house.system.calls["listening"] == 2
        await asyncio.sleep(300)
        assert house.system.calls["listening"] == 12

    house.live(story)


def test_where_nobody_listens_a_look_ends_with_the_cheapest_question(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(100)
        assert house.system.calls["listening"] > 1
        assert house.system.calls["facts"] == house.system.calls["table"] - 1 == 0

    house.live(story)


def test_reads_set_a_look_off_but_never_one_after_the_other(house: House) -> None:
    async def story() -> None:
        await asyncio.sleep(6)
        for _ in range(20):
            house.supervisor.discovery.nudge()
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 2
        for _ in range(20):
            house.supervisor.discovery.nudge()
        await asyncio.sleep(1)
        assert house.system.calls["listening"] == 2
        await asyncio.sleep(5)
        house.supervisor.discovery.nudge()
        await asyncio.sleep(0.1)
        assert house.system.calls["listening"] == 3

    house.live(story)


def test_with_discovery_off_nobody_looks_and_nobody_is_woken(house: House) -> None:
    house.discover = "off"

    async def story() -> None:
        house.supervisor.discovery.nudge()
        await asyncio.sleep(3600)
        assert house.system.calls["listening"] == 0

    house.live(story)


def test_ports_of_servers_that_are_known_are_not_looked_at(house: House) -> None:
    async def story() -> None:
        house.tables = {"plain": TOY}
        await asyncio.sleep(1)
        looked = house.system.calls["facts"]
        foreign_server = house.system.start("vim", "toy")
        house.system.listen(foreign_server, 8000)
        await asyncio.sleep(31)
        assert house.system.calls["facts"] == looked + 1
        assert house.records.servers == {}

    house.live(story)


def test_a_look_that_fails_is_told_and_repeated(house: House) -> None:
    from tests.fakes import Fault

    house.system.fails["listening"] = Fault(OSError(5, "no table"), times=1)

    async def story() -> None:
        await asyncio.sleep(1)
        assert len(house.ear.of("discovery.failed")) == 1
        await asyncio.sleep(31)
        assert house.system.calls["listening"] == 2
        assert len(house.ear.of("discovery.failed")) == 1

    house.live(story)


def test_a_program_of_another_kind_on_a_known_port_is_never_asked(house: House) -> None:
    async def story() -> None:
        foreign_server = house.system.start("python", "-m", "http.server", "8000")
        house.system.listen(foreign_server, 8000)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert house.ear.of("signal.sent") == []

    house.live(story)


def _failing(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Every look at whoever holds this port fails."""
    honest = Recogniser.look

    async def look(self: Recogniser, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        if port == at:
            raise OSError(24, "Too many open files")
        return await honest(self, kind, occupant, port)

    monkeypatch.setattr(Recogniser, "look", look)


@pytest.mark.usefixtures("answers")
def test_a_stranger_that_cannot_be_looked_at_hides_no_other(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.tables = {"toy": ANSWERING}
    _failing(monkeypatch, 8000)

    async def story() -> None:
        strangers_toy(house)
        other = strangers_toy(house, http=8001)
        await asyncio.sleep(1)
        assert [record.process for record in house.records.servers.values()] == [other]
        assert ("toy", 8000) in [(row["kind"], row["port"]) for row in house.ear.of("stranger.failed")]
        assert (await house.up(house.editor())).process == other

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_an_owner_with_a_number_that_python_refuses_to_read_is_one_that_is_not_known(house: House) -> None:
    house.tables = {"toy": ANSWERING}

    async def story() -> None:
        toy = strangers_toy(house, owner="1" * 5000)
        await asyncio.sleep(600)
        assert house.alive(toy)
        assert house.records.server("toy").owners_unknown

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_what_was_found_is_followed_up_though_the_look_for_another_kind_fails(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"command": ["toz", "{http}", "{sessions}"], "ports": {"http": "8100-8103", "sessions": "9600-9603"}}
    house.tables = {"toy": ANSWERING, "toz": {**ANSWERING, **elsewhere}}
    honest = Recogniser.among

    async def among(self: Recogniser, kind: Kind, facts: dict[int, PortFact]) -> dict[int, ForeignServer]:
        if kind.name == "toz":
            raise OSError(24, "Too many open files")
        return await honest(self, kind, facts)

    monkeypatch.setattr(Recogniser, "among", among)

    async def story() -> None:
        toy = strangers_toy(house)
        strangers_toy(house, http=8100)
        await asyncio.sleep(1)
        house.system.end(toy)
        await asyncio.sleep(5)
        assert house.records.servers == {}
        assert house.ear.of("discovery.failed")[0]["kind"] == "toz"

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_the_secrets_of_strangers_that_have_ended_are_forgotten_with_discovery_off_too(house: House) -> None:
    house.tables = {"toy": ANSWERING}
    house.discover = "off"

    async def story() -> None:
        for _ in range(3):
            toy = strangers_toy(house)
            await house.supervisor.explainer.explain("toy", ())
            house.system.end(toy)
        assert len(house.supervisor.explainer._recogniser._server_client._foreign_secrets) == 1

    house.live(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("owner_lives", [True, False])
def test_an_environment_that_read_empty_is_read_again(house: House, owner_lives: bool) -> None:  # noqa: FBT001
    house.tables = {"toy": ANSWERING}
    editor = house.editor()
    toy = strangers_toy(house, owner=str(editor.pid))
    house.system.processes[toy.pid].blank = True

    async def story() -> None:
        if not owner_lives:
            house.system.end(editor)
        await asyncio.sleep(20)
        assert house.records.server("toy").owners_unknown
        house.system.processes[toy.pid].blank = False
        await asyncio.sleep(40)
        assert house.alive(toy) is owner_lives
        if owner_lives:
            assert [owner.process for owner in house.records.server("toy").owners] == [editor]
            house.system.end(editor)
            await asyncio.sleep(20)
            assert not house.alive(toy)

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_a_thread_in_an_owner_variable_is_an_owner_that_is_not_known(house: House) -> None:
    house.tables = {"toy": ANSWERING}
    thread = house.system.start("godot", "--editor")
    house.system.processes[thread.pid].no_process = "it is a thread of process 4711"
    toy = strangers_toy(house, owner=str(thread.pid))

    async def story() -> None:
        await asyncio.sleep(20)
        assert house.records.server("toy").owners_unknown
        house.system.end(thread)
        await asyncio.sleep(60)
        assert house.alive(toy)

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_a_pid_that_windows_handed_into_wsl_proves_nothing(house: House) -> None:
    house.tables = {"toy": ANSWERING}
    toy = strangers_toy(house, owner="4711")
    house.system.processes[toy.pid].environment["WSLENV"] = "PATH/l:TOY_OWNER/u"

    async def story() -> None:
        await asyncio.sleep(40)
        assert house.records.server("toy").owners_unknown
        assert house.alive(toy), "nobody has the number here, and that proves nothing"

    house.live(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("inherited", [True, False])
def test_an_owner_variable_that_was_inherited_proves_nothing(house: House, inherited: bool) -> None:  # noqa: FBT001
    house.tables = {"toy": ANSWERING}
    named = house.editor()
    other = house.editor()
    toy = strangers_toy(house, owner=str(named.pid), parent=other if inherited else named)

    async def story() -> None:
        await asyncio.sleep(40)
        assert house.records.server("toy").owners_unknown is inherited
        house.system.end(named)
        await asyncio.sleep(60)
        assert house.alive(toy) is inherited
        assert house.alive(other)

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_an_owner_variable_that_names_a_server_guards_none(house: House) -> None:
    house.tables = {"toy": ANSWERING}

    async def story() -> None:
        ours = await house.up(house.editor())
        assert ours.process is not None
        other = strangers_toy(house, owner=str(ours.process.pid), http=8002)
        await asyncio.sleep(40)
        assert house.records.server("toy-2").owners_unknown
        await house.supervisor.stop("toy")
        assert [house.alive(ours.process), house.alive(other)] == [False, True]

    house.live(story)
