"""Connects commands to the daemon, and runs its operations with progress, `--timeout` and Ctrl-C."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..client import discovery
from ..client.client import CANCEL_TIMEOUT_S, CancelOutcome, Client
from ..client.endpoint import START_HINT
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

CONNECT_TIMEOUT_S = 2.0
READ_TIMEOUT_S = 5.0

Json = Mapping[str, Any]

_CANCELLABLE = frozenset({"server.ensure", "server.adopt", "server.stop", "server.restart"})
"""Methods that take a `request` id, by which the operation can be cancelled."""

_CANCELLED = {
    "server.ensure": "cancelled: this command has started nothing",
    "server.adopt": "cancelled: nothing was adopted",
    "server.stop": "cancelled: nothing was stopped",
    "server.restart": "cancelled: nothing was stopped; the server keeps running",
}
"""Printed when a cancel has undone the operation."""


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
        return discovery.connect(where, deadline.or_else(CONNECT_TIMEOUT_S))
    except DaemonNotRunning as problem:
        if deadline.passed:
            raise deadline.error() from problem
        if problem.hint == START_HINT:
            problem.hint = _what_refuses_a_start(where) or problem.hint
        raise


def _what_refuses_a_start(where: Folders) -> str | None:
    """Return why no daemon can be started here, and what helps. Returns None where a daemon may be started."""
    from ..native.startup import homes

    try:
        homes.refuse(where)
    except SupervisorError as refusal:
        return f"{refusal.message}: {refusal.hint}" if refusal.hint else refusal.message
    return None


def raise_if_a_daemon_runs(where: Folders, problem: DaemonNotRunning, *, ignore_starting: bool = False) -> None:
    """Raise if a daemon runs although none could be reached, because its lock is held.

    `ignore_starting`: a daemon that has just been started does not count.

    Raises:
        DaemonUnreachable: a daemon holds the lock.
    """
    from ..daemon.lock import STARTS_WITHIN_S, lock_holder

    try:
        held = lock_holder(where.lock)
    except OSError:
        # The lock cannot be read, so only the first error is certain.
        return
    if held is not None and not (ignore_starting and held.for_s(time.time()) < STARTS_WITHIN_S):
        published = os.path.lexists(where.endpoint_name)
        raise held.unreachable(problem.message if published else "its endpoint file is gone") from problem


def connect_or_start(where: Folders, deadline: Deadline, *, usual_s: float) -> Client:
    """Connect to the daemon, and start it first if none runs: by the installed service if there is one, else directly.

    Raises:
        StateNotWritable, DaemonNotRunning, DaemonUnreachable, ProtocolUnsupported, RemoteError: see `ensure_daemon`.
        ResponseTimeout: the daemon did not answer before the deadline.
    """
    from ..client.autostart import ensure_daemon

    try:
        return ensure_daemon(where, timeout_s=deadline.or_else(usual_s), start_service=lambda: _start_service(where))
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
    params: Json | None = None,
    *,
    deadline: Deadline | None = None,
    usual_s: float = READ_TIMEOUT_S,
) -> Any:
    """Connect, call one method, and return the answer. `usual_s` is the time limit without `--timeout`."""
    deadline = deadline or Deadline()
    with connect(deadline=deadline) as client:
        return client.call(method, params, accept_timeout_s=deadline.or_else(usual_s))


def server_rows(client: Client, deadline: Deadline) -> Sequence[Json]:
    """Return the servers that the daemon knows."""
    answer = client.call("server.list", accept_timeout_s=deadline.or_else(READ_TIMEOUT_S))
    rows: Sequence[Json] = answer["servers"]
    return rows


def ended_servers(client: Client, server: str | None, deadline: Deadline) -> Sequence[Json]:
    """Return how servers have ended, the latest first. Empty for a daemon of a release without this history."""
    params = {} if server is None else {"server": server}
    try:
        rows = client.call("server.history", params, accept_timeout_s=deadline.or_else(READ_TIMEOUT_S))["servers"]
    except SupervisorError as problem:
        if problem.code != MethodNotFound.code:
            raise
        return ()
    return tuple(rows)


def run_operation(
    client: Client,
    method: str,
    params: Json,
    *,
    quiet: bool,
    deadline: Deadline,
    on_progress: Callable[[Json], object] = lambda _: None,
) -> Any:
    """Call a method that changes something, and return the answer. Progress is shown unless `quiet`.

    Ctrl-C cancels the operation, and prints the effect.

    Raises:
        KeyboardInterrupt: after the effect was printed.
    """
    progress = output.Progress(quiet=quiet)

    def show(params: Json) -> None:
        progress.update(params)
        on_progress(params)

    request = f"cli-{os.getpid()}-{os.urandom(4).hex()}"
    sent = {**params, "request": request} if method in _CANCELLABLE else params
    try:
        return client.call(method, sent, on_progress=show, timeout_s=deadline.left())
    except KeyboardInterrupt:
        progress.end()
        if method in _CANCELLABLE:
            if not quiet:
                output.note("cancelling; press Ctrl-C again to leave without waiting")
            _print_outcome(_cancel(client, method, request, progress.last), quiet=quiet)
        raise
    except (AcceptTimeout, ResponseTimeout) as problem:
        if not deadline.passed:
            raise
        late = deadline.error()
        late.hint = _fate_of_a_start(params) if method == "server.ensure" else problem.hint
        raise late from problem
    finally:
        progress.end()


def _fate_of_a_start(params: Json) -> str:
    """Return what happens to a start when this command, and its connection, ends before the server is ready."""
    if params.get("owner"):
        return "the start continues for its owner: godot-supervisor status"
    return "the start is undone; use a longer --timeout, or --owner-pid to let it continue in the background"


def _cancel(client: Client, method: str, request: str, stage: str) -> str:
    """Cancel the operation, and return the effect in words."""
    try:
        match client.cancel(request, CANCEL_TIMEOUT_S):
            case CancelOutcome.UNDONE:
                return _CANCELLED.get(method, "cancelled")
            case CancelOutcome.ALREADY_DONE:
                return "too late to cancel: it was already done; see godot-supervisor status"
    except SupervisorError as problem:
        return f"the outcome is unknown ({problem.message}); see godot-supervisor status"
    return f"it cannot be undone and continues{': ' + stage if stage else ''}; see godot-supervisor status"


def _print_outcome(outcome: str, *, quiet: bool) -> None:
    if quiet:
        output.error(Cancelled(outcome), as_json=True)
    else:
        output.note(outcome)
