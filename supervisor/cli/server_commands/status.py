"""The command `status`: once, or with --watch until the user ends it."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import click

from ...client.client import Client
from ...native.facts import folders
from .. import options, output, terminal
from ..deadline import Deadline
from ..follow import through_restarts
from ..text import status_table


class Display(Protocol):
    """The way in which `status --watch` shows each new status."""

    def show(self, answer: Any) -> None:
        """Show the latest status."""
        ...


@click.command
@click.option("-a", "--all", "with_ended", is_flag=True, help="Also show how servers have ended.")
@click.option("--watch", is_flag=True, help="Show the status again after every change.")
@options.as_json
@options.timeout
def status(*, with_ended: bool, watch: bool, as_json: bool, deadline: Deadline) -> None:
    """Show the daemon, editors, servers and AI clients."""
    if with_ended and watch:
        raise click.UsageError("--watch cannot be used with --all")
    if not watch:
        status_table.print_status(as_json=as_json, deadline=deadline, with_ended=with_ended)
    elif as_json or not sys.stdout.isatty():
        _watch(_Documents() if as_json else _Tables(), deadline)
    else:
        with terminal.alternate_screen():
            _watch(_Screen(), deadline)


def _watch(display: Display, deadline: Deadline) -> None:
    """Show the status, and again after each event, until the user ends the command or its output."""

    def follow(client: Client) -> None:
        stream = client.stream("events.subscribe")
        display.show(stream.answer["snapshot"])
        for _ in stream.listen(deadline.left()):
            # Events that come together lead to one new status.
            stream.until_now()
            display.show(client.call("status"))
            if not terminal.has_reader():
                return

    through_restarts(folders(), deadline, follow)


class _Documents:
    """One JSON document per line."""

    def show(self, answer: Any) -> None:
        output.json_line(answer)


class _Tables:
    """A new table for each status that differs from the last."""

    def __init__(self) -> None:
        self._last: Sequence[str] = ()

    def show(self, answer: Any) -> None:
        # Durations change all the time, so they are left out of the comparison: the daemon's uptime, and the others.
        _, *rest = status_table.lines(answer, now=0.0)
        if rest != self._last:
            for text in ([""] if self._last else []) + [*status_table.lines(answer, now=time.time())]:
                output.line(text)
        self._last = rest


class _Screen:
    """A screen that is repainted."""

    def show(self, answer: Any) -> None:
        output.screenful([*status_table.lines(answer, now=time.time())])
