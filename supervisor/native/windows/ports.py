"""Windows' TCP tables, with what only a bind tells."""

import socket
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...core.model import Bind, Listener, Liveness, Occupant, PortFact, ProcessIdentity
from ..api import Probe
from ..facts import LOOPBACK, SERVES_LOOPBACK
from . import tcp, win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


EVERY_PORT = range(1, 65536)


class WindowsPortTable:
    """Who listens comes from the system's table, whether a port is free from a bind."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Every listener on each port, and what a trial bind says."""
        wanted = frozenset(ports)
        try:
            rows = tcp.rows(tcp.TcpState.LISTEN, wanted)
        except OSError as error:
            return {port: PortFact(port, Bind.FAILED, reason=f"cannot tell who listens: {error}") for port in wanted}
        occupants = {pid: self._occupant(pid) for pid in {row.pid for row in rows}}
        facts = {}
        for port in sorted(wanted):
            listeners = tuple(Listener(row.address, port, occupants[row.pid]) for row in rows if row.port == port)
            bind, reason = try_bind(port, listened=any(one.address in SERVES_LOOPBACK for one in listeners))
            facts[port] = PortFact(port, bind, listeners, reason)
        return facts

    def listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """The ports of these that one of these processes serves on 127.0.0.1; the first of them counts."""
        rows = _serving(tcp.rows(tcp.TcpState.LISTEN, frozenset(ports)))
        found: dict[int, ProcessIdentity] = {}
        for identity in among:
            held = [row.port for row in rows if row.pid == identity.pid]
            if held and self._probe.identify(identity.pid) == identity:
                for port in held:
                    found.setdefault(port, identity)
        return found

    def listening(self, ports: Collection[int]) -> frozenset[int]:
        """The ports of these that anybody listens on."""
        return frozenset(row.port for row in tcp.rows(tcp.TcpState.LISTEN, ports))

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Every port that this process listens on."""
        return frozenset(port for address, port in self.addresses(identity) if address in SERVES_LOOPBACK)

    def addresses(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Every address and port that this process listens on."""
        try:
            rows = tcp.rows(tcp.TcpState.LISTEN, EVERY_PORT)
        except OSError:
            return frozenset()
        found = frozenset((row.address, row.port) for row in rows if row.pid == identity.pid)
        return found if self._probe.sample(identity) is Liveness.ALIVE else frozenset()

    def connections(self, port: int) -> int | None:
        """ESTABLISHED connections on this local port: of a connection within this machine, the server's end."""
        try:
            return len(tcp.rows(tcp.TcpState.ESTABLISHED, (port,)))
        except OSError:
            return None

    def _occupant(self, pid: int | None) -> Occupant:
        return Occupant() if pid is None else self._probe.describe(pid)


def try_bind(port: int, *, listened: bool) -> tuple[Bind, str | None]:
    """Whether 127.0.0.1 can be bound, and the system's reason where it cannot.

    With SO_EXCLUSIVEADDRUSE, so that nobody shares the port with the trial. FREE does not mean that nobody listens:
    beside a wildcard listener 127.0.0.1 can be bound, and then gets what comes there. The listeners tell of that one.
    Windows says 10013 of a range that it keeps to itself, and also of a listener that does not share: `listened` tells
    them apart.
    """
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as trial:
            trial.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
            trial.bind((LOOPBACK, port))
    except OSError as error:
        refused = Bind.TAKEN if listened else Bind.EXCLUDED
        verdict = {win32.WSAEADDRINUSE: Bind.TAKEN, win32.WSAEACCES: refused}.get(error.winerror or 0, Bind.FAILED)
        return verdict, error.strerror or str(error)
    return Bind.FREE, None


def _serving(rows: Iterable[tcp.TcpRow]) -> list[tcp.TcpRow]:
    return [row for row in rows if row.address in SERVES_LOOPBACK]
