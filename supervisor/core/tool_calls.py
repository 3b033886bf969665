"""The gate of tool calls: which of them may run beside each other on an editor, and in which order others wait. Pure.

The time of each step is handed in: monotonic, seconds.
"""

from collections.abc import Iterable
from enum import StrEnum

from ..values import frozen
from .model import Editor, Occupation

WAIT_S = 2.0
"""How long a call waits for others. Longer, and an AI client may as well do something else in that time."""

REJECT_S = 0.005
"""How long a call waits at a gate that rejects. The end of the other call may be on its way already, on the connection
of another client, which has told its user of the answer."""

WAITING_MAX = 64
"""How many calls may wait for a server."""


class Gate(StrEnum):
    """What becomes of a call while another one runs on the same editor."""

    OFF = "off"
    SERIALIZE = "serialize"
    REJECT = "reject"


@frozen
class ReachedEditor:
    """The editor that a call reaches, as far as it is known. None stands for any editor of the server."""

    editor_pid: int | None = None
    project: str | None = None

    def may_be(self, other: "ReachedEditor") -> bool:
        """Return whether two calls may reach the same editor. In doubt they do."""
        if self.editor_pid is not None and other.editor_pid is not None:
            return self.editor_pid == other.editor_pid
        return self.project is None or other.project is None or self.project == other.project


@frozen
class ToolCall:
    """A call of a tool by an AI client. `number` tells it from all other calls."""

    number: int
    reached: ReachedEditor


@frozen
class WaitingCall:
    """A call that waits for others, until it runs or `expires`."""

    call: ToolCall
    expires: float


@frozen
class RunsNow:
    """The call runs."""


@frozen
class MustWait:
    """The call waits, at most until `expires`."""

    expires: float


@frozen
class TurnedAway:
    """The call does not run, because too many calls wait."""


Decision = RunsNow | MustWait | TurnedAway


@frozen
class Progress:
    """What has become of calls that have waited: they run, or have expired because of the other call."""

    admitted: tuple[ToolCall, ...]
    expired: tuple[tuple[ToolCall, ToolCall], ...]


class CallQueue:
    """The calls of one server that pass its gate: those that run, and those that wait in order of arrival.

    Two calls that may reach the same editor never run at the same time, and none of them overtakes the other.
    """

    def __init__(self) -> None:
        self.running: dict[int, ToolCall] = {}
        self.waiting: dict[int, WaitingCall] = {}
        """The oldest comes first."""

    def begin(self, call: ToolCall, gate: Gate, now: float) -> Decision:
        """Decide what becomes of a new call."""
        blocker = self._blocker(call, self.waiting.values())
        if blocker is None:
            self.running[call.number] = call
            return RunsNow()
        if len(self.waiting) >= WAITING_MAX:
            return TurnedAway()
        pause_s = WAIT_S if gate is Gate.SERIALIZE else REJECT_S
        waiting = self.waiting[call.number] = WaitingCall(call, now + pause_s)
        return MustWait(waiting.expires)

    def resume(self, call: ToolCall) -> None:
        """Take over a call that runs already: an earlier daemon has admitted it."""
        self.running[call.number] = call

    def __len__(self) -> int:
        """Return how many calls run or wait."""
        return len(self.running) + len(self.waiting)

    def end(self, number: int) -> ToolCall | None:
        """Remove a call that runs or waits, and return it. Returns None if there is no such call."""
        waiting = self.waiting.pop(number, None)
        return self.running.pop(number, None) if waiting is None else waiting.call

    def advance(self, now: float) -> Progress:
        """Let the waiting calls run that can, in order of arrival, and remove those that have waited for too long."""
        admitted, expired = [], []
        still_waiting: list[WaitingCall] = []
        for waiting in list(self.waiting.values()):
            call = waiting.call
            blocker = self._blocker(call, still_waiting)
            if blocker is None:
                self.running[call.number] = call
                admitted.append(call)
            elif now >= waiting.expires:
                expired.append((call, blocker))
            else:
                still_waiting.append(waiting)
                continue
            del self.waiting[call.number]
        return Progress(tuple(admitted), tuple(expired))

    @property
    def deadline(self) -> float | None:
        """Return when the next waiting call expires, None if no call waits."""
        return min((waiting.expires for waiting in self.waiting.values()), default=None)

    def _blocker(self, call: ToolCall, earlier: Iterable[WaitingCall]) -> ToolCall | None:
        """Return the call for which another one has to wait: one that runs, else an earlier one that waits."""
        running = (each for each in self.running.values() if call.reached.may_be(each.reached))
        waiting = (each.call for each in earlier if call.reached.may_be(each.call.reached))
        return next(running, None) or next(waiting, None)


@frozen
class BusyEditor:
    """An editor that has said that it is busy, and with what."""

    editor: Editor
    occupation: Occupation


def busy_editor(
    reached: ReachedEditor, editors: Iterable[Editor], owners: Iterable[str], now: float
) -> BusyEditor | None:
    """Return the busy editor that a call would meet. Returns None if the call may reach an editor that is not busy.

    `owners` are the ids of the server's owners. If several editors are possible and all are busy, it is the one that is
    free first.
    """
    real = [editor for editor in editors if editor.client is None]
    if reached.editor_pid is not None:
        possible = [editor for editor in real if editor.process.pid == reached.editor_pid]
    elif reached.project is not None:
        possible = [editor for editor in real if editor.project == reached.project]
    else:
        known = frozenset(owners)
        possible = [editor for editor in real if editor.id in known]
    busy = [BusyEditor(editor, found) for editor in possible if (found := editor.busy(now)) is not None]
    if not busy or len(busy) < len(possible):
        return None
    return min(busy, key=lambda each: each.occupation.until)
