import asyncio

import pytest

from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest, Candidate
from supervisor.engine.starting.resolve import EnsureRequest
from supervisor.errors import Busy, NotOurs
from supervisor.native.api import ChildCommand
from tests.catalogs import catalog_of
from tests.core.examples import foreign_server
from tests.engine.answers import ANSWERING, start_foreign_toy
from tests.engine.harness import TOY, EngineHarness, serve
from tests.fakes import FakeProcess, FakeProcessControl, FakeSystem


def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def test_foreign_server_on_reserved_ports_is_not_adopted_yet(harness: EngineHarness) -> None:
    harness.system.programs["toy"] = slow

    async def story() -> None:
        start = asyncio.create_task(harness.up(harness.editor()))
        await asyncio.sleep(1)
        ports = dict(harness.records.server("toy").ports)
        thief = Candidate("toy-2", catalog_of({"toy": TOY}).get("toy"), None, foreign_server(ports))
        with pytest.raises(Busy, match="promised to toy"):
            harness.supervisor.adopter.refuse_reserved_ports(thief)
        assert list(harness.records.servers) == ["toy"]
        await start
        elsewhere = {name: port + 1 for name, port in ports.items()}
        harness.supervisor.adopter.refuse_reserved_ports(
            Candidate("toy-2", thief.kind, None, foreign_server(elsewhere))
        )
        assert list(harness.records.servers) == ["toy"]

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_adoption_does_not_overwrite_the_record_of_a_new_server(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tables = {"toy": ANSWERING}

    async def story() -> None:
        foreign_server = start_foreign_toy(harness, http=8003)
        request = AdoptRequest(pid=foreign_server.pid)
        adopter = harness.supervisor.adopter
        candidate = await adopter.find(request)
        started = await harness.up(harness.editor())
        assert started.id == candidate.server

        async def find(request: AdoptRequest) -> Candidate:  # noqa: ARG001 (it was found before)
            return candidate

        monkeypatch.setattr(adopter, "find", find)
        with pytest.raises(NotOurs, match="has become another server"):
            await harness.supervisor.adopt(request)
        assert harness.records.server("toy").process == started.process
        await asyncio.sleep(600)
        assert harness.alive(started.process)

    harness.run(story)


@pytest.mark.usefixtures("answers")
def test_only_a_launcher_stands_for_the_server_that_it_runs(harness: EngineHarness) -> None:
    harness.tables = {"toy": ANSWERING}

    async def story() -> None:
        terminal = harness.system.start("tmux")
        shell = harness.system.start("sh", "-c", "toy 8000 9500", parent=terminal.pid)
        toy = start_foreign_toy(harness, parent=shell)
        with pytest.raises(NotOurs, match="command line"):
            await harness.supervisor.adopt(AdoptRequest(pid=terminal.pid))
        assert (await harness.supervisor.adopt(AdoptRequest(pid=shell.pid))).process == toy

    harness.run(story)


def test_all_kinds_ask_a_silent_process_at_once(harness: EngineHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    harness.tables = {f"toy{number}": TOY for number in range(8)}

    async def story() -> None:
        process = harness.system.start("toy", "8000", "9500")
        serve(
            harness.system,
            harness.system.processes[process.pid],
            ChildCommand(("toy", "8000", "9500"), {}, harness.folder, None),
        )

        async def mute(*_: object) -> None:
            await asyncio.sleep(1)

        monkeypatch.setattr(harness.supervisor.adopter._recogniser, "recognise", mute)
        began = harness.system.clock.monotonic()
        with pytest.raises(NotOurs):
            await harness.supervisor.adopt(AdoptRequest(port=8000))
        assert harness.system.clock.monotonic() - began < 2

    harness.run(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("hidden", [True, False])
def test_adopted_server_with_a_hidden_environment_has_unknown_owners(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch, *, hidden: bool
) -> None:
    harness.tables = {"toy": ANSWERING}

    def unreadable(*_: object) -> str | None:
        raise PermissionError(13, "Permission denied")

    async def story() -> None:
        server, adopter = start_foreign_toy(harness), harness.editor()
        editor = harness.attachments.attach(Arrival(adopter.pid))
        with monkeypatch.context() as moment:
            if hidden:
                moment.setattr(FakeProcessControl, "variable", unreadable)
            record = await harness.supervisor.adopt(AdoptRequest(pid=server.pid, editor=editor))
        assert record.owners_unknown is hidden
        harness.attachments.detach(editor.id, stop=True)
        await asyncio.sleep(120)
        assert harness.alive(server) is hidden

    harness.run(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("between", [(), ("uvx", "toy"), ("bash",), ("python", "agent.py")])
def test_server_that_an_editor_has_started_is_the_editors(harness: EngineHarness, between: tuple[str, ...]) -> None:
    """A launcher may be between the two, and no shell: a person may have started the server there."""
    harness.tables = {"toy": ANSWERING}
    editor = harness.editor()
    parent = harness.system.fork(editor, *between) if between else editor
    is_direct = between in ((), ("uvx", "toy"))

    async def story() -> None:
        attached = harness.attachments.attach(Arrival(editor.pid, engine="godot"))
        server = start_foreign_toy(harness, parent=parent)
        record = await harness.supervisor.ensure(EnsureRequest("toy", attached))
        assert (record.process, record.owners_unknown) == (server, not is_direct)
        harness.system.end(editor)
        await asyncio.sleep(60)
        assert harness.alive(server) is not is_direct

    harness.run(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("leaves", [True, False])
def test_adopted_server_that_ends_with_its_editor_stays_away(harness: EngineHarness, *, leaves: bool) -> None:
    """Plugins that start a server end it when their editor closes, while the editor's process still runs."""
    harness.tables = {"toy": ANSWERING}
    editor = harness.editor()

    async def story() -> None:
        attached = harness.attachments.attach(Arrival(editor.pid, engine="godot"))
        server = start_foreign_toy(harness, parent=editor)
        await harness.supervisor.ensure(EnsureRequest("toy", attached))
        if leaves:
            harness.attachments.detach(attached.id, stop=False)
        harness.system.end(server)
        await asyncio.sleep(5)
        assert ("toy" in harness.records.servers) is not leaves

    harness.run(story)
