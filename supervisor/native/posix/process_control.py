"""The part of `ProcessControl` that is the same on all POSIX systems: starting, waiting for children, ending."""

import asyncio
import signal
import subprocess
import sys
from abc import ABC, abstractmethod
from typing import Generic, Protocol, TypeVar

from ...core.model import ProcessIdentity
from ..api import ChildCommand, ExitWatcher
from ..shared import runnable
from . import processes

assert sys.platform != "win32"  # noqa: S101 (tells type checkers where this runs)


class ChildProbe(Protocol):
    """A probe that can identify a child even after the child has ended."""

    def identify_child(self, pid: int) -> ProcessIdentity:
        """Return the identity of a child that has not been waited for; it has one even after its end.

        Raises:
            OSError: the system does not tell.
        """


ProbeT = TypeVar("ProbeT", bound=ChildProbe)


class PosixProcessControl(ABC, Generic[ProbeT]):
    """The common part of `ProcessControl`; a platform adds how it starts a child, sends a signal and lists processes.

    `child_descriptors`: the limit of open files for children, soft and hard; None leaves the daemon's own.
    """

    def __init__(
        self,
        probe: ProbeT,
        children: processes.Children,
        exits: ExitWatcher,
        child_descriptors: tuple[int, int] | None,
    ) -> None:
        self._probe = probe
        self._children = children
        self._exits = exits
        self._child_descriptors = child_descriptors

    @abstractmethod
    def _start_child(self, command: ChildCommand) -> "subprocess.Popen[bytes]":
        """Start a detached child with the limit of open files that the user set, and return it.

        Raises:
            OSError: the child could not be started; the text names the program.
        """

    @abstractmethod
    def _send_signal(self, identity: ProcessIdentity, number: signal.Signals) -> bool:
        """Send a signal to exactly this process; return False if it had ended.

        Raises:
            OSError: the system refused.
        """

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        """Start a detached child. Raise RuntimeError if no event loop runs, because the loop waits for the child."""
        asyncio.get_running_loop()
        process = self._start_child(command)
        try:
            identity = self._probe.identify_child(process.pid)
        except OSError:
            processes.abandon(process)
            raise
        processes.disown(process)
        self._children.add(identity)
        # The watch collects the exit status.
        self._exits.watch(identity, _do_nothing)
        return identity

    def rehearse(self, command: ChildCommand) -> None:
        """Raise OSError if the command could not be started."""
        runnable.rehearse(command)

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """Return the exit status of a child that has ended."""
        return self._children.exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """Send SIGTERM."""
        return self._send_signal(identity, signal.SIGTERM)

    def kill(self, identity: ProcessIdentity) -> bool:
        """Send SIGKILL."""
        return self._send_signal(identity, signal.SIGKILL)


def _do_nothing() -> None:
    """Do nothing at the end of a child."""
