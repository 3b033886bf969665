"""The command `events`, also across restarts of the daemon."""

import sys
import textwrap
import time
from collections.abc import Iterator
from typing import Any

import click

from ...client.client import Client
from ...client.json_object import JsonObject
from ...client.stream import Notice, Stream
from ...native.facts import Folders, folders
from .. import options, output, remote, terminal
from ..deadline import Deadline
from ..follow import CONNECTION_LOST, connect_to_next_daemon
from ..formatting import coloured, printable

RESYNC = "resync"
"""The notification that the daemon cannot send the events after the number that the client named."""

_INDENT = " " * 7
_LEVEL_COLOURS = {"warning": "yellow", "error": "red"}

_TEXTS_OF_A_RESYNC = {
    "gap": "-- some events are no longer kept; showing all that are",
    "another instance": "-- the daemon was restarted; here are all events of the new one",
}


@click.command
@click.option("-f", "--follow", is_flag=True, help="Keep printing new events, also across restarts of the daemon.")
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="N", help="Only events after number N.")
@options.as_json
@options.timeout
def events(*, follow: bool, since: int, as_json: bool, deadline: Deadline) -> None:
    """Show the latest events, the oldest first."""
    show = _print_as_json if as_json else _print_as_text
    for method, params in _followed_events(folders(), since, deadline) if follow else _kept_events(since, deadline):
        show(method, params)
        if not terminal.has_reader():
            return


def _kept_events(since: int, deadline: Deadline) -> Iterator[Notice]:
    """Yield the events after number `since` that the daemon still has."""
    with remote.connect(deadline=deadline) as client:
        for notice in _subscribe(client, _place(client, since)).until_now():
            yield notice
            if notice.method == RESYNC:
                # The events after the resync are among those that the new subscription sends.
                yield from _subscribe(client, _place(client, 0)).until_now()
                break


def _followed_events(where: Folders, since: int, deadline: Deadline) -> Iterator[Notice]:
    """Yield events from one daemon after the other. After a `resync` come all events that the daemon still has."""
    client = remote.connect(where, deadline)
    place = _place(client, since)
    while True:
        try:
            with client:
                received = False
                for notice in _subscribe(client, place).listen(deadline.left()):
                    yield notice
                    if notice.method == RESYNC:
                        # After a resync for a slow reader, the events after the last received one are still kept.
                        if not received:
                            place = _place(client, 0)
                        break
                    received = True
                    place = _place(client, notice.params["seq"])
        except CONNECTION_LOST:
            client = connect_to_next_daemon(where, deadline)
        else:
            client = remote.connect(where, deadline)


def _subscribe(client: Client, place: JsonObject) -> Stream:
    return client.stream("events.subscribe", {"since": place})


def _place(client: Client, seq: int) -> JsonObject:
    """Return the place after event number `seq` of this daemon, as `events.subscribe` takes it."""
    return {"instance_id": client.daemon["instance_id"], "seq": seq}


def _print_as_json(method: str, params: JsonObject) -> None:
    """Print the params of a notification. A `resync` gets its name as `event`, because its params have none."""
    name = {"event": method} if method == RESYNC else {}
    output.json_line({**name, **params})


def _print_as_text(method: str, params: JsonObject) -> None:
    """Print an event, in lines of the terminal's width, or what a `resync` means."""
    if method == RESYNC:
        reason = printable(params["reason"])
        output.line(_TEXTS_OF_A_RESYNC.get(reason, f"-- the list starts again ({reason})"))
    else:
        size = terminal.size(sys.stdout)
        for text in wrapped(line(params, now=time.time()), size[0] if size else None):
            output.line(text)


def wrapped(text: str, columns: int | None) -> list[str]:
    """Return the text in lines of a terminal, the later ones indented. With None the text stays one line."""
    if columns is None or len(text) <= columns:
        return [text]
    return textwrap.wrap(text, max(columns, len(_INDENT) * 3), subsequent_indent=_INDENT, break_on_hyphens=False)


def line(event: JsonObject, *, now: float) -> str:
    """Return one event as text: its number for `--since`, time, name, server, editor, and every detail."""
    at, today = time.localtime(event["at"]), time.localtime(now)
    date = "" if at[:3] == today[:3] else time.strftime("%Y-%m-%d ", at)
    clock = f"{event['seq']:>5}  {date}{time.strftime('%H:%M:%S', at)}.{int(event['at'] * 1000) % 1000:03}"
    subject = " ".join(word for word in (event["server"], event["editor"]) if word)
    known = ((name, value) for name, value in event["details"].items() if value not in (None, [], {}))
    details = " ".join(f"{name}={_brief(value)}" for name, value in known)
    colour = _LEVEL_COLOURS.get(event["level"])
    name = event["event"] if colour is None else coloured(f"{event['event']} ({event['level']})", colour)
    words = (clock, name.ljust(22), printable(subject), printable(details))
    return "  ".join(word for word in words if word).rstrip()


def _brief(value: Any) -> str:
    """Return a detail on one line, without the brackets of JSON."""
    if isinstance(value, list):
        return ",".join(_brief(each) for each in value)
    if isinstance(value, dict):
        return ",".join(f"{name}:{_brief(each)}" for name, each in value.items())
    text = str(value)
    return f'"{text}"' if " " in text else text
