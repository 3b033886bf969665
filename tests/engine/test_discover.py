import asyncio
from pathlib import Path

import pytest

from supervisor.core.foreign import ForeignServer
from supervisor.core.model import Occupant, PortFact
from supervisor.engine.identification.recognise import Recogniser
from supervisor.kinds.kind import Kind
from tests.engine.answers import ANSWERING, start_foreign_toy
from tests.engine.harness import TOY, EngineHarness

MATCHED = {**TOY, "identify": {"http": "/", "match": {"name": "toy"}}}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.discover = "watch"
    harness.tables = {"toy": MATCHED, "plain": {**TOY, "ports": {"http": "8100", "sessions": "9600"}}}
    return harness


def test_discovery_looks_at_start_and_every_half_minute(harness: EngineHarness) -> None:
    async def story() -> None:
        await asyncio.sleep(1)
        assert harness.system.calls["in_use"] == 1
        await asyncio.sleep(28)
        assert harness.system.calls["in_use"] == 1
        await asyncio.sleep(2)
        assert harness.system.calls["in_use"] == 2
        await asyncio.sleep(300)
        assert harness.system.calls["in_use"] == 12

    harness.run(story)


def test_look_without_listeners_asks_only_for_listening_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        await asyncio.sleep(100)
        assert harness.system.calls["in_use"] > 1
        assert harness.system.calls["facts"] == harness.system.calls["table"] - 1 == 0

    harness.run(story)


def test_reads_start_a_look_but_not_too_often(harness: EngineHarness) -> None:
    async def story() -> None:
        await asyncio.sleep(6)
        for _ in range(20):
            harness.supervisor.discovery.look_soon()
        await asyncio.sleep(1)
        assert harness.system.calls["in_use"] == 2
        for _ in range(20):
            harness.supervisor.discovery.look_soon()
        await asyncio.sleep(1)
        assert harness.system.calls["in_use"] == 2
        await asyncio.sleep(5)
        harness.supervisor.discovery.look_soon()
        await asyncio.sleep(0.1)
        assert harness.system.calls["in_use"] == 3

    harness.run(story)


def test_discovery_that_is_off_neither_looks_nor_wakes(harness: EngineHarness) -> None:
    harness.discover = "off"

    async def story() -> None:
        harness.supervisor.discovery.look_soon()
        await asyncio.sleep(3600)
        assert harness.system.calls["in_use"] == 0

    harness.run(story)


