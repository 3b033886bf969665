"""`start` and `stop`: the daemon itself."""

import time
from typing import Any

import click

from ..client import endpoint
from ..client.client import Client
from ..errors import DaemonNotRunning, ProtocolUnsupported
from ..native.facts import Folders, folders
from . import knock, options, output

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 60.0


@click.command
@click.option("--foreground", is_flag=True, help="Stay attached to this terminal, as service managers want it.")
@options.as_json
@options.timeout
def start(*, foreground: bool, as_json: bool, timeout_s: float | None) -> int:
    """Start the daemon. Returns when it answers; one that runs already is left alone."""
    where = folders()
    try:
        client = knock.connect(where)
    except DaemonNotRunning:
        if foreground:
            from ..daemon.app import run

            return run(where, console=True)
        client = knock.awaken(where, timeout_s=timeout_s or START_TIMEOUT_S)
        _report(client, "started", as_json=as_json)
    else:
        _report(client, "already running", as_json=as_json)
    return 0


def _report(client: Client, what: str, *, as_json: bool) -> None:
    with client:
        facts = client.call("status")["daemon"]
    if as_json:
        output.document(facts)
    else:
        output.line(f"{what}: pid {facts['pid']}, version {facts['version']}")


@click.command
@click.option("--servers", is_flag=True, help="Stop every server first. Without it they go on.")
@click.argument("server", metavar="", required=False)
@options.as_json
@options.timeout
def stop(*, servers: bool, server: str | None, as_json: bool, timeout_s: float | None) -> None:
    """Stop the daemon. Servers go on without it."""
    if server is not None:
        raise click.UsageError(f"stop ends the daemon. To stop a server: godot-supervisor down {server}")
    where = folders()
    try:
        answer = _shut_down(where, servers=servers, quiet=as_json, timeout_s=timeout_s or STOP_TIMEOUT_S)
        outcome = "stopped"
    except DaemonNotRunning:
        if servers:
            raise  # Whether servers run without it, nobody can tell.
        answer, outcome = {}, "no daemon is running"
    if as_json:
        output.document(answer)
    else:
        output.line(outcome)


def begin_anew(where: Folders, *, as_json: bool, timeout_s: float | None) -> None:
    """Put a new daemon in the place of the one that runs. Servers go on. Where none runs, one is started."""
    outcome = "restarted"
    try:
        _shut_down(where, servers=False, quiet=as_json, timeout_s=timeout_s or STOP_TIMEOUT_S)
    except DaemonNotRunning:
        outcome = "started"
    except ProtocolUnsupported:
        _dismiss(where, timeout_s or STOP_TIMEOUT_S)
    _report(knock.awaken(where, timeout_s=timeout_s or START_TIMEOUT_S), outcome, as_json=as_json)


def _dismiss(where: Folders, timeout_s: float) -> None:
    """End a daemon of another release, with which we have no words in common."""
    from ..daemon.predecessor import ask_to_leave

    running = knock.find(where)
    deadline = time.monotonic() + timeout_s
    try:
        asked = ask_to_leave(running)
    except OSError as problem:
        raise ProtocolUnsupported(
            f"the daemon ({running.version}) speaks another protocol, and cannot be asked to end: {problem}",
            hint=f"end it yourself: pid {running.pid}",
        ) from problem
    if asked:
        endpoint.wait_until_withdrawn(where.endpoint_name, running.instance_id, deadline)
    else:
        endpoint.withdraw(where.endpoint, running.instance_id)


def _shut_down(where: Folders, *, servers: bool, quiet: bool, timeout_s: float) -> Any:
    deadline = time.monotonic() + timeout_s
    running = knock.find(where)
    with knock.connect(where) as client:
        answer = knock.perform(client, "daemon.shutdown", {"servers": servers}, quiet=quiet, timeout_s=timeout_s)
    endpoint.wait_until_withdrawn(where.endpoint_name, running.instance_id, deadline)
    return answer
