"""Processes that carry a launch token, after a registry or a daemon was lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.registry.codec import decode, encode
from tests.engine.harness import EngineHarness

Deed = Callable[[ProcessIdentity], Awaitable[None]]


def lived(harness: EngineHarness, deed: Deed) -> EngineHarness:
    """Run a daemon that starts a server, then `happened`, and return the next daemon."""

    async def first() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        await deed(record.process)

    harness.run(first)
    return harness.restarted()


def launch_editor(harness: EngineHarness, server: ProcessIdentity) -> ProcessIdentity:
    """Start an editor as the server does: it inherits all variables, and leads a session of its own."""
    return harness.system.fork(server, "godot", "--editor", session=7777)


def serves(harness: EngineHarness, parent: ProcessIdentity, http: int) -> ProcessIdentity:
    """Start a server as the plugin of an editor does."""
    server = harness.system.fork(parent, "toy", str(http), str(http + 1500), session=8888)
    for port in (http, http + 1500):
        harness.system.listen(server, port)
    return server


def test_rebuilt_server_is_not_rooted_in_its_editor(harness: EngineHarness) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(harness, server)
        harness.supervisor.monitor.close()
        harness.system.end(server, -11)
        made.extend((editor, serves(harness, editor, 8001)))

    later = lived(harness, deed)
    later.store.data = None

    async def second() -> None:
        editor, server = made
        record = later.records.server("toy")
        assert (record.root, record.process, record.foreign) == (server, server, True)
        assert record.origin is Origin.ADOPTED
        await later.supervisor.stop("toy")
        assert [later.alive(each) for each in (editor, server)] == [True, False]
        assert editor.pid not in {row["pid"] for row in later.events.of("signal.sent")}

    later.run(second)


def test_rebuilt_server_is_told_from_servers_of_its_editor(harness: EngineHarness) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(harness, server)
        made.extend((server, editor, serves(harness, editor, 8001)))

    later = lived(harness, deed)
    later.store.data = None

    async def second() -> None:
        server, editor, other = made
        record = later.records.server("toy")
        assert (record.root, record.process, record.foreign) == (server, server, False)
        await later.supervisor.stop("toy")
        assert [later.alive(each) for each in (server, editor, other)] == [False, True, True]

    later.run(second)


def test_process_that_only_carries_the_token_is_no_server(harness: EngineHarness) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        made.append(launch_editor(harness, server))
        harness.supervisor.monitor.close()
        harness.system.end(server, -11)
        harness.system.listen(made[0], 8000)
        harness.system.listen(made[0], 9500)

    later = lived(harness, deed)
    later.store.data = None

    async def second() -> None:
        await asyncio.sleep(60)
        assert later.records.servers == {}
        assert "runs toy" in later.events.of("server.not_rebuilt")[0]["reason"]
        assert later.events.of("signal.sent") == []

    later.run(second)


def half_done(harness: EngineHarness) -> None:
    """Run a daemon that is killed between the spawn and the record of the spawned process."""
    assert harness.store.data is not None
    state = decode(harness.store.data)
    row = state.servers["toy"].with_(state=ServerState.STARTING, root=None, process=None)
    harness.store.data = encode(replace(state, servers={"toy": row}))


@pytest.mark.parametrize("server_lives", [True, False])
def test_interrupted_launch_is_finished_only_with_its_own_process(harness: EngineHarness, server_lives: bool) -> None:  # noqa: FBT001
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(harness, server)
        made.extend((server, editor, serves(harness, editor, 8001)))
        if not server_lives:
            harness.supervisor.monitor.close()
            harness.system.end(server, -11)

    later = lived(harness, deed)
    half_done(later)

    async def second() -> None:
        await asyncio.sleep(60)
        server, editor, other = made
        record = later.records.server("toy")
        if server_lives:
            assert (record.state, record.root) == (ServerState.READY, server)
        else:
            assert record.state is ServerState.FAILED
        assert later.alive(editor)
        assert later.alive(other)
        assert later.events.of("signal.sent") == []

    later.run(second)