def test_ports_of_known_servers_are_not_looked_at(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.tables = {"plain": TOY}
        await asyncio.sleep(1)
        looked = harness.system.calls["facts"]
        foreign_server = harness.system.start("vim", "toy")
        harness.system.listen(foreign_server, 8000)
        await asyncio.sleep(31)
        assert harness.system.calls["facts"] == looked + 1
        assert harness.records.servers == {}

    harness.run(story)


def test_failed_look_is_logged_and_repeated(harness: EngineHarness) -> None:
    from tests.fakes import Fault

    harness.system.fails["in_use"] = Fault(OSError(5, "no table"), times=1)

    async def story() -> None:
        await asyncio.sleep(1)
        assert len(harness.events.of("discovery.failed")) == 1
        await asyncio.sleep(31)
        assert harness.system.calls["in_use"] == 2
        assert len(harness.events.of("discovery.failed")) == 1

    harness.run(story)


def test_program_of_another_kind_on_a_known_port_is_not_asked(harness: EngineHarness) -> None:
    async def story() -> None:
        foreign_server = harness.system.start("python", "-m", "http.server", "8000")
        harness.system.listen(foreign_server, 8000)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def _failing(monkeypatch: pytest.MonkeyPatch, at: int) -> None:
    """Make every look at the process that holds this port fail."""
    honest = Recogniser.recognise

    async def look(self: Recogniser, kind: Kind, occupant: Occupant, port: int) -> ForeignServer | None:
        if port == at:
            raise OSError(24, "Too many open files")
        return await honest(self, kind, occupant, port)

    monkeypatch.setattr(Recogniser, "recognise", look)


@pytest.mark.usefixtures("answers")
def test_failed_look_at_one_process_hides_no_other_server(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tables = {"toy": ANSWERING}
    _failing(monkeypatch, 8000)

    async def story() -> None:
        start_foreign_toy(harness)
        other = start_foreign_toy(harness, http=8001)
        await asyncio.sleep(1)
        assert [record.process for record in harness.records.servers.values()] == [other]
        assert ("toy", 8000) in [(row["kind"], row["port"]) for row in harness.events.of("stranger.failed")]
        assert (await harness.up(harness.editor())).process == other

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_owner_pid_too_long_for_python_is_an_unknown_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}

    async def story() -> None:
        toy = start_foreign_toy(harness, owner="1" * 5000)
        await asyncio.sleep(600)
        assert harness.alive(toy)
        assert harness.records.server("toy").owners_unknown

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_found_server_is_followed_up_when_another_kind_fails(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = {"command": ["toz", "{http}", "{sessions}"], "ports": {"http": "8100-8103", "sessions": "9600-9603"}}
    harness.tables = {"toy": ANSWERING, "toz": {**ANSWERING, **elsewhere}}
    honest = Recogniser.find_servers

    async def find_servers(self: Recogniser, kind: Kind, facts: dict[int, PortFact]) -> dict[int, ForeignServer]:
        if kind.name == "toz":
            raise OSError(24, "Too many open files")
        return await honest(self, kind, facts)

    monkeypatch.setattr(Recogniser, "find_servers", find_servers)

    async def story() -> None:
        toy = start_foreign_toy(harness)
        start_foreign_toy(harness, http=8100)
        await asyncio.sleep(1)
        harness.system.end(toy)
        await asyncio.sleep(5)
        assert harness.records.servers == {}
        assert harness.events.of("discovery.failed")[0]["kind"] == "toz"

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_secrets_of_ended_foreign_servers_are_dropped(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}
    harness.discover = "off"

    async def story() -> None:
        for _ in range(3):
            toy = start_foreign_toy(harness)
            await harness.engine.inspector.port_reporter.explain("toy", ())
            harness.system.end(toy)
        assert len(harness.engine.inspector.port_reporter._recogniser._server_client._foreign_secrets) == 1

    harness.run(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("owner_lives", [True, False])
def test_environment_that_read_empty_is_read_again(harness: EngineHarness, owner_lives: bool) -> None:  # noqa: FBT001
    harness.tables = {"toy": ANSWERING}
    editor = harness.editor()
    toy = start_foreign_toy(harness, owner=str(editor.pid))
    harness.system.processes[toy.pid].blank = True

    async def story() -> None:
        if not owner_lives:
            harness.system.end(editor)
        await asyncio.sleep(20)
        assert harness.records.server("toy").owners_unknown
        harness.system.processes[toy.pid].blank = False
        await asyncio.sleep(40)
        assert harness.alive(toy) is owner_lives
        if owner_lives:
            assert [owner.process for owner in harness.records.server("toy").owners] == [editor]
            harness.system.end(editor)
            await asyncio.sleep(20)
            assert not harness.alive(toy)

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_thread_id_in_the_owner_variable_is_an_unknown_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}
    thread = harness.system.start("godot", "--editor")
    harness.system.processes[thread.pid].no_process = "it is a thread of process 4711"
    toy = start_foreign_toy(harness, owner=str(thread.pid))

    async def story() -> None:
        await asyncio.sleep(20)
        assert harness.records.server("toy").owners_unknown
        harness.system.end(thread)
        await asyncio.sleep(60)
        assert harness.alive(toy)

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_windows_pid_inside_wsl_is_an_unknown_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}
    toy = start_foreign_toy(harness, owner="4711")
    harness.system.processes[toy.pid].environment["WSLENV"] = "PATH/l:TOY_OWNER/u"

    async def story() -> None:
        await asyncio.sleep(40)
        assert harness.records.server("toy").owners_unknown
        assert harness.alive(toy), "nobody has the number here, and that proves nothing"

    harness.run(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("inherited", [True, False])
def test_inherited_owner_variable_is_an_unknown_owner(harness: EngineHarness, inherited: bool) -> None:  # noqa: FBT001
    harness.tables = {"toy": ANSWERING}
    named = harness.editor()
    other = harness.editor()
    toy = start_foreign_toy(harness, owner=str(named.pid), parent=other if inherited else named)

    async def story() -> None:
        await asyncio.sleep(40)
        assert harness.records.server("toy").owners_unknown is inherited
        harness.system.end(named)
        await asyncio.sleep(60)
        assert harness.alive(toy) is inherited
        assert harness.alive(other)

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_owner_variable_that_names_a_server_is_an_unknown_owner(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}

    async def story() -> None:
        ours = await harness.up(harness.editor())
        assert ours.process is not None
        other = start_foreign_toy(harness, owner=str(ours.process.pid), http=8002)
        await asyncio.sleep(40)
        assert harness.records.server("toy-2").owners_unknown
        await harness.supervisor.stop("toy")
        assert [harness.alive(ours.process), harness.alive(other)] == [False, True]

    harness.run(story)
