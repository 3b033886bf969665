"""`start` and `stop`: the daemon itself."""

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
from ..follow import LOST
from ..text import bridge_notes

if TYPE_CHECKING:
    from ...daemon.lock import Holder

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 60.0


@click.command
@click.option("--foreground", is_flag=True, help="Stay attached to this terminal, as service managers want it.")
@options.as_json
@options.timeout
def start(*, foreground: bool, as_json: bool, deadline: Deadline) -> int:
    """Start the daemon. Returns when it answers; one that runs already is left alone."""
    where = folders()
    try:
        client = remote.connect(where, deadline)
    except DaemonNotRunning:
        if foreground:
            return _be_the_daemon(where)
        client = remote.awaken(where, deadline, usual_s=START_TIMEOUT_S)
        _report(client, "started", as_json=as_json)
    else:
        _report(client, "already running", as_json=as_json)
    return 0


def _be_the_daemon(where: Folders) -> int:
    from ...daemon.app import run

    try:
        return run(where, console=True)
    except OSError as problem:
        raise StateNotWritable(f"the daemon cannot run: {problem}") from problem


def _report(client: Client, what: str, *, as_json: bool) -> None:
    with client:
        facts = client.call("status")["daemon"]
    if as_json:
        output.document(facts)
    else:
        output.line(f"{what}: pid {facts['pid']}, version {facts['version']}")


@click.command
@click.option("--servers", is_flag=True, help="Stop the servers first. Without it they go on.")
@click.argument("server", metavar="", required=False)
@options.as_json
@options.timeout
def stop(*, servers: bool, server: str | None, as_json: bool, deadline: Deadline) -> None:
    """Stop the daemon. Servers go on without it."""
    if server is not None:
        raise click.UsageError(f"stop ends the daemon. To stop a server: godot-supervisor down {server}")
    where = folders()
    answer: Any = {}
    failed: dict[str, str] = {}
    try:
        with remote.connect(where, deadline) as client:
            heard = client.stream("events.subscribe") if servers else None
            answer = _ask_to_leave(client, servers=servers, deadline=deadline)
            if heard is not None:
                failed = _hear_of_servers(heard, answer, quiet=as_json, deadline=deadline)
            _wait_for_end(where, client, deadline)
        outcome = "stopped"
    except DaemonNotRunning as problem:
        remote.refuse_if_one_runs(where, problem)
        if servers:
            # Whether servers run without it, only a daemon can tell.
            problem.hint = f"{START_HINT} finds servers of an earlier daemon; stop --servers ends them then"
            raise
        outcome = "no daemon is running"
        if where.registry.exists() and not as_json:
            output.note(f"servers of an earlier daemon may still run: {START_HINT} finds them")
    if as_json:
        output.document(_document(answer, failed) if servers else {})
    else:
        output.line(outcome)
    if failed:
        raise StopFailed("; ".join(f"{server}: {reason}" for server, reason in failed.items()))


def _hear_of_servers(heard: Stream, answer: Any, *, quiet: bool, deadline: Deadline) -> dict[str, str]:
    """Tell of each server what becomes of it, until the daemon has gone. Those that still run, and why."""
    waits, failed = set(answer.get("stops", ())), {}
    for row in answer.get("left", ()):
        _say(f"{row['server']}: left, {row['reason']}", quiet=quiet)
    for text in bridge_notes.after_a_stop(answer.get("bridges", ())):
        _say(text, quiet=quiet)
    with suppress(*LOST):
        for method, told in heard.listen(deadline.or_else(STOP_TIMEOUT_S)) if waits else ():
            if method != "event" or told["server"] not in waits:
                continue
            if told["event"] == "server.not_stopped":
                failed[told["server"]] = str(told["details"].get("reason") or told["details"].get("error"))
                _say(f"{told['server']}: not stopped", quiet=quiet)
            elif told["event"] == "server.gone":
                _say(f"{told['server']}: stopped", quiet=quiet)
            else:
                continue
            waits.discard(told["server"])
            if not waits:
                break
    return failed


