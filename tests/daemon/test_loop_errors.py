"""Peers that reset their connections, and a listener that survives them."""

import asyncio
import gc
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon.event_loop import LoopChoice, run_to_end
from supervisor.daemon.loop_errors import LoopErrors
from supervisor.engine.state.events import Events
from tests.control.harness import ListenerHarness, open_listener
from tests.daemon.test_event_loop import LOOPS
from tests.fakes import FakeClock

RESETS, AT_ONCE = 1000, 50
PATIENCE_S = 60.0


class Log:
    """A log whose entries tests can read."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, str, dict[str, Any]]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.entries.append(("info", event, fields))

    def warning(self, event: str, **fields: Any) -> None:
        self.entries.append(("warning", event, fields))

    def error(self, event: str, **fields: Any) -> None:
        self.entries.append(("error", event, fields))

    def names(self) -> set[str]:
        return {event for _, event, _ in self.entries}


def reset(port: int) -> None:
    """Connect, and reset before the daemon has accepted the connection."""
    with socket.socket() as peer:
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("hh" if LINGER_IS_SHORT else "ii", 1, 0))
        peer.settimeout(PATIENCE_S)
        peer.connect(("127.0.0.1", port))


# struct linger: two ints on POSIX, two shorts on Windows.
LINGER_IS_SHORT = "proactor" in LOOPS


async def answers(harness: ListenerHarness) -> None:
    """Wait until the daemon answers."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                wire = await harness.connect("tcp")
                answer = await wire.ask("ping")
            except (OSError, AssertionError):
                await asyncio.sleep(0.01)
                continue
            await wire.close()
            assert answer["result"] == {}
            return


def handler(harness: ListenerHarness, log: Log, name: str) -> LoopErrors:
    made = LoopErrors(Events(log, FakeClock()), harness.listener, lambda: None, LoopChoice(name, "the test says so"))  # type: ignore[arg-type]
    asyncio.get_running_loop().set_exception_handler(made)
    return made


# The proactor leaves the sockets of accepts that failed to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("name", LOOPS)
def test_a_thousand_resets_in_the_backlog_leave_the_listener_open(
    name: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    log = Log()

    async def live() -> int:
        async with open_listener(tmp_path) as harness:
            handler(harness, log, name)
            await answers(harness)
            (port,) = (each["port"] for each in harness.listener.transports if each["kind"] == "tcp")
            for _ in range(RESETS // AT_ONCE):
                # The loop does not run between these, so all of them wait in the backlog.
                for _ in range(AT_ONCE):
                    reset(port)
                await answers(harness)
            assert [each["port"] for each in harness.listener.transports if each["kind"] == "tcp"] == [port]
            # One connection is open when the daemon ends, and its peer resets at that moment.
            wire = await harness.connect("tcp")
            wire.writer.transport.abort()
        return 0

    run_to_end(live(), LoopChoice(name, "the test says so"))
    gc.collect()
    assert [fields for _, event, fields in log.entries if event == "loop.error"] == []
    assert "daemon.cannot_listen" not in log.names()
    assert "10054" not in capfd.readouterr().err


@pytest.mark.parametrize("name", LOOPS)
def test_a_listening_socket_that_the_loop_closed_is_reopened(name: str, tmp_path: Path) -> None:
    log = Log()

    async def live() -> int:
        async with open_listener(tmp_path) as harness:
            errors = handler(harness, log, name)
            endpoint = harness.listener._acceptors[-1]
            assert endpoint._socket is not None
            asyncio.get_running_loop()._stop_serving(endpoint._socket)  # type: ignore[attr-defined]
            error = OSError(22, "The specified network name is no longer available", None, 64)
            context = {"message": "Accept failed on a socket", "exception": error}
            errors(asyncio.get_running_loop(), context)
            await answers(harness)
            assert harness.events.named("listener.rebuilt")
        return 0

    run_to_end(live(), LoopChoice(name, "the test says so"))
    assert log.names() <= {"listener.reset", "loop.error", "daemon.listens_again"}


def told(name: str, message: str, error: Exception) -> tuple[set[str], str | None]:
    """Return the log events and the note for an error that the loop reports."""
    log = Log()

    async def live() -> int:
        errors = LoopErrors(Events(log, FakeClock()), Nothing(), lambda: None, LoopChoice(name, ""))  # type: ignore[arg-type]
        errors(asyncio.get_running_loop(), {"message": message, "exception": error})
        notes.append(errors.note())
        errors.close()
        return 0

    notes: list[str | None] = []
    run_to_end(live(), LoopChoice(LOOPS[0], ""))
    return log.names(), notes[0]


class Nothing:
    async def check(self) -> bool:
        return False


class Reset10054Error(ConnectionResetError):
    winerror = 10054


class NetworkNameDeletedError(OSError):
    winerror = 64


class InvalidHandleError(OSError):
    winerror = 6


TEARDOWN = "Exception in callback _ProactorBasePipeTransport._call_connection_lost(None)"


def test_proactor_teardown_errors_are_dropped_and_counted() -> None:
    assert told("proactor", TEARDOWN, Reset10054Error()) == (
        set(),
        "1 errors of connections that had been reset were dropped (the proactor loop)",
    )
    assert told("proactor", TEARDOWN, InvalidHandleError()) == ({"loop.error"}, None)
    assert told("proactor", "Exception in callback something()", Reset10054Error()) == ({"loop.error"}, None)
    assert told("selector", TEARDOWN, Reset10054Error()) == ({"loop.error"}, None)


def test_a_peer_that_left_before_it_was_accepted_is_a_warning() -> None:
    accepting = "Exception in callback BaseSelectorEventLoop._accept_connection(...)"
    assert told("selector", accepting, Reset10054Error()) == ({"listener.reset"}, None)
    assert told("proactor", "Accept failed on a socket", NetworkNameDeletedError()) == ({"listener.reset"}, None)
    assert told("selector", accepting, InvalidHandleError()) == ({"loop.error"}, None)
    assert told("proactor", "Accept failed on a socket", ValueError()) == ({"loop.error"}, None)


def test_a_listener_that_cannot_be_opened_is_tried_again() -> None:
    log = Log()
    waited = asyncio.Event()

    class Stuck:
        tries = 0

        async def check(self) -> bool:
            self.tries += 1
            if self.tries == 1:
                raise OSError("no descriptors left")
            waited.set()
            return True

    published: list[None] = []

    async def live() -> int:
        stuck = Stuck()
        choice = LoopChoice(LOOPS[0], "")
        errors = LoopErrors(Events(log, FakeClock()), stuck, lambda: published.append(None), choice)  # type: ignore[arg-type]
        errors(asyncio.get_running_loop(), {"message": "anything"})
        await asyncio.wait_for(waited.wait(), PATIENCE_S)
        await asyncio.sleep(0)
        return 0

    run_to_end(live(), LoopChoice(LOOPS[0], ""))
    assert [event for _, event, _ in log.entries] == ["loop.error", "daemon.cannot_listen", "daemon.listens_again"]
    assert published == [None]
