"""Connects commands to the daemon, and runs its operations with progress, `--timeout` and Ctrl-C."""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

from ..client import discovery
from ..client.client import CANCEL_TIMEOUT_S, CancelOutcome, Client
from ..client.endpoint import START_HINT
from ..client.json_object import JsonObject
from ..errors import (
    AcceptTimeout,
    Cancelled,
    DaemonNotRunning,
    MethodNotFound,
    ResponseTimeout,
    SupervisorError,
)
from ..native.facts import Folders, folders
from . import output
from .deadline import Deadline

READ_TIMEOUT_S = 5.0
"""How long a question to the daemon may take, if the user gave no `--timeout`."""

_TEXTS_IF_UNDONE = {
    "server.ensure": "cancelled: this command has started nothing",
    "server.adopt": "cancelled: nothing was adopted",
    "server.stop": "cancelled: nothing was stopped",
    "server.restart": "cancelled: nothing was stopped; the server keeps running",
}
"""What to print when a cancel has undone the operation. The methods are those that take a `request` id to cancel by."""


def connect(where: Folders | None = None, deadline: Deadline | None = None) -> Client:
    """Connect to the running daemon.

    Raises:
        DaemonNotRunning: no daemon runs.
        DaemonUnreachable: a daemon runs, but its home does not lead to it.
        ResponseTimeout: the daemon did not answer before the deadline.
    """
    deadline = deadline or Deadline()
    where = where or folders()
    try:
        return discovery.connect(where, deadline.left_or(discovery.CONNECT_S))
    except DaemonNotRunning as problem:
        if deadline.passed:
            raise deadline.error() from problem
        if problem.hint == START_HINT:
            problem.hint = _why_none_can_start(where) or problem.hint
        raise


def _why_none_can_start(where: Folders) -> str | None:
    """Return why no daemon can be started here, and what helps. Returns None where a daemon may be started."""
    from ..native.startup import homes

    try:
        homes.check(where)
    except SupervisorError as refusal:
        return f"{refusal.message}: {refusal.hint}" if refusal.hint else refusal.message
    return None


def raise_if_a_daemon_runs(where: Folders, problem: DaemonNotRunning, *, ignore_starting: bool = False) -> None:
    """Raise if a daemon runs although none could be reached. A held lock proves that it runs.

    `problem` is why none could be reached. `ignore_starting`: a daemon that has just been started does not count.

    Raises:
        DaemonUnreachable: a daemon holds the lock.
    """
    from ..daemon.home_lock import STARTS_WITHIN_S, lock_holder

    try:
        held = lock_holder(where.lock)
    except OSError:
        # The lock cannot be read, so only the first error is certain.
        return
    if held is not None and not (ignore_starting and held.held_for_s(time.time()) < STARTS_WITHIN_S):
        published = os.path.lexists(where.endpoint_text)
        raise held.unreachable(problem.message if published else "its endpoint file is gone") from problem


def connect_or_start(where: Folders, deadline: Deadline, *, default_s: float) -> Client:
    """Connect to the daemon, and start it first if none runs: by the installed service if there is one, else directly.

    `default_s`: how long that may take without `--timeout`.

    Raises:
        StateNotWritable, DaemonNotRunning, DaemonUnreachable, ProtocolUnsupported, RemoteError: see `ensure_daemon`.
        ResponseTimeout: the daemon did not answer before the deadline.
    """
    from ..client.autostart import ensure_daemon

    try:
        return ensure_daemon(where, timeout_s=deadline.left_or(default_s), start_service=lambda: _start_service(where))
    except DaemonNotRunning as problem:
        if deadline.passed:
            raise deadline.error() from problem
        raise


def _start_service(where: Folders) -> bool:
    from ..daemon.version import installed
    from ..service.managers import start_if_installed

    return start_if_installed(where, installed())


def query(
    method: str,
    params: JsonObject | None = None,
    *,
    deadline: Deadline | None = None,
    default_s: float = READ_TIMEOUT_S,
) -> Any:
    """Connect, call one method, and return the answer. `default_s`: how long it may take without `--timeout`."""
    deadline = deadline or Deadline()
    with connect(deadline=deadline) as client:
        return client.call(method, params, accept_timeout_s=deadline.left_or(default_s))


