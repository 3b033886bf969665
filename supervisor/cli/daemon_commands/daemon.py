"""The commands `start` and `stop`, and the restart of the daemon."""

import time
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import click

from ...client import discovery, endpoint
from ...client.client import Client
from ...client.endpoint import START_HINT
from ...client.stream import Stream
from ...errors import DaemonNotRunning, ProtocolUnsupported, StateNotWritable, StopFailed, SupervisorError
from ...native.facts import Folders, folders
from .. import options, output, remote
from ..deadline import Deadline
from ..follow import CONNECTION_LOST
from ..text import bridge_notes

if TYPE_CHECKING:
    from ...daemon.home_lock import LockHolder

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 60.0


@click.command
@click.option("--foreground", is_flag=True, help="Run the daemon in this terminal, until Ctrl-C.")
@options.as_json
@options.timeout
def start(*, foreground: bool, as_json: bool, deadline: Deadline) -> int:
    """Start the daemon, and wait until it answers.

    Does nothing if a daemon already runs.
    """
    where = folders()
    try:
        client = remote.connect(where, deadline)
    except DaemonNotRunning:
        if foreground:
            return _run_in_foreground(where)
        asked_at = time.time()
        client = remote.connect_or_start(where, deadline, default_s=START_TIMEOUT_S)
        _print_daemon(client, "started", as_json=as_json, since=asked_at)
    else:
        _print_daemon(client, "already running", as_json=as_json)
    return 0


def _run_in_foreground(where: Folders) -> int:
    from ...daemon.app import run_daemon

    try:
        return run_daemon(where, console=True)
    except OSError as problem:
        raise StateNotWritable(f"the daemon cannot run: {problem}") from problem


def _print_daemon(client: Client, outcome: str, *, as_json: bool, since: float = 0.0) -> None:
    """Print the outcome and the daemon, and close the connection.

    A daemon that began before `since`, wall time in seconds, is reported as already running.
    """
    with client:
        facts = client.call("status")["daemon"]
    if facts["started_at"] < since:
        outcome = "already running"
    if as_json:
        output.document(facts)
    else:
        output.line(f"{outcome}: pid {facts['pid']}, version {facts['version']}")


@click.command
@click.option("--servers", is_flag=True, help="Stop the servers first. Without this option they keep running.")
@click.argument("server", metavar="", required=False)
@options.as_json
@options.timeout
def stop(*, servers: bool, server: str | None, as_json: bool, deadline: Deadline) -> None:
    """Stop the daemon.

    Servers keep running without it. The next daemon finds them.
    """
    # Users type `stop ID` when they mean `down ID`.
    if server is not None:
        raise click.UsageError(f"stop ends the daemon. To stop a server: godot-supervisor down {server}")
    where = folders()
    answer: Any = {}
    failed: dict[str, str] = {}
    try:
        with remote.connect(where, deadline) as client:
            events = client.stream("events.subscribe") if servers else None
            answer = _request_shutdown(client, servers=servers, deadline=deadline)
            if events is not None:
                failed = _print_stopped_servers(events, answer, as_json=as_json, deadline=deadline)
            _wait_for_end(where, client, deadline)
        outcome = "stopped"
    except DaemonNotRunning as problem:
        remote.raise_if_a_daemon_runs(where, problem)
        if servers:
            # Only a daemon can find servers that run without one.
            how_to_stop_them = f"{START_HINT}, then godot-supervisor stop --servers"
            problem.hint = f"servers of an earlier daemon may still run: {how_to_stop_them}"
            raise
        outcome = "no daemon is running"
        if where.registry.exists() and not as_json:
            output.note(f"servers of an earlier daemon may still run: {START_HINT} finds them")
    if as_json:
        output.document(_stop_document(answer, failed) if servers else {})
    else:
        output.line(outcome)
    if failed:
        raise StopFailed("; ".join(f"{server}: {reason}" for server, reason in failed.items()))


def _print_stopped_servers(events: Stream, answer: Any, *, as_json: bool, deadline: Deadline) -> dict[str, str]:
    """Print what becomes of each server, until no stop is pending. Return those that were not stopped, and why."""
    pending = set(answer.get("stops", ()))
    failed: dict[str, str] = {}
    for row in answer.get("left", ()):
        _note(f"{row['server']}: left running, {row['reason']}", as_json=as_json)
    for text in bridge_notes.after_a_stop(answer.get("bridges", ())):
        _note(text, as_json=as_json)
    if not pending:
        return failed
    with suppress(*CONNECTION_LOST):
        for method, event in events.listen(deadline.left_or(STOP_TIMEOUT_S)):
            if method != "event" or event["server"] not in pending:
                continue
            if event["event"] == "server.not_stopped":
                failed[event["server"]] = str(event["details"].get("reason") or event["details"].get("error"))
                _note(f"{event['server']}: not stopped", as_json=as_json)
            elif event["event"] == "server.gone":
                _note(f"{event['server']}: stopped", as_json=as_json)
            else:
                continue
            pending.discard(event["server"])
            if not pending:
                break
    return failed


