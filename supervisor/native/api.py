"""The contracts between the daemon and the platform. These docstrings are the specification of a platform.

Each platform implements all of them; fakes pass the same tests (`tests/contract`). An implementation's own docstrings
say only what is special about its system. Methods are called on the event loop, except those that are "Blocking":
these may wait for the system, so callers run them in a thread (`Platform.lanes`).
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Protocol

from ..core.model import Liveness, Occupant, PortFact, ProcessIdentity, ProcessRow
from ..values import frozen
from .lane import Lanes


class Clock(Protocol):
    """The time. It is handed in so that tests control it; timers belong to the event loop, which tests replace too."""

    def monotonic(self) -> float:
        """Return seconds that never decrease, from the clock of the event loop. Only differences have a meaning."""

    def wall(self) -> float:
        """Return seconds since 1970 (Unix time), for people. A user may set this clock back."""


class Probe(Protocol):
    """Asks the kernel about one process. A probe never acts on a process. Only `describe` may block."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity of the living process with this pid; None if no process has it, or a zombie has it.

        Raises:
            OSError: the system does not tell.
        """

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Return whether exactly this process lives. Never raises.

        A zombie is DEAD, and so is a process whose pid another process has now. UNKNOWN: the system does not tell.
        """

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Return whether the process runs as the daemon's user; None if it has ended or the system does not tell."""

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Return whether a pid means the same process to this process as to the daemon; None if that is not known.

        On Linux a process in a container has a pid namespace of its own. Other systems have one for all processes.
        """

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Return when the process started, in seconds since 1970; None if the system does not tell."""

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        """Return a number that is smaller for the older of two processes; None if the system does not tell.

        No user can change the order, while `started_at` follows a clock that can be set. The unit depends on the
        system (seconds, ticks, processes), so only the order has a meaning.
        """

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start of the process with this pid, for people. Blocking. Never raises.

        What the system does not tell is left out; everything is if the process has ended.
        """

    def why_no_process(self, pid: int) -> str | None:
        """Return why this pid is no process of a user, for people; None if it is one, or if no process has it.

        On some systems threads have numbers that queries about processes accept, and so have parts of the kernel.

        Raises:
            OSError: the system does not tell.
        """


class Watch(Protocol):
    """An armed watch: its callback has not been called yet."""

    def close(self) -> None:
        """Disarm: the callback is not called any more. Harmless when repeated, and after the callback."""


class ExitWatcher(Protocol):
    """Calls back when a process has ended. The call is a hint: a caller asks the probe before it acts."""

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Call back once, on the event loop, when this process has ended. Never raises: if the system refuses, poll.

        For a process that has already ended, call back in the next loop iteration. An implementation therefore
        registers with the system first and asks the probe second, so that no end falls between the two.
        """

    def note(self) -> str | None:
        """Return a sentence for users about polling that replaces the system's events; None if nothing is polled."""


