"""`events`: what has happened, and what happens; across the lives of the daemon."""

import sys
import textwrap
import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ...client.client import Client
from ...client.stream import Notice
from ...native.facts import Folders, folders
from .. import options, output, remote
from ..deadline import Deadline
from ..follow import LOST, next_daemon

RESYNC = "resync"

_INDENT = " " * 7
_LEVELS = {"warning": "yellow", "error": "red"}

_RESYNCS = {
    "gap": "-- some events are no longer kept; here are all that are",
    "another instance": "-- this is another daemon; here are all of its events",
}

Json = Mapping[str, Any]


@click.command
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, whoever the daemon is.")
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="N", help="Only what came after event N.")
@options.as_json
@options.timeout
def events(*, follow: bool, since: int, as_json: bool, deadline: Deadline) -> None:
    """Show the events that the daemon remembers."""
    show = _show_json if as_json else _show
    for method, told in _followed(folders(), since, deadline) if follow else _kept(since, deadline):
        show(method, told)
        if not output.is_read():
            return


def _kept(since: int, deadline: Deadline) -> Iterator[Notice]:
    with remote.connect(deadline=deadline) as client:
        for method, told in _subscribe(client, _place(client, since)).until_now():
            yield method, told
            if method == RESYNC:
                # What comes after it is part of all that there still is.
                yield from _subscribe(client, _place(client, 0)).until_now()
                break


def _followed(where: Folders, since: int, deadline: Deadline) -> Iterator[Notice]:
    """What happens, from one daemon after the other. A `resync` is passed on, and then all that there still is."""
    client = remote.connect(where, deadline)
    place = _place(client, since)
    while True:
        try:
            with client:
                heard = False
                for method, told in _subscribe(client, place).listen(deadline.left()):
                    yield method, told
                    if method == RESYNC:
                        # A reader that was too slow has only to begin where it left off.
                        place = place if heard else _place(client, 0)
                        break
                    heard = True
                    place = _place(client, told["seq"])
        except LOST:
            client = next_daemon(where, deadline)
        else:
            client = remote.connect(where, deadline)


def _subscribe(client: Client, place: Json) -> Any:
    return client.stream("events.subscribe", {"since": place})


def _place(client: Client, seq: int) -> Json:
    return {"instance_id": client.daemon["instance_id"], "seq": seq}


def _show_json(method: str, told: Json) -> None:
    """Print the parameters of the notification; those of a `resync` with its name, because it is no event."""
    what = {"event": method} if method == RESYNC else {}
    output.json_line({**what, **told})


def _show(method: str, told: Json) -> None:
    if method == RESYNC:
        reason = output.printable(told["reason"])
        output.line(_RESYNCS.get(reason, f"-- the list begins again ({reason})"))
    else:
        size = output.terminal(sys.stdout)
        for text in wrapped(line(told, now=time.time()), size[0] if size else None):
            output.line(text)


def wrapped(text: str, columns: int | None) -> list[str]:
    """Return the text in lines of a terminal, the later ones indented. None: the text stays one line."""
    if columns is None or len(text) <= columns:
        return [text]
    return textwrap.wrap(text, max(columns, len(_INDENT) * 3), subsequent_indent=_INDENT, break_on_hyphens=False)


def line(event: Json, *, now: float) -> str:
    """Return one event for people: its number for `--since`, when, what, about whom, and every detail."""
    at, today = time.localtime(event["at"]), time.localtime(now)
    date = "" if at[:3] == today[:3] else time.strftime("%Y-%m-%d ", at)
    clock = f"{event['seq']:>5}  {date}{time.strftime('%H:%M:%S', at)}.{int(event['at'] * 1000) % 1000:03}"
    about = " ".join(word for word in (event["server"], event["editor"]) if word)
    told = ((name, value) for name, value in event["details"].items() if value not in (None, [], {}))
    details = " ".join(f"{name}={_brief(value)}" for name, value in told)
    colour = _LEVELS.get(event["level"])
    name = event["event"] if colour is None else output.painted(f"{event['event']} ({event['level']})", colour)
    words = (clock, name.ljust(22), output.printable(about), output.printable(details))
    return "  ".join(word for word in words if word).rstrip()


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_brief(each) for each in value)
    if isinstance(value, dict):
        return ",".join(f"{name}:{_brief(each)}" for name, each in value.items())
    text = str(value)
    return f'"{text}"' if " " in text else text
