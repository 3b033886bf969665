"""What is believed of processes that carry a launch token of ours, after a registry or a daemon was lost."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.core.model import Origin, ProcessIdentity, ServerState
from supervisor.registry.codec import decode, encode
from tests.engine.house import House


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


Deed = Callable[[ProcessIdentity], Awaitable[None]]


def lived(house: House, deed: Deed) -> House:
    """A daemon that has started a server, and what happened then; the next daemon."""

    async def first() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        await deed(record.process)

    house.live(first)
    return house.restarted()


def launch_editor(house: House, server: ProcessIdentity) -> ProcessIdentity:
    """By the server's own tool: the editor inherits all variables, and leads a session of its own."""
    return house.system.fork(server, "godot", "--editor", session=7777)


def serves(house: House, parent: ProcessIdentity, http: int) -> ProcessIdentity:
    """The editor's plugin starts a server by itself."""
    server = house.system.fork(parent, "toy", str(http), str(http + 1500), session=8888)
    for port in (http, http + 1500):
        house.system.listen(server, port)
    return server


def test_after_a_lost_registry_an_editor_is_no_root_of_its_own_server(house: House) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(house, server)
        house.supervisor._monitor.close()
        house.system.end(server, -11)
        made.extend((editor, serves(house, editor, 8001)))

    later = lived(house, deed)
    later.store.data = None

    async def second() -> None:
        editor, server = made
        record = later.records.server("toy")
        assert (record.root, record.process, record.foreign) == (server, server, True)
        assert record.origin is Origin.ADOPTED
        await later.supervisor.stop("toy")
        assert [later.alive(each) for each in (editor, server)] == [True, False]
        assert editor.pid not in {row["pid"] for row in later.ear.of("signal.sent")}

    later.live(second)


def test_after_a_lost_registry_the_server_is_told_from_what_its_editor_started(house: House) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(house, server)
        made.extend((server, editor, serves(house, editor, 8001)))

    later = lived(house, deed)
    later.store.data = None

    async def second() -> None:
        server, editor, other = made
        record = later.records.server("toy")
        assert (record.root, record.process, record.foreign) == (server, server, False)
        await later.supervisor.stop("toy")
        assert [later.alive(each) for each in (server, editor, other)] == [False, True, True]

    later.live(second)


def test_what_only_carries_the_token_is_no_server(house: House) -> None:
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        made.append(launch_editor(house, server))
        house.supervisor._monitor.close()
        house.system.end(server, -11)
        house.system.listen(made[0], 8000)
        house.system.listen(made[0], 9500)

    later = lived(house, deed)
    later.store.data = None

    async def second() -> None:
        await asyncio.sleep(60)
        assert later.records.servers == {}
        assert "runs toy" in later.ear.of("server.not_rebuilt")[0]["reason"]
        assert later.ear.of("signal.sent") == []

    later.live(second)


def half_done(house: House) -> None:
    """The daemon was killed between the spawn and the moment when it wrote down what it had spawned."""
    assert house.store.data is not None
    state = decode(house.store.data)
    row = state.servers["toy"].with_(state=ServerState.STARTING, root=None, process=None)
    house.store.data = encode(replace(state, servers={"toy": row}))


@pytest.mark.parametrize("server_lives", [True, False])
def test_a_launch_cut_short_is_only_finished_with_its_own_process(house: House, server_lives: bool) -> None:  # noqa: FBT001
    made: list[ProcessIdentity] = []

    async def deed(server: ProcessIdentity) -> None:
        editor = launch_editor(house, server)
        made.extend((server, editor, serves(house, editor, 8001)))
        if not server_lives:
            house.supervisor._monitor.close()
            house.system.end(server, -11)

    later = lived(house, deed)
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
        assert later.ear.of("signal.sent") == []

    later.live(second)