@frozen
class ChildCommand:
    """A program to start as a child, `argv[0]`, with its arguments.

    `environment` replaces the daemon's own. Standard output and errors go to the end of the file `log`. Standard input
    is empty and at its end; with `keeps_input` it is empty, but does not end while the child lives, even if the daemon
    ends.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    log: Path
    keeps_input: bool = False


class ProcessControl(Protocol):
    """Starts, lists and ends processes.

    An implementation acts on exactly the process that an identity names, never on another one that has its pid now.
    `core.processes.proof` decides before whether a process may be ended.
    """

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        """Start a child that outlives the daemon, and return its identity. Call this on the running event loop.

        The child has a session of its own (on Windows, a job and a hidden console), inherits no descriptor but those
        of `ChildCommand`, and has the limits that the user set, not those that the daemon raised for itself. It is
        waited for as soon as it ends, so that it never stays a zombie.

        Raises:
            OSError: the child could not be started; the text names the program.
        """

    def rehearse(self, command: ChildCommand) -> None:
        """Check everything that `spawn` needs, without starting the child. Blocking.

        Raises:
            OSError: `spawn` would fail; the text names the program.
        """

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the status of an ended child, negative for a signal; None for any other process, or if forgotten."""

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """Ask the process to end (SIGTERM, on Windows CTRL_BREAK); return False if it had ended already.

        Windows needs a helper, and other tasks run while it works. Elsewhere no other task runs.

        Raises:
            OSError: the system refused, or has no request for this process.
        """

    def kill(self, identity: ProcessIdentity) -> bool:
        """End the process by force; return False if it had ended already. The end itself may come later.

        Raises:
            OSError: the system refused.
        """

    def table(self) -> tuple[ProcessRow, ...]:
        """Return every living process that the daemon's user can see, without zombies. Blocking.

        Raises:
            OSError: the system does not tell.
        """

    def is_unused(self, pid: int) -> bool:
        """Return whether it is proven that no process, process group or session has this number. False if unsure."""

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Return an environment variable that the process was started with; None if it was not set. Blocking.

        Raises:
            OSError: the system does not tell, or the process has ended.
        """


def identify_if_told(probe: Probe, pid: int) -> ProcessIdentity | None:
    """Return the process that has a pid now like `Probe.identify`; None also if the system does not tell."""
    try:
        return probe.identify(pid)
    except OSError:
        return None


def variable_if_told(processes: ProcessControl, identity: ProcessIdentity, name: str) -> str | None:
    """Return `processes.variable(identity, name)`; None also if the system does not tell. Blocking."""
    try:
        return processes.variable(identity, name)
    except OSError:
        return None


class PortTable(Protocol):
    """Asks the system about TCP ports. All methods block. Most systems hide the sockets of other users' processes."""

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Return one entry for each port: its listeners on any address, and the result of a trial bind on 127.0.0.1.

        Never raises: a port about which the system does not tell has the result `Bind.FAILED` and a reason.
        """

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of the processes `among` serves on 127.0.0.1, each with its process.

        A listener on a wildcard address serves 127.0.0.1 as well. Of several processes on one port, the first counts.

        Raises:
            OSError: the system does not tell.
        """

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        """Return those of the ports on which any process listens, on any address. This is the cheapest query.

        Raises:
            OSError: the system does not tell.
        """

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Return every port that this process serves on 127.0.0.1; none if the system does not tell."""

    def addresses_of(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Return every pair of address and port that this process listens on; none if the system does not tell."""

    def count_connections(self, port: int) -> int | None:
        """Return how many connections of this local port are ESTABLISHED; None if the system does not tell.

        Of a connection within this machine only the end with this port is counted.
        """


class FileWatcher(Protocol):
    """Calls back when a file has been written to."""

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """Call back once, on the event loop, after the next write to this file. It may be late by seconds.

        Raises:
            OSError: the file is missing, or cannot be watched.
        """

    def note(self) -> str | None:
        """Return a sentence for users about polling that replaces the system's events; None if nothing is polled."""


class PeerCheck(Protocol):
    """Tells which user is at the other end of a unix socket."""

    def same_user(self, connection: socket) -> bool:
        """Return whether the peer ran as the daemon's user when it connected; False if the system does not tell."""


class AdoptionMarks(Protocol):
    """Adoption marks, by which the daemons of one user tell each other which home looks after a process.

    A home is named by `Folders.home_id`. All methods but `note` touch a few small files, so they block, but briefly.
    """

    def note(self) -> str | None:
        """Return what has kept marks from being read or written, for people; None if nothing has."""

    def prepare(self) -> None:
        """Make the place of the marks. Marks of processes that start after this are known to be complete."""

    def put(self, process: ProcessIdentity, home: str) -> None:
        """Mark that this home looks after a process. A repeated mark changes nothing.

        Raises:
            OSError: other daemons would not see the mark.
        """

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """Remove the mark of this home for a process, if there is one.

        Raises:
            OSError: the mark cannot be removed.
        """

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """Return the homes that have a mark for a process.

        Raises:
            OSError: the marks cannot be read, or some may have been lost.
        """


@frozen
class Platform:
    """All contracts of one platform, implemented. `open_platform` returns the one of this system."""

    clock: Clock
    probe: Probe
    exits: ExitWatcher
    processes: ProcessControl
    ports: PortTable
    files: FileWatcher
    peers: PeerCheck
    lanes: Lanes
    marks: AdoptionMarks
