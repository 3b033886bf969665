"""The TCP ports of macOS. Only root may list all of them at once, so processes are asked one by one."""

import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from ...core.model import Bind, ListeningSocket, Liveness, Occupant, PortFact, ProcessIdentity
from ..facts import LOOPBACK, SERVES_LOOPBACK
from ..posix import trial_bind
from ..shared.process_queries import PatientProbe, ProcessQueries
from . import probe as darwin_probe

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this may run; tests run it on Linux)

ON_LOOPBACK = SERVES_LOOPBACK | {"*"}
LSOF = "/usr/sbin/lsof"
LSOF_TIMEOUT_S = 5.0
ANOTHER_USER = "another user"

Lsof = Callable[[int], Sequence[int]]


class DarwinPortTable:
    """Finds listeners by psutil, which sees the sockets of this user's processes only.

    For a port that is taken by another process lsof is asked; without an answer, another user has the port.
    """

    def __init__(
        self,
        probe: darwin_probe.DarwinProbe,
        system: Any,
        lsof: "Lsof | None" = None,
        *,
        queries: ProcessQueries | None = None,
    ) -> None:
        """Use the module `psutil` as `system`."""
        self._probe = probe
        self._queries = queries or ProcessQueries(probe.identify)
        self._patient = PatientProbe(probe, self._queries)
        self._system = system
        self._lsof = lsof or lsof_listeners

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Return all listeners on each port, and the result of a trial bind."""
        wanted = frozenset(ports)
        found: dict[int, dict[tuple[str, int], ListeningSocket]] = {port: {} for port in wanted}
        for pid in self._own_pids() if wanted else ():
            for address, port in self._listening(pid):
                if port in wanted:
                    found[port][address, pid] = ListeningSocket(address, port, self._patient.describe(pid))
        return {port: self._fact(port, tuple(found[port].values())) for port in sorted(wanted)}

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of these processes serves on 127.0.0.1; the first process counts."""
        wanted = frozenset(ports)
        found: dict[int, ProcessIdentity] = {}
        for identity in among:
            for port in self.held_by(identity) & wanted:
                found.setdefault(port, identity)
        return found

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        """Return the ports that a process of this user listens on. Servers of other users could not be recognised."""
        return frozenset(port for pid in self._own_pids() for _, port in self._listening(pid) if port in ports)

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Return every port that this process listens on."""
        return frozenset(port for address, port in self.addresses_of(identity) if address in ON_LOOPBACK)

    def addresses_of(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Return every address and port that this process listens on."""
        held = frozenset(self._listening(identity.pid))
        return held if self._probe.sample(identity) is Liveness.ALIVE else frozenset()

    def count_connections(self, port: int) -> int | None:
        """Return the number of ESTABLISHED connections on this port; within this machine, those of the server's end.

        Returns None if a process hides its sockets and may be the one that serves the port: no readable process serves
        it, or the hidden one was started by a process that does.
        """
        count, serving, hidden = 0, set(), set()
        for pid in self._own_pids():
            connections = self._connections(pid)
            if connections is None:
                hidden.add(pid)
                continue
            here = [each.status for each in connections if each.laddr.port == port]
            count += here.count(self._system.CONN_ESTABLISHED)
            if here:
                serving.add(pid)
        unknown = hidden if not serving else {pid for pid in hidden if self._probe.parent(pid) in serving}
        return None if unknown else count

    def _fact(self, port: int, listeners: tuple[ListeningSocket, ...]) -> PortFact:
        bind, reason = trial_bind.try_bind(port)
        if bind is Bind.TAKEN and not listeners:
            occupants = [self._patient.describe(pid) for pid in self._lsof(port)]
            occupants = [occupant for occupant in occupants if occupant.identity] or [Occupant(user=ANOTHER_USER)]
            listeners = tuple(ListeningSocket(LOOPBACK, port, occupant) for occupant in occupants)
        return PortFact(port, bind, listeners, reason)

    def _own_pids(self) -> Iterator[int]:
        """Yield the pids of this user's processes."""
        for pid in self._probe.pids():
            try:
                if self._system.Process(pid).uids().effective == os.geteuid():
                    yield pid
            except self._system.Error:
                # The process has ended, or the system does not tell its owner.
                continue

    def _listening(self, pid: int) -> Iterator[tuple[str, int]]:
        for connection in self._connections(pid) or ():
            if connection.status == self._system.CONN_LISTEN:
                yield connection.laddr.ip, connection.laddr.port

    def _connections(self, pid: int) -> Sequence[Any] | None:
        """Return the sockets of a process, none if it has ended; None if it hides them."""
        try:
            process = self._system.Process(pid)
            found: Sequence[Any] = self._queries.run(pid, process.net_connections, kind="tcp")
        except (self._system.NoSuchProcess, self._system.ZombieProcess):
            return ()
        except (self._system.Error, OSError, RuntimeError):
            # psutil raises RuntimeError if the list of descriptors changed while it was read (psutil #2116).
            return None
        return [connection for connection in found if connection.laddr]


def lsof_listeners(port: int) -> Sequence[int]:
    """Return the pids that lsof names for a listener; none if lsof is missing or takes too long."""
    command = [LSOF, "-nP", "-a", f"-iTCP:{port}", "-sTCP:LISTEN", "-Fp"]
    try:
        ran = subprocess.run(command, capture_output=True, text=True, timeout=LSOF_TIMEOUT_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return [int(line[1:]) for line in ran.stdout.splitlines() if line.startswith("p") and line[1:].isdecimal()]
