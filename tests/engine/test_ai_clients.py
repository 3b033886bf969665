"""AI clients in the engine: owners whose records outlive the daemon, and connections that do not."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.control.views import Views
from supervisor.core.model import ClientName, Editor, ProcessIdentity
from supervisor.engine.claims.calls.tracked import CallMaker, NewCall
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.resolve import EnsureRequest
from supervisor.errors import InvalidParams
from tests.engine.harness import TOY, EngineHarness

CLAUDE = ClientName("Claude Code", "2.1.0", "Claude")


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def bridge(harness: EngineHarness) -> ProcessIdentity:
    return harness.system.start("godot-supervisor", "mcp")


def introduce(harness: EngineHarness, process: ProcessIdentity, project: str | None = None) -> tuple[CallMaker, Editor]:
    """Introduce the client of a bridge on a new connection."""
    maker = harness.engine.ai_clients.new_maker("a client")
    client = harness.attachments.attach(Arrival(process.pid, project=project, client=CLAUDE))
    harness.engine.ai_clients.introduce(maker, client)
    return maker, client


async def own(harness: EngineHarness, process: ProcessIdentity) -> None:
    """Let a process own the server, as `server.ensure` with an owner does."""
    owner = harness.attachments.attach(Arrival(process.pid, is_owner=True))
    await harness.supervisor.ensure(EnsureRequest("toy", owner))


def views(harness: EngineHarness) -> Views:
    engine = harness.engine
    return Views(engine.context, engine.inspector.reaper, engine.exit_watches, engine.ai_clients)


def test_a_client_is_no_editor_and_claims_nothing(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        _, client = introduce(harness, bridge(harness), str(harness.folder))
        assert client.id == "claude-code-1"
        shown = views(harness)
        assert shown.editors() == ()
        [row] = shown.ai_clients.clients()
        assert (row.name, row.version, row.title, row.servers, row.connected) == (
            "Claude Code",
            "2.1.0",
            "Claude",
            (),
            True,
        )
        assert harness.records.server("toy").owners == ()
        assert harness.events.of("editor.attached") == []
        [attached] = harness.events.of("client.attached")
        assert (attached["client"], attached["name"]) == ("claude-code-1", "Claude Code")

    harness.run(story)


def test_a_client_that_owns_stays_a_client(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridge(harness)
        maker, client = introduce(harness, process)
        await own(harness, process)
        shown = views(harness)
        [owner] = shown.server(harness.records.server("toy")).owners
        assert (owner.editor, owner.client is not None and owner.client.name) == (client.id, "Claude Code")
        harness.engine.ai_clients.leave(maker)
        [row] = shown.ai_clients.clients()
        assert (row.connected, row.servers) == (False, ("toy",))
        assert shown.editors() == ()
        harness.attachments.release_server("toy", client.id)
        assert shown.ai_clients.clients() == ()
        assert [event["client"] for event in harness.events.of("client.detached")] == [client.id]

    harness.run(story)


def test_an_owner_becomes_a_client_when_it_is_introduced(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridge(harness)
        await own(harness, process)
        shown = views(harness)
        assert len(shown.editors()) == 1
        introduce(harness, process)
        assert shown.editors() == ()
        assert [row.servers for row in shown.ai_clients.clients()] == [("toy",)]

    harness.run(story)


def test_the_next_daemon_knows_clients_that_own(harness: EngineHarness) -> None:
    process = bridge(harness)

    async def story() -> None:
        introduce(harness, process)
        await own(harness, process)

    harness.run(story)
    later = harness.restarted()

    async def after() -> None:
        shown = views(later)
        assert shown.editors() == ()
        [row] = shown.ai_clients.clients()
        assert (row.id, row.name, row.connected, row.servers) == ("claude-code-1", "Claude Code", False, ("toy",))
        _, client = introduce(later, process)
        assert client.id == row.id
        [row] = shown.ai_clients.clients()
        assert row.connected

    later.run(after)


def test_the_server_of_a_dead_client_is_reaped(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridge(harness)
        maker, _ = introduce(harness, process)
        await own(harness, process)
        harness.system.end(process)
        harness.engine.ai_clients.leave(maker)
        await asyncio.sleep(30)
        assert "toy" not in harness.records.servers
        assert harness.records.editors == {}
        assert len(harness.events.of("client.ended")) == len(harness.events.of("client.detached")) == 1
        assert harness.events.of("editor.ended") == harness.events.of("editor.gone") == []

    harness.run(story)


def test_a_client_takes_over_no_server_of_an_editor(harness: EngineHarness) -> None:
    async def story() -> None:
        editor = harness.editor()
        await harness.up(editor, project=None)
        known = harness.attachments.attach(Arrival(editor.pid, project=str(harness.folder)))
        harness.attachments.detach(known.id, stop=False)
        introduce(harness, bridge(harness), str(harness.folder))
        [owner] = harness.records.server("toy").owners
        assert (owner.editor, owner.leaving) == (known.id, True)

    harness.run(story)


def test_an_editor_cannot_be_introduced_as_a_client(harness: EngineHarness) -> None:
    async def story() -> None:
        editor = harness.editor()
        known = harness.attachments.attach(Arrival(editor.pid, engine="godot"))
        with pytest.raises(InvalidParams, match="is the editor editor-1"):
            introduce(harness, editor)
        assert harness.records.editors == {known.id: known}
        maker, client = introduce(harness, bridge(harness))
        with pytest.raises(InvalidParams, match=f"that of process {client.process.pid}"):
            harness.engine.ai_clients.check_new(maker, editor.pid)

    harness.run(story)


def test_a_client_with_two_connections_is_one(harness: EngineHarness) -> None:
    async def story() -> None:
        process = bridge(harness)
        (first, client), (second, again) = introduce(harness, process), introduce(harness, process)
        assert again == client
        first.calls, second.calls = 2, 3
        assert [row.calls for row in views(harness).ai_clients.clients()] == [5]
        harness.engine.ai_clients.leave(first)
        assert harness.events.of("client.detached") == []
        harness.engine.ai_clients.leave(second)
        assert len(harness.events.of("client.detached")) == 1

    harness.run(story)


def test_running_calls_are_shown_with_client_and_server(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "gate": "serialize"}}

    async def story() -> None:
        await harness.up()
        maker, client = introduce(harness, bridge(harness), str(harness.folder))
        calls, shown = harness.engine.ai_clients.tool_calls, views(harness)
        before = shown.servers()
        assert shown.servers() is before
        for number in range(6):
            calls.begin(maker, NewCall(number, "toy", f"tool-{number}", read_only=number > 1))
        [row] = shown.ai_clients.clients()
        assert [(call.tool, call.state) for call in row.running[:2]] == [("tool-0", "running"), ("tool-1", "waiting")]
        assert (len(row.running), row.running_more, row.calls) == (4, 2, 6)
        [server] = shown.servers()
        assert (server.gate, len(server.calls), server.calls[0].client) == ("serialize", 6, client.id)
        assert shown.ai_clients.clients() is shown.ai_clients.clients()

    harness.run(story)


def test_names_become_ids(harness: EngineHarness) -> None:
    async def story() -> None:
        for name, expected in (("Claude Code", "claude-code-2"), ("../x y\n", "x-y-1"), ("\u2603", "client-1")):
            process = bridge(harness)
            client = harness.attachments.attach(Arrival(process.pid, client=replace(CLAUDE, name=name)))
            assert client.id == expected

    async def first() -> None:
        introduce(harness, bridge(harness))
        await story()

    harness.run(first)
