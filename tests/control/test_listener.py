import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from supervisor.errors import NotOurs
from supervisor.native import facts
from tests.control.harness import ListenerHarness, open_listener
from tests.privilege import IS_ROOT, ONLY_ROOT
from tests.systems import POSIX_ONLY

pytestmark = POSIX_ONLY


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


async def ping(harness: ListenerHarness, kind: str) -> None:
    wire = await harness.connect(kind)
    assert (await wire.ask("ping"))["result"] == {}
    await wire.close()


def test_the_socket_is_for_its_owner_only(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            assert harness.listener.transports[0]["path"] == str(tmp_path / "control" / "socket")
            assert mode_of(tmp_path / "control" / "socket") == 0o600
            assert mode_of(tmp_path / "control") == 0o700

    asyncio.run(scenario())


def test_tcp_is_the_literal_loopback_address(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            tcp = harness.listener.transports[1]
            assert tcp["host"] == "127.0.0.1"
            assert tcp["port"] > 1024

    asyncio.run(scenario())


def test_a_second_message_does_not_wait_for_an_acknowledgement(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire = await harness.connect("tcp")
            (open_connection,) = harness.all_connections.connections
            accepted = open_connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            await wire.close()

    asyncio.run(scenario())


def test_an_open_socket_folder_is_closed_to_other_users(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir(mode=0o755)

    async def scenario() -> None:
        async with open_listener(tmp_path):
            assert mode_of(tmp_path / "control") == 0o700

    asyncio.run(scenario())


def test_the_socket_file_of_a_dead_daemon_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(tmp_path / "control" / "socket"))
    stale.close()

    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            await ping(harness, "unix")

    asyncio.run(scenario())


def refused(folder: Path) -> NotOurs:
    async def scenario() -> None:
        async with open_listener(folder):
            pass

    with pytest.raises(NotOurs) as caught:
        asyncio.run(scenario())
    return caught.value


def test_a_linked_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "control").symlink_to(tmp_path / "elsewhere")
    assert "is a link" in refused(tmp_path).message
    assert not any((tmp_path / "elsewhere").iterdir())


@pytest.mark.needs_root
@pytest.mark.skipif(not IS_ROOT, reason=ONLY_ROOT)
def test_another_users_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir(mode=0o777)
    os.chown(tmp_path / "control", 54321, 54321)
    assert "another user" in refused(tmp_path).message


def test_a_file_in_the_sockets_place_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "control").mkdir()
    (tmp_path / "control" / "socket").write_text("precious")
    assert "is not a socket" in refused(tmp_path).message
    assert (tmp_path / "control" / "socket").read_text() == "precious"


def test_closing_removes_our_socket_file(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path):
            pass

    asyncio.run(scenario())
    assert not (tmp_path / "control").exists(), "its folder may lie among everybody's temporary files"


def test_closing_leaves_the_socket_file_of_another_daemon(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path):
            path = tmp_path / "control" / "socket"
            path.rename(path.with_name("ours"))
            with socket.socket(socket.AF_UNIX) as other:
                other.bind(str(path))

    asyncio.run(scenario())
    assert (tmp_path / "control" / "socket").exists()


def test_a_check_leaves_listening_sockets_alone(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            assert await harness.listener.check() is False
            assert not harness.events.entries

    asyncio.run(scenario())


def test_a_closed_tcp_socket_is_rebuilt_on_its_port(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            before = harness.listener.transports
            tcp = harness.listener._acceptors[1]
            assert tcp._server is not None
            tcp._server.close()
            assert await harness.listener.check() is False
            assert harness.listener.transports == before
            await ping(harness, "tcp")
            assert harness.events.named("listener.rebuilt")

    asyncio.run(scenario())


def test_a_port_that_another_program_took_is_replaced(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            port = harness.listener.transports[1]["port"]
            tcp = harness.listener._acceptors[1]
            assert tcp._server is not None
            tcp._server.close()
            with socket.create_server(("127.0.0.1", port)):
                assert await harness.listener.check() is True
            assert harness.listener.transports[1]["port"] != port
            await ping(harness, "tcp")

    asyncio.run(scenario())


def test_a_unix_socket_whose_folder_was_removed_is_rebuilt(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            (tmp_path / "control" / "socket").unlink()
            (tmp_path / "control").rmdir()
            await harness.listener.check()
            await ping(harness, "unix")

    asyncio.run(scenario())


def test_tcp_is_enough_if_the_unix_socket_cannot_be_made(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path / ("long" * 30)) as harness:
            assert [each["kind"] for each in harness.listener.transports] == ["tcp"]
            assert harness.events.named("listener.unavailable")
            await ping(harness, "tcp")

    asyncio.run(scenario())


def test_a_system_without_unix_sockets_uses_tcp_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facts, "HAS_UNIX_SOCKETS", False)

    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            assert [each["kind"] for each in harness.listener.transports] == ["tcp"]
            await ping(harness, "tcp")
        assert not (tmp_path / "control").exists()

    asyncio.run(scenario())


def test_closing_flushes_and_ends_every_connection(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            wire, unauthenticated = await harness.connect(), await harness.connect("tcp", greet=False)
            assert (await wire.ask("ping"))["result"] == {}
            wire.say({"jsonrpc": "2.0", "id": 2, "method": "server.list"})
            await wire.hear()
            await harness.listener.close()
            assert await wire.rest() == b""
            assert await unauthenticated.rest() == b""
            assert harness.all_connections.connections == ()
            await wire.close()
            await unauthenticated.close()

    asyncio.run(scenario())


def test_no_connection_is_accepted_after_the_shutdown_began(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with open_listener(tmp_path) as harness:
            endpoint = harness.endpoint
            harness.listener.begin_shutdown()
            tcp = endpoint.transports[1]
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection(tcp["host"], tcp["port"])
            assert await harness.listener.check() is False

    asyncio.run(scenario())
