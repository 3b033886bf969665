"""The list in which a server says which editors have a session with it: its request, and what the answer says."""

from typing import Any

from ..messages import scan
from ..messages.message import Message, whole_body
from ..servers import EditorSession, Pin

PID_MAX = 2**32 - 1
"""No system has larger ids of processes, and the daemon takes none."""


def list_request(pin: Pin) -> tuple[str, dict[str, Any]]:
    """Return the method and the params of the request for the list."""
    if pin.tool is not None:
        return "tools/call", {"name": pin.tool, "arguments": dict(pin.arguments)}
    return "resources/read", {"uri": pin.resource}


def sessions_in(answer: Message, pin: Pin) -> tuple[EditorSession, ...] | None:
    """Return the sessions in an answer, in their order there. Returns None if the answer is of another shape."""
    body = whole_body(answer)
    if answer.is_error or not isinstance(body, dict) or body.get("isError") is True:
        return None
    listed = body.get("structuredContent") if pin.tool is not None else None
    if not isinstance(listed, dict):
        listed = _text_in(body.get("content" if pin.tool is not None else "contents"))
    rows = listed.get(pin.sessions) if isinstance(listed, dict) else None
    if not isinstance(rows, list):
        return None
    found = [_session_in(row, pin) for row in rows if isinstance(row, dict)]
    return tuple(session for session in found if session is not None)


def _text_in(content: object) -> object:
    """Return the JSON in the first text of a result. Returns None if there is none."""
    first = content[0] if isinstance(content, list) and content else None
    text = first.get("text") if isinstance(first, dict) else None
    try:
        return scan.decode(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):
        return None


def _session_in(row: dict[str, Any], pin: Pin) -> EditorSession | None:
    """Return a session. Returns None if it has no usable id."""
    name, project = row.get(pin.id), row.get(pin.project)
    pid = row.get(pin.pid) if pin.pid is not None else None
    if not isinstance(name, str) or not name or not isinstance(project, str):
        return None
    is_active = pin.active is not None and row.get(pin.active) is True
    usable = isinstance(pid, int) and not isinstance(pid, bool) and 0 < pid <= PID_MAX
    return EditorSession(name, project, pid if usable else None, is_active)
