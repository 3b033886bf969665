"""At the start: the event loop is chosen. Until the end: it handles the signals that users and the system send.

The loop comes from a factory, never from a policy, and nothing is chosen at import.
"""

import asyncio
import contextlib
import signal
import socket
from collections.abc import Callable, Coroutine, Iterator, Mapping
from types import FrameType
from typing import Any

from ..config.settings import VARIABLES, Config, Source
from ..errors import ConfigInvalid
from ..native import facts
from ..values import frozen

SELECTOR, PROACTOR = "selector", "proactor"

SETTING = "event_loop"


@frozen
class LoopChoice:
    """The chosen event loop and the reason. `forced`: the user has chosen it."""

    name: str
    reason: str
    forced: bool = False

    def make(self) -> asyncio.AbstractEventLoop:
        """Return a new loop of this kind."""
        if self.name == PROACTOR:
            made: asyncio.AbstractEventLoop = getattr(asyncio, "ProactorEventLoop")()  # noqa: B009 (only Windows has it)
            return made
        return asyncio.SelectorEventLoop() if self.name == SELECTOR else asyncio.new_event_loop()

    def note(self) -> str | None:
        """Return a note for users, or None."""
        return f"the event loop is {self.name}: {self.reason}" if self.forced else None


def choose_loop(config: Config, *, has_proactor: bool = facts.HAS_PROACTOR_LOOP) -> LoopChoice:
    """Return the loop that the user wants, or else the loop for this system.

    Raises:
        ConfigInvalid: this system does not have the wanted loop.
    """
    wanted = config.event_loop
    if wanted == "auto":
        if not has_proactor:
            return LoopChoice("default", "Python's own for this system")
        # CPython gh-93821: a peer that resets before it was accepted closes the listening socket of a proactor loop.
        return LoopChoice(SELECTOR, "under the proactor loop a peer that resets can close the listening socket")
    from_file = config.source(f"daemon.{SETTING}") is Source.FILE
    place = f"daemon.{SETTING}" if from_file else VARIABLES[SETTING]
    if wanted == PROACTOR and not has_proactor:
        data = {"key": place} if from_file else {"variable": place}
        message = f"{place}: there is no {wanted} loop on {facts.SYSTEM_LABEL}"
        raise ConfigInvalid(message, hint="auto or selector", data=data)
    return LoopChoice(wanted, f"{place} says so", forced=True)


def run_to_end(main: Coroutine[Any, Any, int], choice: LoopChoice) -> int:
    """Run a coroutine to its end on a new loop of this kind, and return its result, the exit status."""
    with asyncio.Runner(loop_factory=choice.make) as runner:
        return runner.run(main)


@contextlib.contextmanager
def handling_signals(
    running: asyncio.AbstractEventLoop, stop: Callable[[], object], reload: Callable[[], object]
) -> Iterator[None]:
    """Call these functions on the loop when a user or a service manager sends a signal, while the context is open."""
    wanted = {"SIGTERM": stop, "SIGINT": stop, "SIGBREAK": stop, "SIGHUP": reload}
    # No system has all of them.
    handlers = {getattr(signal, name): handler for name, handler in wanted.items() if hasattr(signal, name)}
    with (_handling_on_posix if facts.LOOPS_HANDLE_SIGNALS else _handling_on_windows)(running, handlers):
        yield


_Handlers = Mapping[signal.Signals, Callable[[], object]]


@contextlib.contextmanager
def _handling_on_posix(running: asyncio.AbstractEventLoop, handlers: _Handlers) -> Iterator[None]:
    for number, handler in handlers.items():
        running.add_signal_handler(number, handler)
    try:
        yield
    finally:
        for number in handlers:
            running.remove_signal_handler(number)


@contextlib.contextmanager
def _handling_on_windows(running: asyncio.AbstractEventLoop, handlers: _Handlers) -> Iterator[None]:
    """Handle signals without the loop, which has no signal handlers on Windows.

    Ctrl-C is SIGINT there; Ctrl-Break, a closed console and a logoff are SIGBREAK.
    """

    def call(number: int, _frame: FrameType | None) -> None:
        running.call_soon_threadsafe(handlers[signal.Signals(number)])

    before = {number: signal.signal(number, call) for number in handlers}
    try:
        with _waking(running):
            yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _waking(running: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Wake the loop's select() at every signal, which Windows delivers in a thread of its own.

    The proactor loop does the same by itself.
    """
    if not isinstance(running, asyncio.SelectorEventLoop):
        yield
        return
    receiver, sender = socket.socketpair()
    with receiver, sender:
        receiver.setblocking(False)
        sender.setblocking(False)
        running.add_reader(receiver, receiver.recv, 4096)
        before = signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(before)
            running.remove_reader(receiver)