def server_rows(client: Client, deadline: Deadline) -> Sequence[JsonObject]:
    """Return the servers that the daemon knows, as `server.list` describes them."""
    answer = client.call("server.list", accept_timeout_s=deadline.left_or(READ_TIMEOUT_S))
    rows: Sequence[JsonObject] = answer["servers"]
    return rows


def ended_servers(client: Client, server: str | None, deadline: Deadline) -> Sequence[JsonObject]:
    """Return how servers have ended, the latest first; with `server` only that one.

    Returns nothing for a daemon of a release without this history.
    """
    params = {} if server is None else {"server": server}
    try:
        rows = client.call("server.history", params, accept_timeout_s=deadline.left_or(READ_TIMEOUT_S))["servers"]
    except SupervisorError as problem:
        if problem.code != MethodNotFound.code:
            raise
        return ()
    return tuple(rows)


def run_operation(
    client: Client,
    method: str,
    params: JsonObject,
    *,
    as_json: bool,
    deadline: Deadline,
    on_progress: Callable[[JsonObject], object] = lambda _: None,
) -> Any:
    """Call a method that changes something, and return the answer. Show progress, unless `as_json`.

    Ctrl-C cancels the operation, and prints the effect.

    Args:
        client: a connection to the daemon.
        method: its name.
        params: its params, without a `request` id.
        as_json: the user wants JSON: no progress, and the effect of Ctrl-C as an error object.
        deadline: the limit of the whole command.
        on_progress: called with the params of each `progress`.

    Raises:
        KeyboardInterrupt: after the effect of Ctrl-C was printed.
        SupervisorError: the operation failed, or the deadline has passed.
    """
    display = output.ProgressDisplay(quiet=as_json)

    def show(progress: JsonObject) -> None:
        display.update(progress)
        on_progress(progress)

    request = f"cli-{os.getpid()}-{os.urandom(4).hex()}"
    can_be_cancelled = method in _TEXTS_IF_UNDONE
    sent = {**params, "request": request} if can_be_cancelled else params
    try:
        return client.call(method, sent, on_progress=show, timeout_s=deadline.left())
    except KeyboardInterrupt:
        display.end()
        if can_be_cancelled:
            if not as_json:
                output.note("cancelling; press Ctrl-C again to leave without waiting")
            _print_effect(_cancel(client, method, request, display.last), as_json=as_json)
        raise
    except (AcceptTimeout, ResponseTimeout) as problem:
        if not deadline.passed:
            raise
        late = deadline.error()
        late.hint = _what_becomes_of_a_start(params) if method == "server.ensure" else problem.hint
        raise late from problem
    finally:
        display.end()


def _what_becomes_of_a_start(params: JsonObject) -> str:
    """Return what happens to a start when this command, and its connection, ends before the server is ready."""
    if params.get("owner"):
        return "the start continues for its owner: godot-supervisor status"
    return "the start is undone; use a longer --timeout, or --owner-pid to let it continue in the background"


def _cancel(client: Client, method: str, request: str, last_progress: str) -> str:
    """Cancel the operation, and return the effect in words. `last_progress`: what the operation was doing, or ""."""
    try:
        match client.cancel(request, CANCEL_TIMEOUT_S):
            case CancelOutcome.UNDONE:
                return _TEXTS_IF_UNDONE[method]
            case CancelOutcome.ALREADY_DONE:
                return "too late to cancel: it was already done; see godot-supervisor status"
    except SupervisorError as problem:
        return f"the outcome is unknown ({problem.message}); see godot-supervisor status"
    doing = f": {last_progress}" if last_progress else ""
    return f"it cannot be undone and continues{doing}; see godot-supervisor status"


def _print_effect(effect: str, *, as_json: bool) -> None:
    if as_json:
        output.error(Cancelled(effect), as_json=True)
    else:
        output.note(effect)
