"""The table of sockets in the formats of Windows, and the results of a bind there."""

import errno
import socket
from typing import Any, ClassVar

import pytest

from supervisor.core.model import Bind, Occupant, ProcessIdentity
from supervisor.native.windows import tcp, win32
from supervisor.native.windows.processes.probe import WindowsProbe
from supervisor.native.windows.system import ports as windows_ports
from supervisor.native.windows.tcp import TcpRow, TcpState

LOOPBACK = "127.0.0.1"


def table(monkeypatch: pytest.MonkeyPatch, *rows: TcpRow) -> windows_ports.WindowsPortTable:
    monkeypatch.setattr(tcp, "rows", lambda _state, ports: [row for row in rows if row.port in ports])
    return windows_ports.WindowsPortTable(WindowsProbe())


class Refusing(socket.socket):
    number = 0

    def bind(self, _address: object) -> None:
        raise OSError(errno.EACCES, "refused", None, self.number)


@pytest.fixture(params=[win32.WSAEADDRINUSE, win32.WSAEACCES])
def refused(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(Refusing, "number", request.param)
    monkeypatch.setattr(socket, "socket", Refusing)
    number: int = request.param
    return number


def test_listener_without_a_known_process_has_no_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    # If no process has that pid any more, the row looks the same.
    ports = table(monkeypatch, TcpRow(LOOPBACK, 5, None), TcpRow("::1", 5, 2**31 - 3))
    fact = ports.facts([5])[5]
    assert [listener.occupant for listener in fact.listeners] == [Occupant(), Occupant()]
    assert ports.match_listeners([5], [ProcessIdentity(4, "1")]) == {}
    assert ports.in_use([5]) == {5}


def test_a_refusal_with_a_listener_is_a_taken_port(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    ports = table(monkeypatch, TcpRow("0.0.0.0", 5, None))
    assert ports.facts([5])[5].bind is Bind.TAKEN
    assert refused


def test_refusal_without_a_listener_is_a_reserved_range(monkeypatch: pytest.MonkeyPatch, refused: int) -> None:
    fact = table(monkeypatch).facts([5])[5]
    assert fact.bind is (Bind.EXCLUDED if refused == win32.WSAEACCES else Bind.TAKEN)
    assert fact.reason


def test_unreadable_table_does_not_make_a_port_free(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(win32, "GetExtendedTcpTable", lambda *_: 5)
    ports = windows_ports.WindowsPortTable(WindowsProbe())
    assert ports.facts([5])[5].bind is Bind.FAILED
    assert ports.count_connections(5) is None
    with pytest.raises(PermissionError):
        ports.in_use([5])


def test_system_without_ipv6_lists_ipv4_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    real = win32.GetExtendedTcpTable

    def without(*arguments: object) -> object:
        return tcp.NO_IPV6[0] if arguments[3] == win32.AF_INET6 else real(*arguments)

    monkeypatch.setattr(win32, "GetExtendedTcpTable", without)
    with socket.create_server((LOOPBACK, 0)) as listener:
        port = listener.getsockname()[1]
        assert [row.address for row in tcp.rows(TcpState.LISTEN, [port])] == [LOOPBACK]


class Noting(socket.socket):
    """A socket that notes the options that are set when it is bound."""

    exclusive: ClassVar[list[int]] = []

    def bind(self, address: Any) -> None:
        self.exclusive.append(self.getsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE))
        super().bind(address)


def test_a_trial_bind_does_not_share(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as sharing:
        sharing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sharing.bind((LOOPBACK, 0))
        sharing.listen()
        monkeypatch.setattr(Noting, "exclusive", [])
        monkeypatch.setattr(socket, "socket", Noting)
        assert windows_ports.try_bind(sharing.getsockname()[1], listened=True)[0] is Bind.TAKEN
    # A bind without the option is refused here as well; only the option itself excludes a second trial.
    assert [bool(set_) for set_ in Noting.exclusive] == [True]
