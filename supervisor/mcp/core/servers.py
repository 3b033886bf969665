"""Servers, the sessions of editors with them, and how exchanges with them end."""

from collections.abc import Mapping
from enum import Enum
from typing import Any, NamedTuple


class Pin(NamedTuple):
    """How a call names the editor that it is for: the `[pin]` of the kind (docs/protocol.md).

    `argument` is the argument of tools that names the session of an editor. The tools in `exempt` are for no editor.
    The server lists its sessions as the structured result of `tool` called with `arguments`, or as the text of
    `resource`: under the key `sessions`, each with an id, the path of the project and the process of the editor under
    the other keys; `active` is true for the session of the editor that resources are read from. An error result with
    the text `unknown` says that the server does not know the session.
    """

    argument: str
    tool: str | None = None
    arguments: Mapping[str, Any] = {}
    resource: str | None = None
    sessions: str = "sessions"
    id: str = "session_id"
    project: str = "project_path"
    pid: str | None = None
    active: str | None = None
    unknown: str | None = None
    exempt: tuple[str, ...] = ()


class EditorSession(NamedTuple):
    """A session of an editor with the server. `pid` is the process of the editor, or None if the server has none.

    `is_active`: resources are read from this editor.
    """

    id: str
    project: str
    pid: int | None = None
    is_active: bool = False


class Server(NamedTuple):
    """A server that is ready. Each process of it and each of its addresses has a `number` of its own, from 1 on.

    `name` is the id of the server in the daemon. `gate` is that of its kind: "off", "serialize" or "reject".
    """

    number: int
    version: str | None = None
    name: str = ""
    gate: str = "off"
    pin: Pin | None = None


class Outcome(Enum):
    """How an exchange with a server has ended.

    NOT_SENT proves that the server has not received the whole request. LOST proves nothing. REFUSED is an answer of a
    status other than 2xx. INVALID is an answer that is no HTTP, or not of a content type that MCP knows.
    """

    NOT_SENT = "not sent"
    COMPLETE = "complete"
    REFUSED = "refused"
    LOST = "lost"
    INVALID = "invalid"
