"""The matrix: each client makes a tool call before and after each event, in one session."""

import os
import secrets
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Generator, Iterator
from typing import NamedTuple

from tests.e2e.home import eventually, lives, stat_fields
from tests.lab.clients.ai_clients import SERVER
from tests.lab.clients.lab_home import LabHome
from tests.lab.clients.sessions import AiSession, SdkSession
from tests.lab.clients.subjects import Subject

OK = "ok"

END_S = 2.0
"""How long a bridge may outlive its client."""

LONG_CALL_S = 60

AnySession = AiSession | SdkSession


class Cell(NamedTuple):
    """A result: the event, `OK` or what went wrong, how long the call after the event took, and what was shown."""

    event: str
    outcome: str
    seconds: float = 0.0
    shown: str = ""


class Story:
    """A client in a home. Each call has its own word, so that executions can be counted."""

    def __init__(self, home: LabHome, session: AnySession) -> None:
        self._home = home
        self._session = session

    def new_word(self) -> str:
        """Return a word that no other call has."""
        return f"word{secrets.token_hex(4)}"

    def begin_call(self, seconds: float = 0) -> str:
        """Let the client begin a call, and return the call's word."""
        word = self.new_word()
        self._session.begin_call(self._home.tool, self._home.arguments(word, seconds))
        return word

    def succeed(self) -> float:
        """Let the client make a call, which has to be executed once, and return how long it took."""
        begun = time.monotonic()
        self.finish(self.begin_call())
        return time.monotonic() - begun

    def finish(self, word: str) -> None:
        """Check that a call succeeds, and that it was executed once."""
        shown = self._session.shown()
        assert self._home.is_success(shown, word), f"the call failed: {shown[:600]}"
        assert self._home.executions(word) in (1, None), f"executed {self._home.executions(word)} times"

    def fail(self, code: str, executions: int) -> str:
        """Let the client make a call that has to fail with a code, and return what was shown."""
        word = self.begin_call()
        return self.finish_failed(word, code, executions)

    def finish_failed(self, word: str, code: str, executions: int) -> str:
        """Check that a call fails with a code, and return what was shown."""
        shown = self._session.shown()
        assert code in shown, f"the call did not fail with {code}: {shown[:600]}"
        assert self._home.executions(word) in (executions, None), f"executed {self._home.executions(word)} times"
        return shown

    # --- the events: each returns what the client was shown of an error, or nothing ---

    def nothing(self) -> str:
        """Nothing but the start of the client."""
        self._session.wait_until_begun()
        return ""

    def server_killed(self) -> str:
        """The server is killed while nothing runs."""
        self._home.kill_server()
        return ""

    def killed_in_a_call(self) -> str:
        """The server is killed in a call. The call may have been executed, and is not repeated."""
        word = self.begin_call(LONG_CALL_S)
        eventually(lambda: self._home.executions(word), "the call is executed")
        self._home.kill_server()
        return self.finish_failed(word, "OUTCOME_UNKNOWN", 1)

    def restarted(self) -> str:
        """The user restarts the server."""
        self._home.command("restart", self._home.kind)
        return ""

    def restarted_in_a_call(self) -> str:
        """The user restarts the server, and a call arrives while it is away."""
        seen = len(self._home.events("server.stopped"))
        restart = self._home.begin("restart", self._home.kind)
        eventually(lambda: len(self._home.events("server.stopped")) > seen, "the server is stopped")
        self.succeed()
        assert restart.wait(60) == 0
        return ""

    def stopped_and_started(self) -> str:
        """The user stops the server, and starts it later. It stays down between."""
        self._home.command("down", self._home.kind)
        shown = self.fail("STOPPED_BY_USER", 0)
        self._home.up(self._home.kind, "--project", self._home.work)
        return shown

    def moved(self) -> str:
        """The server is started again on another port."""
        self._home.move_server()
        return ""

    def daemon_killed(self) -> str:
        """The daemon is killed. The server lives."""
        self._home.kill_daemon()
        return ""

    def all_killed(self) -> str:
        """The daemon and the server are killed at once."""
        self._home.kill_all()
        return ""

    def all_stopped(self) -> str:
        """The user stops the daemon with its servers."""
        self._home.stop_everything()
        return ""

    def upgraded(self) -> str:
        """The server is started again in another version."""
        self._home.upgrade()
        assert self._home.server_row()["version"] == self._home.versions[1]
        return ""


