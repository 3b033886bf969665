"""`status`, once or for as long as somebody watches."""

import sys
import time
from collections.abc import Sequence
from typing import Any, Protocol

import click

from ...client.client import Client
from ...native.facts import folders
from .. import options, output
from ..deadline import Deadline
from ..follow import through_restarts
from ..text.status_table import screen, show


class Display(Protocol):
    """What a watched status is shown on."""

    def show(self, answer: Any) -> None:
        """Show it as it is now."""
        ...


@click.command
@click.option("-a", "--all", "past", is_flag=True, help="Also how servers have ended.")
@click.option("--watch", is_flag=True, help="Show it again whenever something has happened.")
@options.as_json
@options.timeout
def status(*, past: bool, watch: bool, as_json: bool, deadline: Deadline) -> None:
    """Show the daemon, the editors and the servers."""
    if past and watch:
        raise click.UsageError("--watch shows what is; what has ended changes no more: status --all")
    if not watch:
        show(as_json=as_json, deadline=deadline, past=past)
    elif as_json or not sys.stdout.isatty():
        _watch(_Lines() if as_json else _Tables(), deadline)
    else:
        with output.alternate_screen():
            _watch(_Screen(), deadline)


def _watch(display: Display, deadline: Deadline) -> None:
    def follow(client: Client) -> bool:
        stream = client.stream("events.subscribe")
        display.show(stream.answer["snapshot"])
        for _ in stream.listen(deadline.left()):
            # What happened together is one picture.
            stream.until_now()
            display.show(client.call("status"))
            if not output.is_read():
                return True
        return True

    through_restarts(folders(), deadline, follow)


class _Lines:
    """One object a line."""

    def show(self, answer: Any) -> None:
        output.json_line(answer)


class _Tables:
    """A new table wherever one differs from the last."""

    def __init__(self) -> None:
        self._last: Sequence[str] = ()

    def show(self, answer: Any) -> None:
        head, *rest = screen(answer, now=time.time())
        if rest != self._last:
            for text in ([""] if self._last else []) + [head, *rest]:
                output.line(text)
        self._last = rest


class _Screen:
    """A screen that is painted over."""

    def show(self, answer: Any) -> None:
        output.screenful([*screen(answer, now=time.time())])