def _stop_document(answer: Any, failed: Mapping[str, str]) -> dict[str, Any]:
    """Return what `stop --servers --json` prints."""
    still_running = [{"server": server, "reason": reason} for server, reason in failed.items()]
    stopped = [server for server in answer.get("stops", ()) if server not in failed]
    bridges = list(answer.get("bridges", ()))
    return {"stopped": stopped, "left": [*answer.get("left", ()), *still_running], "bridges": bridges}


def restart_daemon(where: Folders, *, as_json: bool, deadline: Deadline) -> None:
    """Replace the running daemon by a new one while servers keep running. Start a daemon if none runs."""
    outcome = "restarted"
    try:
        with remote.connect(where, deadline) as client:
            _rehearse_start(where, deadline)
            _note("stopping the daemon; servers keep running", as_json=as_json)
            _request_shutdown(client, servers=False, deadline=deadline)
            _wait_for_end(where, client, deadline)
    except DaemonNotRunning as problem:
        remote.raise_if_a_daemon_runs(where, problem)
        outcome = "started"
    except ProtocolUnsupported:
        _rehearse_start(where, deadline)
        _note("ending a daemon of another release; servers keep running", as_json=as_json)
        _end_other_release(where, deadline)
    _note("starting a daemon", as_json=as_json)
    _print_daemon(remote.connect_or_start(where, deadline, default_s=START_TIMEOUT_S), outcome, as_json=as_json)


def _rehearse_start(where: Folders, deadline: Deadline) -> None:
    """Check that the new daemon could start, before the running one is asked to end.

    Raises:
        SupervisorError: the new daemon could not start; the running one was left alone.
    """
    from ...client.autostart import REHEARSAL_S, rehearse

    try:
        rehearse(where, deadline.left_or(REHEARSAL_S))
    except SupervisorError as problem:
        problem.message = f"{problem.message} (the running daemon was left alone)"
        raise


def _note(text: str, *, as_json: bool) -> None:
    """Print a note for people. With `--json`, stderr is for the error object only."""
    if not as_json:
        output.note(text)


def _end_other_release(where: Folders, deadline: Deadline) -> None:
    """End a daemon of another release by a signal, because it speaks no protocol of this release."""
    from ...daemon.other_release import ask_to_end

    running = discovery.find(where)
    try:
        asked = ask_to_end(running)
    except OSError as problem:
        raise ProtocolUnsupported(
            f"the daemon ({running.version}) speaks another protocol and could not be ended: {problem}",
            hint=f"end it yourself: pid {running.pid}",
        ) from problem
    if asked:
        endpoint.wait_until_withdrawn(where.endpoint_text, running.instance_id, _give_up_at(deadline))
    else:
        endpoint.withdraw(where.endpoint, running.instance_id)


def _request_shutdown(client: Client, *, servers: bool, deadline: Deadline) -> Any:
    """Return the daemon's answer; an empty one if the daemon ended before it answered."""
    with suppress(*CONNECTION_LOST):
        timeout_s = deadline.left_or(remote.READ_TIMEOUT_S)
        return client.call("daemon.shutdown", {"servers": servers}, accept_timeout_s=timeout_s)
    return {}


def _wait_for_end(where: Folders, client: Client, deadline: Deadline) -> None:
    """Wait until the daemon has removed its endpoint file, which it does last, or has died without doing so."""
    instance_id = str(client.daemon["instance_id"])
    until = _give_up_at(deadline)
    while endpoint.is_published(where.endpoint_text, instance_id) or not client.has_ended():
        # A daemon removes the file before it releases the lock. If the lock is free, a file that is still there belongs
        # to a dead daemon. The file is read again, because the daemon may have removed it before the lock was checked.
        if (
            client.has_ended()
            and _lock_holder(where) is None
            and endpoint.is_published(where.endpoint_text, instance_id)
        ):
            output.note("the daemon died before it had stopped properly; servers that it had not stopped keep running")
            endpoint.withdraw(where.endpoint, instance_id)
            return
        if time.monotonic() >= until:
            raise endpoint.still_stopping_error()
        time.sleep(endpoint.WITHDRAWN_POLL_S)


def _give_up_at(deadline: Deadline) -> float:
    return time.monotonic() + deadline.left_or(STOP_TIMEOUT_S)


def _lock_holder(where: Folders) -> "LockHolder | None":
    from ...daemon.home_lock import lock_holder

    return lock_holder(where.lock)
