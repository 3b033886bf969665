"""The TCP ports of Linux."""

import sys
from collections.abc import Collection, Iterable, Mapping, Sequence

from ...core.model import Bind, ListeningSocket, Liveness, Occupant, PortFact, ProcessIdentity
from ..api import Probe
from ..facts import SERVES_LOOPBACK
from ..posix import processes, trial_bind
from ..shared.process_queries import ProcessQueries
from . import procfs, tcp

assert sys.platform == "linux"  # noqa: S101 (tells type checkers where this runs)


EVERY_PORT = range(1, 65536)


class LinuxPortTable:
    """Finds listeners in the socket tables and /proc/PID/fd; a trial bind tells whether a port is free."""

    def __init__(self, probe: Probe, queries: ProcessQueries) -> None:
        self._probe = probe
        self._queries = queries

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Return all listeners on each port, and the result of a trial bind."""
        wanted = frozenset(ports)
        try:
            rows = tcp.rows(tcp.TcpState.LISTEN, wanted)
        except OSError as error:
            return {port: PortFact(port, Bind.FAILED, reason=f"cannot tell who listens: {error}") for port in wanted}
        occupants = self._occupants(rows)
        facts = {}
        for port in sorted(wanted):
            bind, reason = trial_bind.try_bind(port)
            listeners = tuple(
                ListeningSocket(row.address, port, occupants[row.inode]) for row in rows if row.port == port
            )
            facts[port] = PortFact(port, bind, listeners, reason)
        return facts

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of these processes serves on 127.0.0.1; the first process counts."""
        rows = tcp.rows(tcp.TcpState.LISTEN, frozenset(ports))
        by_inode = {row.inode: row.port for row in rows if row.address in SERVES_LOOPBACK}
        found: dict[int, ProcessIdentity] = {}
        for identity in among if by_inode else ():
            held = self._queries.run(identity.pid, procfs.socket_inodes, identity.pid) & by_inode.keys()
            if held and self._probe.identify(identity.pid) == identity:
                for inode in held:
                    found.setdefault(by_inode[inode], identity)
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
            held = self._queries.run(identity.pid, procfs.socket_inodes, identity.pid)
        except OSError:
            return frozenset()
        found = frozenset((row.address, row.port) for row in rows if row.inode in held)
        return found if self._probe.sample(identity) is Liveness.ALIVE else frozenset()

    def count_connections(self, port: int) -> int | None:
        """Return the number of ESTABLISHED connections on this port; within this machine, those of the server's end."""
        try:
            return len(tcp.rows(tcp.TcpState.ESTABLISHED, (port,)))
        except OSError:
            return None

    def _occupants(self, rows: Sequence[tcp.TcpRow]) -> Mapping[int, Occupant]:
        holders = self._holders(frozenset(row.inode for row in rows))
        return {
            row.inode: self._probe.describe(holders[row.inode])
            if row.inode in holders
            else Occupant(user=processes.user_name(row.uid))
            for row in rows
        }

    def _holders(self, inodes: frozenset[int]) -> Mapping[int, int]:
        """Return the holder of each socket. Of several (a server and its forked workers) the oldest counts."""
        found: dict[int, tuple[int, int]] = {}
        for pid in procfs.pids() if inodes else ():
            try:
                held = self._queries.run(pid, procfs.socket_inodes, pid) & inodes
                if not held:
                    continue
                started = procfs.read_stat(pid).ticks
            except OSError:
                # The process has ended or hangs, so its sockets are unknown.
                continue
            for inode in held:
                found[inode] = min(found.get(inode, (started, pid)), (started, pid))
        return {inode: pid for inode, (_, pid) in found.items()}
