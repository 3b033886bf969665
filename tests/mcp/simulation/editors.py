"""The editors of the simulated servers, and the daemon's admission of calls."""

import random
from dataclasses import dataclass, field
from typing import Any

from supervisor.mcp.core.events_and_actions import (
    BeginCall,
    CallAdmitted,
    CallRefused,
    EditorsChanged,
    EditorsExamined,
    EndCall,
    Event,
    ExamineEditors,
    Problem,
)
from supervisor.mcp.core.servers import Pin

OURS, THEIRS = "/ours", "/theirs"

ARGUMENT = "session"

UNKNOWN = "no such session"

PIN = Pin(ARGUMENT, tool="sessions", id="id", project="project", pid="pid", unknown=UNKNOWN, exempt=("status",))

SCHEMA = {"type": "object", "properties": {ARGUMENT: {"type": "string"}}}

TOOLS = [
    {"name": "write", "inputSchema": SCHEMA},
    {"name": "look", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
    {"name": "sessions", "inputSchema": SCHEMA, "annotations": {"readOnlyHint": True}},
]


class PromiseBrokenError(AssertionError):
    """The conversation has done what it promises not to do."""


@dataclass
class Editor:
    """An editor that is open. `session` is that with the last server process; None while it has none."""

    project: str
    pid: int
    session: str | None = None
    since: int = 0
    """The step in which the session began."""


@dataclass
class Call:
    """A call that the conversation has begun."""

    action: BeginCall
    is_admitted: bool = False
    is_sent: bool = False


@dataclass
class Editors:
    """Editors of two projects, which come and go, and the gate before them."""

    random: random.Random
    is_pinned: bool = False
    gate: str = "off"
    open: list[Editor] = field(default_factory=list)
    examinations: list[ExamineEditors] = field(default_factory=list)
    calls: dict[int, Call] = field(default_factory=dict)
    """Those that have begun and are not over."""
    begun: int = 0
    count: int = 0

    def open_editor(self, project: str | None = None) -> Editor:
        """Open an editor that has no session yet."""
        self.count += 1
        self.open.append(Editor(project or self.random.choice([OURS, THEIRS]), 100 + self.count))
        return self.open[-1]

    def close_editor(self) -> None:
        """Close an editor."""
        if self.open:
            self.open.remove(self.random.choice(self.open))

    def connect(self, step: int) -> None:
        """Let an editor without a session get one."""
        for editor in self.open:
            if editor.session is None:
                self.count += 1
                editor.session, editor.since = f"s{self.count}", step
                return

    def lose_sessions(self) -> None:
        """End all sessions, because the server has ended."""
        for editor in self.open:
            editor.session = None

    def rows(self) -> list[dict[str, Any]]:
        """Return the list of a server."""
        return [
            {"id": editor.session, "project": editor.project, "pid": editor.pid}
            for editor in self.open
            if editor.session is not None
        ]

    def news(self) -> Event:
        """Return what the daemon says of the editors of the project."""
        return EditorsChanged(frozenset(editor.pid for editor in self.open if editor.project == OURS))

    def examine(self) -> Event | None:
        """Return the answer to an examination that is open."""
        if not self.examinations:
            return None
        asked = self.examinations.pop(0)
        running = {editor.pid for editor in self.open}
        return EditorsExamined(asked.reading, asked.projects & {OURS}, frozenset(asked.pids & running))

    def has_session_since(self, step: int) -> bool:
        """Return whether an editor of the project has had a session without a break since this step."""
        return any(
            editor.project == OURS and editor.session is not None and editor.since <= step for editor in self.open
        )

    @property
    def has_work(self) -> bool:
        """Return whether the shell or the daemon has something to answer."""
        return bool(self.examinations) or any(
            call.action.needs_admission and not call.is_admitted for call in self.calls.values()
        )

    # --- calls ---

    def perform(self, action: ExamineEditors | BeginCall | EndCall) -> None:
        """Perform an action of the conversation."""
        match action:
            case ExamineEditors():
                self.examinations.append(action)
            case BeginCall():
                self.begin(action)
            case EndCall():
                self.end(action)

    def begin(self, action: BeginCall) -> None:
        """Note that a call begins."""
        self.begun += 1
        if action.call != self.begun:
            raise PromiseBrokenError("a call has begun twice, or was left out")
        self.calls[action.call] = Call(action)

    def end(self, action: EndCall) -> None:
        """Note that a call ends."""
        if self.calls.pop(action.call, None) is None:
            raise PromiseBrokenError("a call has ended that has not begun, or was over")

    def judge_call(self, *, certain: bool) -> Event | None:
        """Return the daemon's verdict on a call: one at a time is admitted."""
        waiting = [call for call in self.calls.values() if call.action.needs_admission and not call.is_admitted]
        if not waiting:
            return None
        call = waiting[0]
        number = call.action.call
        if not certain and self.random.random() < 0.2:
            del self.calls[number]
            busy = self.random.random() < 0.5
            return CallRefused(number, Problem("EDITOR_BUSY" if busy else "DISCONNECTED", "no", retryable=True))
        if any(other.is_admitted for other in self.calls.values()):
            return None
        call.is_admitted = True
        return CallAdmitted(number)

    def check_sent(self, tool: str) -> None:
        """Check that a call that is sent has begun, and was admitted if the gate asks for it."""
        needed = self.gate != "off" and tool == "write"
        fitting = [
            call
            for call in self.calls.values()
            if not call.is_sent and call.action.tool == tool and (call.is_admitted or not needed)
        ]
        if not fitting:
            raise PromiseBrokenError(f"{tool} was sent before it has begun, or was admitted")
        if needed != fitting[0].action.needs_admission:
            raise PromiseBrokenError(f"the daemon was asked about {tool}, or was not asked, wrongly")
        fitting[0].is_sent = True

    def execute(self, arguments: dict[str, Any], given: object) -> dict[str, Any] | None:
        """Let the editor execute a call. Returns the result of one that no editor executes.

        `given` is what the client has said about the editor.
        """
        named = arguments.get(ARGUMENT)
        if not self.is_pinned:
            return None
        if given and named != given:
            raise PromiseBrokenError("the client's own session was changed")
        if not isinstance(named, str) or not named:
            raise PromiseBrokenError("a call names no editor")
        editor = next((editor for editor in self.open if editor.session == named), None)
        if editor is None:
            return {"isError": True, "content": [{"type": "text", "text": f"{UNKNOWN}: {named}"}]}
        if not given and editor.project != OURS:
            raise PromiseBrokenError("a call has reached the editor of another project")
        return None
