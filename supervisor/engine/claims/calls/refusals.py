"""The errors for tool calls that may not run now: who or what keeps them from it, and when to call again."""

from ....core.tool_calls import WAITING_MAX, BusyEditor
from ....errors import EditorBusy
from .tracked import TrackedCall

RETRY_AFTER_MS = 1000
"""When a call that met another one may be made again. How long the other one takes is not known."""

HINT = "call again later: nothing was executed"


def editor_is_busy(found: BusyEditor, now: float) -> EditorBusy:
    """Return the error for a call that would meet an editor which has said that it is busy."""
    editor, occupation = found.editor, found.occupation
    left_ms = max(1, round((occupation.until - now) * 1000))
    data = {
        "cause": "editor",
        "editor": editor.id,
        "reason": occupation.reason,
        "elapsed_ms": round((now - occupation.since) * 1000),
        "remaining_ms": left_ms,
    }
    message = f"the editor {editor.id} is busy: {occupation.reason}"
    return EditorBusy(message, hint=HINT, retry_after_ms=left_ms, data=data)


def call_is_blocked(call: TrackedCall, other: TrackedCall, now: float) -> EditorBusy:
    """Return the error for a call that has met another one on the same editor."""
    elapsed_s = now - other.began
    whose = "another call of this client" if other.maker is call.maker else other.maker.name
    does = "waits to run" if other.waits else "runs"
    running = {
        "client": other.maker.client,
        "name": other.maker.name,
        "pid": other.maker.pid,
        "server": other.server,
        "tool": other.tool,
        "since": other.since,
        "elapsed_ms": round(elapsed_s * 1000),
        "waits": other.waits,
    }
    return EditorBusy(
        f"the editor is busy: {whose} {does} {other.tool}, for {elapsed_s:.1f} s",
        hint=HINT,
        retry_after_ms=RETRY_AFTER_MS,
        data={"cause": "call", "running": running},
    )


def queue_is_full(server_id: str) -> EditorBusy:
    """Return the error for a call that may not even wait."""
    message = f"the editor is busy: {WAITING_MAX} calls wait for {server_id}"
    return EditorBusy(message, hint=HINT, retry_after_ms=RETRY_AFTER_MS, data={"cause": "queue"})
