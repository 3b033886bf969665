"""The TCP ports of Windows: its tables, and trial binds."""

import socket
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...core.model import Bind, ListeningSocket, Liveness, Occupant, PortFact, ProcessIdentity
from ..api import Probe
from ..facts import LOOPBACK, SERVES_LOOPBACK
from . import tcp, win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)


EVERY_PORT = range(1, 65536)


class WindowsPortTable:
    """Finds listeners in the system's table; a trial bind tells whether a port is free."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Return all listeners on each port, and the result of a trial bind."""
        wanted = frozenset(ports)
        try:
            rows = tcp.rows(tcp.TcpState.LISTEN, wanted)
        except OSError as error:
            return {port: PortFact(port, Bind.FAILED, reason=f"cannot tell who listens: {error}") for port in wanted}
        occupants = {pid: self._occupant(pid) for pid in {row.pid for row in rows}}
        facts = {}
        for port in sorted(wanted):
            listeners = tuple(
                ListeningSocket(row.address, port, occupants[row.pid]) for row in rows if row.port == port
            )
            bind, reason = try_bind(port, listened=any(one.address in SERVES_LOOPBACK for one in listeners))
            facts[port] = PortFact(port, bind, listeners, reason)
        return facts

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of these processes serves on 127.0.0.1; the first process counts."""
        rows = _serving(tcp.rows(tcp.TcpState.LISTEN, frozenset(ports)))
        found: dict[int, ProcessIdentity] = {}
        for identity in among:
            held = [row.port for row in rows if row.pid == identity.pid]
            if held and self._probe.identify(identity.pid) == identity:
                for port in held:
                    found.setdefault(port, identity)
        return found

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        """Return the ports that any process listens on."""
        return frozenset(row.port for row in tcp.rows(tcp.TcpState.LISTEN, ports))

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Return every port that this process listens on."""
        return frozenset(port for address, port in self.addresses_of(identity) if address in SERVES_LOOPBACK)

    def addresses_of(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Return every address and port that this process listens on."""
        try:
            rows = tcp.rows(tcp.TcpState.LISTEN, EVERY_PORT)
        except OSError:
            return frozenset()
        found = frozenset((row.address, row.port) for row in rows if row.pid == identity.pid)
        return found if self._probe.sample(identity) is Liveness.ALIVE else frozenset()

    def count_connections(self, port: int) -> int | None:
        """Return the number of ESTABLISHED connections on this port; within this machine, those of the server's end."""
        try:
            return len(tcp.rows(tcp.TcpState.ESTABLISHED, (port,)))
        except OSError:
            return None

    def _occupant(self, pid: int | None) -> Occupant:
        return Occupant() if pid is None else self._probe.describe(pid)


def try_bind(port: int, *, listened: bool) -> tuple[Bind, str | None]:
    """Return whether 127.0.0.1 can be bound, or the system's reason.

    SO_EXCLUSIVEADDRUSE is set, so that no other process shares the port with the trial. FREE does not exclude a
    listener: 127.0.0.1 can be bound beside a wildcard listener, and then gets its connections. The list of listeners
    shows that one. Windows reports 10013 for a range that it reserves, and also for a listener that does not share:
    `listened` tells them apart.
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