Event = Callable[[Story], str]

EVENTS: dict[str, Event] = {
    "server killed": Story.server_killed,
    "killed in a call": Story.killed_in_a_call,
    "restart": Story.restarted,
    "call during a restart": Story.restarted_in_a_call,
    "down, later up": Story.stopped_and_started,
    "moved to another port": Story.moved,
    "daemon killed": Story.daemon_killed,
    "daemon and server killed": Story.all_killed,
    "stop --servers": Story.all_stopped,
    "other version": Story.upgraded,
}

NEEDS_LONG_CALLS = ("killed in a call",)
"""Events that need a tool that takes as long as the caller says."""

FIRST_EVER, FIRST = "first start, no catalogue", "nothing runs, catalogue"
ENDS, KILLED, LISTED = "client ends", "client killed", "lists the server as connected"


def run_client(subject: Subject, home: LabHome, events: dict[str, Event]) -> Iterator[Cell]:
    """Run a client through all events, and yield its cells.

    The first session begins when there is neither daemon, nor server, nor catalogue. Before the second one,
    `clients install` fills the catalogue.
    """
    if subject.add_entry is not None:
        subject.add_entry(home, "--no-provision")
    first = yield from _session(subject, home, FIRST_EVER, {}, kill=True)
    if first.outcome == OK:
        if subject.add_entry is not None:
            shutil.rmtree(home.folders.home / "catalogues")
            subject.add_entry(home)
        home.stop_everything()
        yield from _session(subject, home, FIRST, events, kill=False)
        yield _listed(subject, home)


def _session(
    subject: Subject, home: LabHome, beginning: str, events: dict[str, Event], *, kill: bool
) -> Generator[Cell, None, Cell]:
    """Run one session of a client, yield its cells, and return the first one."""
    session = subject.start(home)
    try:
        story = Story(home, session)
        first = _cell(beginning, story, Story.nothing)
        yield first
        if first.outcome == OK:
            for name, event in events.items():
                yield _cell(name, story, event)
            yield _end(home, session, kill=kill)
        return first
    finally:
        session.close()


def _listed(subject: Subject, home: LabHome) -> Cell:
    """Ask a client for its servers."""
    if subject.list is None:
        return Cell(LISTED, f"{OK}, lists tools")
    shown = subject.list(home)
    if SERVER not in shown:
        return Cell(LISTED, shown)
    if subject.connected is None:
        return Cell(LISTED, f"{OK}, listed; it does not connect")
    return Cell(LISTED, OK if subject.connected in shown else shown)


def _cell(name: str, story: Story, event: Event) -> Cell:
    """Let an event happen, and then a call."""
    try:
        shown = event(story)
        return Cell(name, OK, story.succeed(), shown)
    except (AssertionError, TimeoutError, OSError) as problem:
        return Cell(name, str(problem))


def _end(home: LabHome, session: AnySession, *, kill: bool) -> Cell:
    """End the client, and check that its bridge ends."""
    name = KILLED if kill else ENDS
    bridges = home.bridges()
    if not bridges:
        return Cell(name, "no bridge ran")
    try:
        if kill:
            os.kill(session.pid, signal.SIGKILL)
        else:
            assert session.end() == 0, "the client failed"
        took = _wait_for_end(bridges)
        left = [pid for pid in bridges if lives(pid)]
        if not left:
            return Cell(name, OK, took)
        if not kill:
            return Cell(name, "its bridge is left behind")
        # The process that was started is a launcher, which the client survives.
        for pid in left:
            os.kill(int(stat_fields(pid)[1]), signal.SIGKILL)
        took = _wait_for_end(left)
        return Cell(name, "its bridge is left behind" if any(map(lives, left)) else f"{OK}, killed itself", took)
    except (AssertionError, TimeoutError, subprocess.TimeoutExpired, OSError) as problem:
        return Cell(name, str(problem))


def _wait_for_end(bridges: list[int]) -> float:
    """Wait until all bridges have ended, at most `END_S`, and return how long it took."""
    begun = time.monotonic()
    while any(map(lives, bridges)) and time.monotonic() < begun + END_S:
        time.sleep(0.02)
    return time.monotonic() - begun
