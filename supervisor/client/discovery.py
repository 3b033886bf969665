"""Where the daemon of a home answers: by the file that it published, else by its presence outside the home.

Cheap to import: every command-line query pays for it.
"""

import contextlib
import os
import time
from typing import TYPE_CHECKING

from ..errors import DaemonNotRunning, DaemonUnreachable
from . import endpoint
from .client import Client
from .endpoint import START_HINT, Endpoint, Present

if TYPE_CHECKING:
    from ..native.facts import Folders

ASK_S = 2.0
"""How long a daemon may take to say where it answers, and to make its files again."""

POLL_S = 0.05
CONNECT_S = 2.0


def connect(where: "Folders", timeout_s: float = CONNECT_S) -> Client:
    """A connection to the daemon of this home, whatever has become of its files.

    Raises:
        DaemonNotRunning: none runs, or it is starting up or ending.
        DaemonUnreachable: one runs, and cannot be reached.
        ProtocolUnsupported, RemoteError: see `Client.connect`.
    """
    tried: Endpoint | None = None
    try:
        tried = published(where)
        if tried is not None:
            return Client.connect(tried, timeout_s)
        problem = DaemonNotRunning("no daemon is running", hint=START_HINT)
    except DaemonNotRunning as error:
        problem = error
    found = ask(where, timeout_s)
    if found is None or found == tried:
        raise problem
    return Client.connect(found, timeout_s)


def find(where: "Folders") -> Endpoint:
    """What the daemon that runs says of itself. It may have died since.

    Raises:
        DaemonNotRunning: none has said anything.
        DaemonUnreachable: one runs, and cannot be reached.
        ProtocolUnsupported: a later release wrote the file.
    """
    problem = DaemonNotRunning("no daemon is running", hint=START_HINT)
    try:
        found = published(where)
    except DaemonNotRunning as error:
        found, problem = None, error
    found = found or ask(where, ASK_S)
    if found is None:
        raise problem
    return found


def published(where: "Folders") -> Endpoint | None:
    """What the daemon of this home has published there; None: nothing.

    Raises:
        DaemonNotRunning: the file cannot be used, or it is another home's: that of a folder that was moved or copied.
        ProtocolUnsupported: a later release wrote it.
    """
    found = endpoint.read(where.endpoint_name)
    if found is None or found.home is None or _is_same(found.home, where.home_name):
        return found
    # A daemon whose folder was moved away lets go of it when it looks; it may not have looked yet.
    _ask(_folders_at(found.home, where), ASK_S)
    raise DaemonNotRunning(
        f"no daemon is running for {where.home_name}: what is published there was for {found.home}", hint=START_HINT
    )


def ask(where: "Folders", timeout_s: float) -> Endpoint | None:
    """Where the daemon says that it answers which is present for this home; None: none is.

    Asking has it make again what has gone of its files.

    Raises:
        DaemonNotRunning: it is starting up, ending, or too busy to say.
        DaemonUnreachable: its home cannot be used, so that it has not come as far as to answer anywhere.
    """
    deadline = time.monotonic() + min(timeout_s, ASK_S)
    said = _ask(where, timeout_s)
    if said is None:
        return None
    present = endpoint.decode_present(said)
    if present is not None:
        return _usable(present)
    # No answer: it is busy, or the system carries none and the file is all that there is to read.
    while time.monotonic() < deadline:
        with contextlib.suppress(DaemonNotRunning):
            found = endpoint.read(where.endpoint_name)
            if found is not None and (found.home is None or _is_same(found.home, where.home_name)):
                return found
        time.sleep(POLL_S)
    raise DaemonNotRunning(
        "a daemon is there, and does not say yet where it answers: it starts up, ends, or is very busy",
        hint="try again in a moment",
        retry_after_ms=500,
    )


def _usable(present: Present) -> Endpoint:
    if present.endpoint is not None:
        return present.endpoint
    if present.problem is not None:
        raise DaemonUnreachable(
            f"a daemon (pid {present.pid}) runs and cannot be reached: {present.problem}", data={"pid": present.pid}
        )
    raise DaemonNotRunning(
        f"the daemon (pid {present.pid}) is starting up, or ending", hint="try again in a moment", retry_after_ms=500
    )


def _ask(where: "Folders", timeout_s: float) -> bytes | None:
    from ..native import presence

    said = presence.ask(where.home_id, timeout_s)
    if said is None and where.path_id != where.home_id:
        # The home was replaced by a link, and its daemon has not seen that yet.
        said = presence.ask(where.path_id, timeout_s)
    return said


def _folders_at(home: str, like: "Folders") -> "Folders":
    return type(like)(home, moved=like.moved)


def _is_same(one: str, other: str) -> bool:
    """Whether two paths lead to one folder. What is not there is no folder of anybody's."""
    if one == other:
        return True
    try:
        return os.path.samefile(one, other)  # noqa: PTH121 (queries load no pathlib)
    except OSError:
        return False
