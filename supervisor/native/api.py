"""The contracts between the daemon and the platform.

Each platform implements all of them; fakes pass the same tests.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Protocol

from ..core.model import Liveness, Occupant, PortFact, ProcessIdentity, ProcessRow
from ..values import frozen
from .lane import Lanes


class Clock(Protocol):
    """The time, handed in. Timers belong to the event loop, so a loop on virtual time moves both."""

    def monotonic(self) -> float:
        """Return seconds that never decrease."""
        ...

    def wall(self) -> float:
        """Return seconds since the epoch, for people."""
        ...


class Probe(Protocol):
    """Asks the kernel about one process. It never blocks and never sends signals."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Return the identity of the living process with this pid; None if there is none, or only a zombie.

        Raises:
            OSError: the system does not tell.
        """
        ...

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Return whether exactly this process lives. Never raises."""
        ...

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Return whether the daemon's user owns it; None: cannot tell."""
        ...

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Return whether it has the daemon's pid namespace; None: cannot tell."""
        ...

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Return the wall time of its start, seconds; None: cannot tell."""
        ...

    def creation_order(self, identity: ProcessIdentity) -> float | None:
        """Return its place in the order of creation, which no user can change: the older process has less.

        None: cannot tell.

        The unit depends on the system: seconds, ticks, processes. Only the order has a meaning.
        """
        ...

    def describe(self, pid: int) -> Occupant:
        """Return command line, user and start, for people."""
        ...

    def why_no_process(self, pid: int) -> str | None:
        """Return why the number of a living thing is no process of a user, for people; None if it is one.

        The number may be a thread's, or that of a part of the system.

        Raises:
            OSError: the system does not tell.
        """
        ...


class Watch(Protocol):
    """An armed watch."""

    def close(self) -> None:
        """Disarm. Harmless when repeated or after the exit."""
        ...


class ExitWatcher(Protocol):
    """Calls back once, on the event loop, when a process has ended. This is a hint; the probe decides."""

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm a watch: register first, then verify.

        A process that has already ended is reported in the next loop iteration.
        """
        ...

    def note(self) -> str | None:
        """Return what a user should know of a fallback in use; None if there is none."""
        ...


@frozen
class ChildCommand:
    """A command to run. `environment` is complete; output goes to the end of `log`.

    `keeps_input`: the input is empty, but does not end while the process lives, even if the daemon ends.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    log: Path
    keeps_input: bool = False


class ProcessControl(Protocol):
    """Starts and ends processes.

    It proves the identity of a process; `core.proof` decides about the right to end it.
    """

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        """Start a detached child: own session, no input, descriptors closed, limits as the user set them.

        Raises:
            OSError: the child could not be started; the text names the program.
        """
        ...

    def rehearse(self, command: ChildCommand) -> None:
        """Do all steps of `spawn` except the start itself. Blocking: call it off the loop.

        Raises:
            OSError: the child could not be started; the text names the program.
        """
        ...

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the exit status of a child that has ended (negative: the signal); None: unknown."""
        ...

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """Send the polite request of the platform; return False if the process had ended.

        Windows needs a helper, and other tasks run while it works. Elsewhere no other task runs.

        Raises:
            OSError: the system refused.
        """
        ...

    def kill(self, identity: ProcessIdentity) -> bool:
        """End the process by force; return False if it had ended.

        Raises:
            OSError: the system refused.
        """
        ...

    def table(self) -> tuple[ProcessRow, ...]:
        """Return every living process that can be seen, without zombies. Blocking: call it off the loop."""
        ...

    def is_unused(self, pid: int) -> bool:
        """Return whether it is proven that no process, and no group or session led by it, has this number. Cheap."""
        ...

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """Return an environment variable that the process was started with; None: not set.

        Blocking: call it off the loop.

        Raises:
            OSError: the system does not tell, or the process has ended.
        """
        ...


def identify_if_told(probe: Probe, pid: int) -> ProcessIdentity | None:
    """Return the process that has a pid now like `Probe.identify`; None also if the system does not tell."""
    try:
        return probe.identify(pid)
    except OSError:
        return None


def variable_if_told(processes: ProcessControl, identity: ProcessIdentity, name: str) -> str | None:
    """Return a variable like `ProcessControl.variable`; None also if the system does not tell."""
    try:
        return processes.variable(identity, name)
    except OSError:
        return None


class PortTable(Protocol):
    """Asks the system about TCP ports. Blocking: call it off the loop."""

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Return all listeners on each port, on any address, and the result of a trial bind on 127.0.0.1."""
        ...

    def match_listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """Return the ports on which one of these processes listens, on 127.0.0.1 or a wildcard. Cheap."""
        ...

    def in_use(self, ports: Collection[int]) -> frozenset[int]:
        """Return the ports on which any process listens, on any address. This is the cheapest query.

        Raises:
            OSError: the system does not tell.
        """
        ...

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Return every port that this process listens on, on 127.0.0.1 or a wildcard. Cheap; empty if hidden."""
        ...

    def addresses_of(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Return every address and port that this process listens on. Empty if hidden."""
        ...

    def count_connections(self, port: int) -> int | None:
        """Return the number of ESTABLISHED connections on this local port; None: cannot tell. Cheap."""
        ...


class FileWatcher(Protocol):
    """Reports writes to files."""

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """Call back once, on the event loop, at the next write.

        Raises:
            OSError: the file is missing, or cannot be watched.
        """
        ...

    def note(self) -> str | None:
        """Return what a user should know of a fallback in use; None if there is none."""
        ...


class PeerCheck(Protocol):
    """Identifies the peer of a unix socket."""

    def same_user(self, connection: socket) -> bool:
        """Return whether the peer runs as the daemon's user; False if the system does not tell."""
        ...


class AdoptionMarks(Protocol):
    """Marks by which the daemons of one user tell each other of adopted processes. Blocking, but short."""

    def note(self) -> str | None:
        """Return what keeps marks from being read, for people; None if nothing does. Does not block."""
        ...

    def prepare(self) -> None:
        """Make what the marks of processes that start from now on need."""
        ...

    def put(self, process: ProcessIdentity, home: str) -> None:
        """Note that a home looks after a process.

        Raises:
            OSError: other daemons would not see the mark.
        """
        ...

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """Note that a home no longer needs a process.

        Raises:
            OSError: the mark cannot be removed.
        """
        ...

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """Return the homes that look after a process.

        Raises:
            OSError: the marks cannot be read.
        """
        ...


@frozen
class Platform:
    """All contracts of one platform."""

    clock: Clock
    probe: Probe
    exits: ExitWatcher
    processes: ProcessControl
    ports: PortTable
    files: FileWatcher
    peers: PeerCheck
    lanes: Lanes
    marks: AdoptionMarks
