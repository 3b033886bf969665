"""Two sources of the same table."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from supervisor.native.linux import tcp
from supervisor.native.linux.tcp import TcpRow, TcpState

pytestmark = pytest.mark.linux_only

ADDRESSES = {"127.0.0.1": "127.0.0.1", "0.0.0.0": "0.0.0.0", "::1": "::1", "::": "::", "::ffff:127.0.0.1": "127.0.0.1"}


@pytest.fixture
def listening() -> Iterator[dict[int, str]]:
    """Open a listener on every kind of address; return port to the address that is to be shown."""
    with ExitStack() as stack:
        ports = {}
        for address, shown in ADDRESSES.items():
            listener = stack.enter_context(socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET))
            listener.bind((address, 0))
            listener.listen()
            ports[listener.getsockname()[1]] = shown
        yield ports


def unordered(rows: list[TcpRow]) -> set[TcpRow]:
    """Return the rows in an order that can be compared."""
    assert len(set(rows)) == len(rows)
    return set(rows)


def test_netlink_and_proc_find_the_same_listeners(listening: dict[int, str]) -> None:
    asked = tcp.netlink_rows(TcpState.LISTEN, listening)
    assert {row.port: row.address for row in asked} == listening
    assert all(row.inode for row in asked)
    assert unordered(asked) == unordered(tcp.proc_rows(TcpState.LISTEN, listening))
    assert tcp.netlink_rows(TcpState.LISTEN, ()) == []


def test_netlink_and_proc_find_the_same_connections(listening: dict[int, str]) -> None:
    with ExitStack() as stack:
        for port, address in listening.items():
            host = "::1" if address == "::1" else "127.0.0.1"
            stack.enter_context(socket.create_connection((host, port)))
        asked = tcp.netlink_rows(TcpState.ESTABLISHED, listening)
        assert sorted(row.port for row in asked) == sorted(listening)
        read = tcp.proc_rows(TcpState.ESTABLISHED, listening)
        assert sorted((row.port, row.address) for row in asked) == sorted((row.port, row.address) for row in read)


@pytest.mark.parametrize("constant", ["NETLINK_SOCK_DIAG", "SOCK_DIAG_BY_FAMILY"])
def test_proc_answers_if_netlink_refuses(
    listening: dict[int, str], constant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A protocol and a request that this kernel does not have.
    monkeypatch.setattr(tcp, constant, 31)
    with pytest.raises(OSError, match=r"not supported|Invalid argument"):
        tcp.netlink_rows(TcpState.LISTEN, listening)
    assert {row.port: row.address for row in tcp.rows(TcpState.LISTEN, listening)} == listening


def test_table_in_another_format_is_an_error() -> None:
    with pytest.raises(OSError, match="not understood"):
        list(tcp.parse("header\n  0: nonsense\n", TcpState.LISTEN, [80]))
