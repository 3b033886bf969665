"""Reaching the daemon."""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ..client import discovery
from ..client.client import CANCEL_TIMEOUT_S, CancelOutcome, Client
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

"""The origins of servers that a user of this daemon wanted; the others were merely found."""

_NAMED = frozenset({"server.ensure", "server.adopt", "server.stop", "server.restart"})
"""What takes a `request` id, by which it can be cancelled."""

_LEFT_AS_IT_WAS = {
    "server.ensure": "cancelled: nothing runs because of this command",
    "server.adopt": "cancelled: nothing was adopted",
    "server.stop": "cancelled: nothing was stopped",
    "server.restart": "cancelled: nothing was stopped, it goes on as it was",
}
"""What Ctrl-C leaves of a request that could be taken back."""


def connect(where: Folders | None = None, deadline: Deadline | None = None) -> Client:
    """A connection to the daemon that runs.

    Raises:
        DaemonNotRunning: none does.
        DaemonUnreachable: one does, and its home is such that it cannot be reached.
        ResponseTimeout: it did not answer before the deadline.
    """
    deadline = deadline or Deadline()
    try:
        return discovery.connect(where or folders(), deadline.or_else(CONNECT_TIMEOUT_S))
    except DaemonNotRunning as problem:
        if deadline.passed:
            raise deadline.error() from problem
        raise


def refuse_if_one_runs(where: Folders, problem: DaemonNotRunning, *, may_start: bool = False) -> None:
    """No daemon can be reached; but does none run? `may_start`: one that has just begun counts as none.

    Raises:
        DaemonUnreachable: one holds the lock.
    """
    from ..daemon.lock import STARTS_WITHIN_S, holder

    try:
        held = holder(where.lock)
    except OSError:
        # Whether one runs cannot be told; what was found first can.
        return
    if held is not None and not (may_start and held.for_s(time.time()) < STARTS_WITHIN_S):
        published = os.path.lexists(where.endpoint_name)
        raise held.unreachable(problem.message if published else "what it published has gone") from problem


def awaken(where: Folders, deadline: Deadline, *, usual_s: float) -> Client:
    """A connection to the daemon, started if need be: by the system's service where there is one of ours, else by us.

    Raises:
        StateNotWritable, DaemonNotRunning, DaemonUnreachable, ProtocolUnsupported, RemoteError: see `ensure_daemon`.
        ResponseTimeout: it did not answer before the deadline.
    """
    from ..client.autostart import ensure_daemon

    try:
        return ensure_daemon(where, timeout_s=deadline.or_else(usual_s), start_service=lambda: _by_service(where))
    except DaemonNotRunning as problem:
        if deadline.passed:
            raise deadline.error() from problem
        raise


def _by_service(where: Folders) -> bool:
    from ..daemon.version import installed
    from ..service.managers import start_if_installed

    return start_if_installed(where, installed())


def ask(
    method: str,
    params: Mapping[str, Any] | None = None,
    *,
    deadline: Deadline | None = None,
    usual_s: float = READ_TIMEOUT_S,
) -> Any:
    """The daemon's answer to one read."""
    deadline = deadline or Deadline()
    with connect(deadline=deadline) as client:
        return client.call(method, params, accept_timeout_s=deadline.or_else(usual_s))


def perform(
    client: Client,
    method: str,
    params: Mapping[str, Any],
    *,
    quiet: bool,
    deadline: Deadline,
    on_progress: Callable[[Mapping[str, Any]], object] = lambda _: None,
) -> Any:
    """The answer to a mutation, its progress shown unless `quiet`. Ctrl-C cancels it, and says what came of that.

    Raises:
        KeyboardInterrupt: once that is said.
    """
    progress = output.Progress(quiet=quiet)

    def told(params: Mapping[str, Any]) -> None:
        progress.update(params)
        on_progress(params)

    request = f"cli-{os.getpid()}-{os.urandom(4).hex()}"
    named = {**params, "request": request} if method in _NAMED else params
    try:
        return client.call(method, named, on_progress=told, timeout_s=deadline.left())
    except KeyboardInterrupt:
        progress.end()
        if method in _NAMED:
            if not quiet:
                output.note("cancelling; Ctrl-C again leaves it alone")
            _tell(_withdraw(client, method, request, progress.last), quiet=quiet)
        raise
    except (AcceptTimeout, ResponseTimeout) as problem:
        if not deadline.passed:
            raise
        late = deadline.error()
        late.hint = _what_becomes_of_a_start(params) if method == "server.ensure" else problem.hint
        raise late from problem
    finally:
        progress.end()


def _what_becomes_of_a_start(params: Mapping[str, Any]) -> str:
    """We are about to leave, and with us whoever waits for it."""
    if params.get("owner"):
        return "it goes on for its owner: godot-supervisor status"
    return "without an owner nobody waits for it now, and it is undone: a longer --timeout, or --owner-pid"


def _withdraw(client: Client, method: str, request: str, stage: str) -> str:
    try:
        match client.cancel(request, CANCEL_TIMEOUT_S):
            case CancelOutcome.UNDONE:
                return _LEFT_AS_IT_WAS.get(method, "cancelled")
            case CancelOutcome.ALREADY_DONE:
                return "it was done already: godot-supervisor status"
    except SupervisorError as problem:
        return f"what came of it is not known ({problem.message}): godot-supervisor status"
    return f"it cannot be undone and goes on{': ' + stage if stage else ''}; see godot-supervisor status"


def _tell(outcome: str, *, quiet: bool) -> None:
    if quiet:
        output.error(Cancelled(outcome), as_json=True)
    else:
        output.note(outcome)


def disturb(
    client: Client, verb: str, server: str, *, force: bool, quiet: bool, deadline: Deadline
) -> Mapping[str, Any]:
    """The server after `down` or `restart`, the verbs that an editor which is busy may not want."""
    params = {"server": server, "force": True} if force else {"server": server}
    method = {"down": "server.stop", "restart": "server.restart"}[verb]
    try:
        done: Mapping[str, Any] = perform(client, method, params, quiet=quiet, deadline=deadline)
    except SupervisorError as problem:
        running = problem.data.get("running")
        if problem.code == "BUSY" and isinstance(running, Mapping) and running.get("method") == "editor.state":
            problem.hint = f"wait, or: godot-supervisor {verb} {server} --force"
        raise
    return done


def history(client: Client, server: str | None, deadline: Deadline) -> Sequence[Mapping[str, Any]]:
    """How servers have ended, the latest first. A daemon of an earlier release does not remember."""
    params = {} if server is None else {"server": server}
    try:
        rows = client.call("server.history", params, accept_timeout_s=deadline.or_else(READ_TIMEOUT_S))["servers"]
    except SupervisorError as problem:
        if problem.code != MethodNotFound.code:
            raise
        return ()
    return tuple(rows)
