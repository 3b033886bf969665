"""Finds the daemon of a home: by its published endpoint file, else by its presence outside the home.

Cheap to import: every command-line query pays for it.
"""

import contextlib
import os
import time
from typing import TYPE_CHECKING

from ..errors import DaemonNotRunning, DaemonUnreachable
from . import endpoint
from .client import Client
from .endpoint import START_HINT, Endpoint, PresenceReply

if TYPE_CHECKING:
    from ..native.facts import Folders

ASK_S = 2.0
"""How long a daemon may take to send its endpoint, and to restore its files."""

POLL_S = 0.05
CONNECT_S = 2.0


def connect(where: "Folders", timeout_s: float = CONNECT_S) -> Client:
    """Connect to the daemon of this home, even if its files were removed.

    Raises:
        DaemonNotRunning: no daemon runs, or it is starting or ending.
        DaemonUnreachable: a daemon runs, and cannot be reached.
        ProtocolUnsupported, RemoteError: see `Client.connect`.
    """
    tried: Endpoint | None = None
    try:
        tried = published_endpoint(where)
        if tried is not None:
            return Client.connect(tried, timeout_s)
        problem = DaemonNotRunning("no daemon is running", hint=START_HINT)
    except DaemonNotRunning as error:
        problem = error
    found = ask_for_endpoint(where, timeout_s)
    if found is None or found == tried:
        raise problem
    return Client.connect(found, timeout_s)


def find(where: "Folders") -> Endpoint:
    """Return the endpoint of the running daemon, which may have died since.

    Raises:
        DaemonNotRunning: no endpoint is published, and no daemon is present.
        DaemonUnreachable: a daemon runs, and cannot be reached.
        ProtocolUnsupported: a later release wrote the file.
    """
    problem = DaemonNotRunning("no daemon is running", hint=START_HINT)
    try:
        found = published_endpoint(where)
    except DaemonNotRunning as error:
        found, problem = None, error
    found = found or ask_for_endpoint(where, ASK_S)
    if found is None:
        raise problem
    return found


def published_endpoint(where: "Folders") -> Endpoint | None:
    """Return the endpoint that is published in this home. Returns None if there is none.

    Raises:
        DaemonNotRunning: the file cannot be used, or belongs to another home, because its folder was moved or copied.
        ProtocolUnsupported: a later release wrote it.
    """
    found = endpoint.read(where.endpoint_text)
    if found is None or found.home is None or _is_same_folder(found.home, where.home_text):
        return found
    # A daemon whose folder was moved gives the folder up at its next check. Asking the daemon makes it check now.
    _ask_presence(_folders_of(found.home, where), ASK_S)
    raise DaemonNotRunning(
        f"no daemon is running for {where.home_text}: its endpoint file belongs to {found.home}", hint=START_HINT
    )


def ask_for_endpoint(where: "Folders", timeout_s: float) -> Endpoint | None:
    """Ask the daemon that is present for this home for its endpoint. Returns None if no daemon is present.

    The question also makes the daemon restore files of its home that were removed.

    Raises:
        DaemonNotRunning: the daemon is starting, ending, or too busy to answer.
        DaemonUnreachable: the daemon cannot use its home, and so listens nowhere.
    """
    deadline = time.monotonic() + min(timeout_s, ASK_S)
    raw = _ask_presence(where, timeout_s)
    if raw is None:
        return None
    answer = endpoint.decode_presence_reply(raw)
    if answer is not None:
        return _endpoint_in(answer)
    # The daemon is busy, or this system carries no answer; then only the file can tell.
    while time.monotonic() < deadline:
        with contextlib.suppress(DaemonNotRunning):
            found = endpoint.read(where.endpoint_text)
            if found is not None and (found.home is None or _is_same_folder(found.home, where.home_text)):
                return found
        time.sleep(POLL_S)
    raise DaemonNotRunning(
        "a daemon runs and does not answer yet: it is starting, ending, or very busy",
        hint="try again in a moment",
        retry_after_ms=500,
    )


def _endpoint_in(answer: PresenceReply) -> Endpoint:
    """Return the endpoint. Otherwise raise the error for the reason why the answer has none."""
    if answer.endpoint is not None:
        return answer.endpoint
    if answer.problem is not None:
        raise DaemonUnreachable(
            f"a daemon (pid {answer.pid}) runs and cannot be reached: {answer.problem}", data={"pid": answer.pid}
        )
    raise DaemonNotRunning(
        f"the daemon (pid {answer.pid}) is starting or ending", hint="try again in a moment", retry_after_ms=500
    )


def _ask_presence(where: "Folders", timeout_s: float) -> bytes | None:
    """Return what the daemon of this home answers, empty if it is too busy. Returns None if no daemon is present."""
    from ..native import presence

    answer = presence.ask(where.home_id, timeout_s)
    if answer is None and where.path_id != where.home_id:
        # The home was replaced by a link, and its daemon has not noticed that yet.
        answer = presence.ask(where.path_id, timeout_s)
    return answer


def _folders_of(home: str, like: "Folders") -> "Folders":
    return type(like)(home, moved=like.moved)


def _is_same_folder(one: str, other: str) -> bool:
    """Return whether two paths lead to one folder. A path that does not exist is the same as no other."""
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 (queries load no pathlib)
    except OSError:
        return False