def _document(answer: Any, failed: Mapping[str, str]) -> dict[str, Any]:
    still = [{"server": server, "reason": reason} for server, reason in failed.items()]
    stopped = [server for server in answer.get("stops", ()) if server not in failed]
    bridges = list(answer.get("bridges", ()))
    return {"stopped": stopped, "left": [*answer.get("left", ()), *still], "bridges": bridges}


def begin_anew(where: Folders, *, as_json: bool, deadline: Deadline) -> None:
    """Put a new daemon in the place of the one that runs. Servers go on. Where none runs, one is started."""
    outcome = "restarted"
    try:
        with remote.connect(where, deadline) as client:
            _try_first(where, deadline)
            _say("stopping the daemon; servers go on", quiet=as_json)
            _ask_to_leave(client, servers=False, deadline=deadline)
            _wait_for_end(where, client, deadline)
    except DaemonNotRunning as problem:
        remote.refuse_if_one_runs(where, problem)
        outcome = "started"
    except ProtocolUnsupported:
        _try_first(where, deadline)
        _say("ending a daemon of another release; servers go on", quiet=as_json)
        _dismiss(where, deadline)
    _say("starting a daemon", quiet=as_json)
    _report(remote.awaken(where, deadline, usual_s=START_TIMEOUT_S), outcome, as_json=as_json)


def _try_first(where: Folders, deadline: Deadline) -> None:
    """Everything of the new daemon's start that can fail, before the one that runs is asked to end.

    Raises:
        SupervisorError: it could not start; the one that runs goes on.
    """
    from ...client.autostart import REHEARSAL_S, rehearse

    try:
        rehearse(where, deadline.or_else(REHEARSAL_S))
    except SupervisorError as problem:
        problem.message = f"{problem.message} (the running daemon was left alone)"
        raise


def _say(text: str, *, quiet: bool) -> None:
    if not quiet:
        output.note(text)


def _dismiss(where: Folders, deadline: Deadline) -> None:
    """End a daemon of another release, with which we have no words in common."""
    from ...daemon.older_daemon import ask_to_leave

    running = discovery.find(where)
    try:
        asked = ask_to_leave(running)
    except OSError as problem:
        raise ProtocolUnsupported(
            f"the daemon ({running.version}) speaks another protocol, and cannot be asked to end: {problem}",
            hint=f"end it yourself: pid {running.pid}",
        ) from problem
    if asked:
        endpoint.wait_until_withdrawn(where.endpoint_name, running.instance_id, _give_up_at(deadline))
    else:
        endpoint.withdraw(where.endpoint, running.instance_id)


def _ask_to_leave(client: Client, *, servers: bool, deadline: Deadline) -> Any:
    with suppress(*LOST):
        patience_s = deadline.or_else(remote.READ_TIMEOUT_S)
        return client.call("daemon.shutdown", {"servers": servers}, accept_timeout_s=patience_s)
    return {}


def _wait_for_end(where: Folders, client: Client, deadline: Deadline) -> None:
    """Until it has withdrawn what it published, which it does last; or has died without."""
    instance_id = str(client.daemon["instance_id"])
    until = _give_up_at(deadline)
    while endpoint.is_published(where.endpoint_name, instance_id) or not client.has_ended():
        # It withdraws first and lets go of the lock then. So where the lock is free, what still lies there is a dead
        # daemon's; before the lock was looked at, it may have been one on its way out.
        if client.has_ended() and _holder(where) is None and endpoint.is_published(where.endpoint_name, instance_id):
            output.note("the daemon died before it had stopped in order; servers that it had not stopped go on")
            endpoint.withdraw(where.endpoint, instance_id)
            return
        if time.monotonic() >= until:
            raise endpoint.still_stopping()
        time.sleep(endpoint.WITHDRAWN_POLL_S)


def _give_up_at(deadline: Deadline) -> float:
    return time.monotonic() + deadline.or_else(STOP_TIMEOUT_S)


def _holder(where: Folders) -> "Holder | None":
    from ...daemon.lock import holder

    return holder(where.lock)
