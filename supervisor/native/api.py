"""The contracts between the daemon and the platform. One wing implements them all; fakes pass the same tests."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from socket import socket
from typing import Protocol

from ..core.model import Liveness, Occupant, PortFact, ProcessIdentity, ProcessRow
from ..values import frozen
from .lane import Lanes


class Clock(Protocol):
    """Time, handed in. Timers are the event loop's own, so a loop on virtual time moves both."""

    def monotonic(self) -> float:
        """Seconds that never go back."""
        ...

    def wall(self) -> float:
        """Seconds since the epoch, for people."""
        ...


class Probe(Protocol):
    """Asks the kernel about one process. Never blocks, never signals."""

    def identify(self, pid: int) -> ProcessIdentity | None:
        """Who is behind this pid now. None: nobody who lives (no such process, or a zombie).

        Raises:
            OSError: the system would not tell.
        """
        ...

    def sample(self, identity: ProcessIdentity) -> Liveness:
        """Whether exactly this process lives. Never raises."""
        ...

    def same_user(self, identity: ProcessIdentity) -> bool | None:
        """Whether it belongs to the daemon's user; None: cannot tell."""
        ...

    def same_namespace(self, identity: ProcessIdentity) -> bool | None:
        """Whether it means the same processes by their pids as the daemon does; None: cannot tell."""
        ...

    def started_at(self, identity: ProcessIdentity) -> float | None:
        """Wall time of its start, seconds; None: cannot tell."""
        ...

    def born(self, identity: ProcessIdentity) -> float | None:
        """Where it stands in the order of birth, by what nobody can set: of two, the older has less. None: cannot tell.

        What is counted is the system's affair: seconds, ticks, processes. It says nothing beyond the order.
        """
        ...

    def describe(self, pid: int) -> Occupant:
        """Command line, user and start, for people."""
        ...

    def no_process(self, pid: int) -> str | None:
        """Why this number of something that lives names no process of a user, for people; None: it names one.

        It may be a thread's, or a part of the system itself.

        Raises:
            OSError: the system would not tell.
        """
        ...


class Watch(Protocol):
    """One armed watch."""

    def close(self) -> None:
        """Disarm. Harmless when repeated or after the exit."""
        ...


class ExitWatcher(Protocol):
    """Calls back once, on the event loop, when a process has ended. A hint: the probe has the verdict."""

    def watch(self, identity: ProcessIdentity, on_exit: Callable[[], None]) -> Watch:
        """Arm. Registered first, verified after: a process that is already gone is reported on the next turn."""
        ...

    def note(self) -> str | None:
        """What a user should know of a fallback in use; None: nothing."""
        ...


@frozen
class Command:
    """What to run. `environment` is complete; output goes to the end of `log`.

    `keeps_input`: its input is empty but does not end as long as it lives, whatever becomes of the daemon.
    """

    argv: tuple[str, ...]
    environment: Mapping[str, str]
    cwd: Path
    log: Path
    keeps_input: bool = False


class ProcessControl(Protocol):
    """Starts processes and ends them. It proves the identity, not the right: that is `core.proof`."""

    def spawn(self, command: Command) -> ProcessIdentity:
        """Start it detached: own session, no input, descriptors closed, limits as the user set them.

        Raises:
            OSError: it could not be started; the text names the program.
        """
        ...

    def rehearse(self, command: Command) -> None:
        """Do what `spawn` does, but for the start itself. Blocking: call it off the loop.

        Raises:
            OSError: it could not be started; the text names the program.
        """
        ...

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Exit status of a child that has ended (negative: the signal); None: unknown, or not our child."""
        ...

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """The platform's polite request. False: it was gone already.

        Where it takes its time (Windows needs a helper), others have their turn meanwhile; elsewhere nobody has.

        Raises:
            OSError: the system refused.
        """
        ...

    def kill(self, identity: ProcessIdentity) -> bool:
        """Cannot be ignored. False: it was gone already.

        Raises:
            OSError: the system refused.
        """
        ...

    def table(self) -> tuple[ProcessRow, ...]:
        """Every living process that can be seen, zombies left out. Blocking: call it off the loop."""
        ...

    def vacant(self, pid: int) -> bool:
        """Whether it is proven that nothing has this number: no process, nor a group or session that it led. Cheap."""
        ...

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """An environment variable that the process was started with; None: not set. Blocking: call it off the loop.

        Raises:
            OSError: the system does not tell, or the process has ended.
        """
        ...


def variable_if_told(processes: ProcessControl, identity: ProcessIdentity, name: str) -> str | None:
    """The same; None also where the system does not tell."""
    try:
        return processes.variable(identity, name)
    except OSError:
        return None


class PortTable(Protocol):
    """Asks the system about TCP ports. Blocking: call it off the loop."""

    def facts(self, ports: Iterable[int]) -> Mapping[int, PortFact]:
        """Every listener on each port, on any address, and what a trial bind on 127.0.0.1 says."""
        ...

    def listeners(self, ports: Iterable[int], among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """The ports of these that one of these processes listens on, on 127.0.0.1 or a wildcard. Cheap."""
        ...

    def listening(self, ports: Collection[int]) -> frozenset[int]:
        """The ports of these that anybody listens on, on any address. The cheapest question there is.

        Raises:
            OSError: the system does not tell.
        """
        ...

    def held_by(self, identity: ProcessIdentity) -> frozenset[int]:
        """Every port that this process listens on, on 127.0.0.1 or a wildcard. Cheap; empty where that is hidden."""
        ...

    def addresses(self, identity: ProcessIdentity) -> frozenset[tuple[str, int]]:
        """Every address and port that this process listens on, whatever the address. Empty where that is hidden."""
        ...

    def connections(self, port: int) -> int | None:
        """ESTABLISHED connections on this local port; None: cannot tell. Cheap."""
        ...


class FileWatcher(Protocol):
    """Tells when a file is written to."""

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        """Call back once, on the event loop, at the next write.

        Raises:
            OSError: the file is not there, or cannot be watched.
        """
        ...

    def note(self) -> str | None:
        """What a user should know of a fallback in use; None: nothing."""
        ...


class PeerCheck(Protocol):
    """Asks who is at the other end of a unix socket."""

    def same_user(self, connection: socket) -> bool:
        """Whether the peer runs as the daemon's user. False where the system does not tell."""
        ...


class AdoptionMarks(Protocol):
    """What the daemons of one user tell each other of processes that others started. Blocking, but short."""

    def note(self) -> str | None:
        """Return what keeps marks from being read, for people; None if nothing does. Does not block."""
        ...

    def prepare(self) -> None:
        """Make what the marks of processes that start from now on need."""
        ...

    def put(self, process: ProcessIdentity, home: str) -> None:
        """A home looks after a process.

        Raises:
            OSError: no other daemon would see it.
        """
        ...

    def drop(self, process: ProcessIdentity, home: str) -> None:
        """A home no longer needs a process.

        Raises:
            OSError: its mark cannot be removed.
        """
        ...

    def homes(self, process: ProcessIdentity) -> frozenset[str]:
        """The homes that look after a process.

        Raises:
            OSError: that cannot be told.
        """
        ...


@frozen
class Platform:
    """One platform, complete."""

    clock: Clock
    probe: Probe
    exits: ExitWatcher
    processes: ProcessControl
    ports: PortTable
    files: FileWatcher
    peers: PeerCheck
    lanes: Lanes
    marks: AdoptionMarks
