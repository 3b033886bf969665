"""`status`, once or for as long as somebody watches."""

import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from . import knock, options, output
from .screen import screen, show


@click.command
@click.option("--watch", is_flag=True, help="Show it again whenever something has happened.")
@options.as_json
@options.timeout
def status(*, watch: bool, as_json: bool, timeout_s: float | None) -> None:
    """Show the daemon, the editors and the servers."""
    if watch:
        _watch(_Lines() if as_json else _Screen(), timeout_s)
    else:
        show(as_json=as_json, timeout_s=timeout_s)


def _watch(display: "_Lines | _Screen", timeout_s: float | None) -> None:
    with knock.connect() as client:
        stream = client.stream("events.subscribe")
        display.show(stream.answer["snapshot"])
        for _ in stream.listen(timeout_s):
            # What happened together is one picture.
            stream.until_now()
            display.show(client.call("status"))


class _Lines:
    """One object a line."""

    def show(self, answer: Any) -> None:
        output.json_line(answer)


class _Screen:
    """A screen that is painted over where it can be; elsewhere a new table wherever one differs from the last."""

    def __init__(self) -> None:
        self._repaints = sys.stdout.isatty()
        self._last: Sequence[str] = ()

    def show(self, answer: Any) -> None:
        head, *rest = screen(answer, now=time.time())
        if self._repaints:
            output.screenful((head, *rest))
        elif rest != self._last:
            for text in ([""] if self._last else []) + [head, *rest]:
                output.line(text)
        self._last = rest
