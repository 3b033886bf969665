"""The event loop is chosen once, here, by a factory: never a policy, never at import."""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import FrameType
from typing import Any

from ..config import VARIABLES, Config, Source
from ..errors import ConfigInvalid
from ..native import facts
from ..values import frozen

SELECTOR, PROACTOR = "selector", "proactor"

SETTING = "event_loop"


@frozen
class Choice:
    """Which loop, and why. `forced`: somebody has said so."""

    name: str
    reason: str
    forced: bool = False

    def make(self) -> asyncio.AbstractEventLoop:
        """A new loop of this kind."""
        if self.name == PROACTOR:
            made: asyncio.AbstractEventLoop = getattr(asyncio, "ProactorEventLoop")()  # noqa: B009 (only Windows has it)
            return made
        return asyncio.SelectorEventLoop() if self.name == SELECTOR else asyncio.new_event_loop()

    def note(self) -> str | None:
        """What a user should know."""
        return f"the event loop is {self.name}: {self.reason}" if self.forced else None


def choose(config: Config, *, has_proactor: bool = facts.HAS_PROACTOR_LOOP) -> Choice:
    """The loop for this system, or the one that the user wants.

    Raises:
        ConfigInvalid: there is no such loop on this system.
    """
    wanted = config.event_loop
    if wanted == "auto":
        if not has_proactor:
            return Choice("default", "Python's own for this system")
        # CPython gh-93821: one peer that resets before it was accepted closes the listening socket.
        return Choice(SELECTOR, "under the proactor loop a peer that resets can close the listening socket")
    from_file = config.source(f"daemon.{SETTING}") is Source.FILE
    place = f"daemon.{SETTING}" if from_file else VARIABLES[SETTING]
    if wanted == PROACTOR and not has_proactor:
        data = {"key": place} if from_file else {"variable": place}
        message = f"{place}: there is no {wanted} loop on {facts.SYSTEM_LABEL}"
        raise ConfigInvalid(message, hint="auto or selector", data=data)
    return Choice(wanted, f"{place} says so", forced=True)


def run(main: Coroutine[Any, Any, int], choice: Choice) -> int:
    """Run the daemon to its end."""
    with asyncio.Runner(loop_factory=choice.make) as runner:
        return runner.run(main)


@contextlib.contextmanager
def heeding(
    running: asyncio.AbstractEventLoop, stop: Callable[[], object], reload: Callable[[], object]
) -> Iterator[None]:
    """While inside, a user or a service manager is heard: signals call these on the loop."""
    wanted = {"SIGTERM": stop, "SIGINT": stop, "SIGBREAK": stop, "SIGHUP": reload}
    # No system has them all.
    heard = {getattr(signal, name): heed for name, heed in wanted.items() if hasattr(signal, name)}
    with (_heeding if facts.LOOPS_HANDLE_SIGNALS else _heeding_on_windows)(running, heard):
        yield


_Heard = Mapping[signal.Signals, Callable[[], object]]


@contextlib.contextmanager
def _heeding(running: asyncio.AbstractEventLoop, heard: _Heard) -> Iterator[None]:
    for number, heed in heard.items():
        running.add_signal_handler(number, heed)
    try:
        yield
    finally:
        for number in heard:
            running.remove_signal_handler(number)


@contextlib.contextmanager
def _heeding_on_windows(running: asyncio.AbstractEventLoop, heard: _Heard) -> Iterator[None]:
    """Loops have no signal handlers there. Ctrl-C is SIGINT; Ctrl-Break, a closed console and a logoff are SIGBREAK."""

    def tell(number: int, _frame: FrameType | None) -> None:
        running.call_soon_threadsafe(heard[signal.Signals(number)])

    before = {number: signal.signal(number, tell) for number in heard}
    try:
        with _waking(running):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _waking(running: asyncio.AbstractEventLoop) -> Iterator[None]:
    """A signal arrives in a thread of the system's; without this, a select() that waits does not notice.

    The proactor loop does the same by itself.
    """
    if not isinstance(running, asyncio.SelectorEventLoop):
        yield
        return
    ear, mouth = socket.socketpair()
    with ear, mouth:
        ear.setblocking(False)
        mouth.setblocking(False)
        running.add_reader(ear, ear.recv, 4096)
        before = signal.set_wakeup_fd(mouth.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            running.remove_reader(ear)
