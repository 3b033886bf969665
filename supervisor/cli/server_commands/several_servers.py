"""Stops or restarts several servers one after the other: the common part of `down` and `restart`."""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import click

from ...client.client import Client
from ...client.json_object import JsonObject
from ...errors import NotFound, SupervisorError
from .. import exit_codes, output, remote, server_choice
from ..context import shell
from ..deadline import Deadline

BUSY_WAIT_S = 10.0
"""How long a command waits for another operation on its server, such as a start that an AI client has asked for."""

BUSY_PAUSE_MS = 250
"""The pause between two attempts, if the daemon says none."""

METHODS = {"down": "server.stop", "restart": "server.restart"}


@dataclass(frozen=True)
class Selection:
    """The servers that the user typed, and the options for all of them."""

    words: Sequence[str]
    """As typed: ids, kinds or projects."""
    every_server: bool
    force: bool
    as_json: bool
    deadline: Deadline


def stop_or_restart_each(
    client: Client,
    command: str,
    selection: Selection,
    *,
    line: Callable[[JsonObject], str],
    notes: Callable[[JsonObject], Iterable[str]],
) -> int:
    """Stop or restart each selected server, and return the exit code. A failure does not stop the others.

    Args:
        client: a connection to the daemon.
        command: `down` or `restart`.
        selection: the servers.
        line: returns the line to print about a server that was stopped or restarted.
        notes: returns the notes below that line.

    Raises:
        SupervisorError: only one server was selected, and it failed.
    """
    words = _selected(client, command, selection)
    done: list[JsonObject] = []
    failed: list[SupervisorError] = []
    for word in words:
        try:
            row = server_choice.with_chosen(
                client,
                word,
                command,
                selection.deadline,
                lambda server: _stop_or_restart_one(client, command, server, selection),
                ends_server=True,
            )
        except SupervisorError as problem:
            if len(words) == 1:
                raise
            failed.append(problem)
            output.error(problem, as_json=selection.as_json)
            continue
        done.append(row)
        if not selection.as_json:
            output.line(line(row))
            for text in notes(row):
                output.note(text)
    if selection.as_json:
        output.document(done[0] if len(words) == 1 else {"servers": done})
    return exit_codes.exit_code(failed[0].code) if failed else exit_codes.DONE


def _selected(client: Client, command: str, selection: Selection) -> list[str]:
    """Return the words that the user typed, or the ids that --all or no word at all stand for."""
    if selection.every_server and selection.words:
        raise click.UsageError("--all selects every server: use it without an ID")
    if selection.every_server:
        rows = remote.server_rows(client, selection.deadline)
        ids = [str(row["id"]) for row in rows if server_choice.is_own(row)]
        if not ids:
            raise NotFound("no server was started or adopted here", hint="godot-supervisor status")
        return ids
    typed = list(dict.fromkeys(selection.words))
    return typed or [server_choice.only_own_server(client, command, selection.deadline)]


def _stop_or_restart_one(client: Client, command: str, server: str, selection: Selection) -> JsonObject:
    """Stop or restart one server, after an operation that runs on it. Returns the server.

    Raises:
        SupervisorError: the operation still runs after `BUSY_WAIT_S`, or a busy editor prevents the stop: the hint then
            names --force. Or the stop has failed.
    """
    waits_until = time.monotonic() + BUSY_WAIT_S
    while True:
        try:
            return _try_to_stop_or_restart(client, command, server, selection)
        except SupervisorError as problem:
            running = problem.data.get("running") if problem.code == "BUSY" else None
            method = running.get("method") if isinstance(running, Mapping) else None
            if method == "editor.state":
                problem.hint = f"wait, or: godot-supervisor {command} {server} --force"
            if method in (None, "editor.state") or time.monotonic() > waits_until or selection.deadline.passed:
                raise
            pause_ms = problem.retry_after_ms or BUSY_PAUSE_MS
        time.sleep(pause_ms / 1000)


def _try_to_stop_or_restart(client: Client, command: str, server: str, selection: Selection) -> JsonObject:
    params = {"server": server, "force": True} if selection.force else {"server": server}
    with shell.explaining(client):
        answer: JsonObject = remote.run_operation(
            client, METHODS[command], params, as_json=selection.as_json, deadline=selection.deadline
        )
    return answer
