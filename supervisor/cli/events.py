"""`events`: what has happened, and what happens; across the lives of the daemon."""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import click

from ..client.client import Client
from ..client.stream import Told
from ..errors import DaemonNotRunning, DisconnectedAfterAccept, DisconnectedBeforeAccept, ResponseTimeout
from ..native.facts import Folders, folders
from . import knock, options, output

RESYNC = "resync"
FIRST_PAUSE_S = 0.1
LONGEST_PAUSE_S = 2.0

_DETAILS = 160
_LEVELS = {"warning": "yellow", "error": "red"}

Json = Mapping[str, Any]


@click.command
@click.option("-f", "--follow", is_flag=True, help="Go on with what happens from now on, whoever the daemon is.")
@click.option("--since", type=click.IntRange(min=0), default=0, metavar="N", help="Only what came after event N.")
@options.as_json
@options.timeout
def events(*, follow: bool, since: int, as_json: bool, timeout_s: float | None) -> None:
    """Show the events that the daemon remembers."""
    show = _show_json if as_json else _show
    for method, told in _followed(folders(), since, timeout_s) if follow else _kept(since, timeout_s):
        show(method, told)


def _kept(since: int, timeout_s: float | None) -> Iterator[Told]:
    with knock.connect(timeout_s=timeout_s) as client:
        for method, told in _subscribe(client, _place(client, since)).until_now():
            yield method, told
            if method == RESYNC:
                # What comes after it is part of all that there still is.
                yield from _subscribe(client, _place(client, 0)).until_now()
                break


def _followed(where: Folders, since: int, timeout_s: float | None) -> Iterator[Told]:
    """What happens, from one daemon after the other. A `resync` is passed on, and then all that there still is."""
    until = None if timeout_s is None else time.monotonic() + timeout_s
    client = knock.connect(where)
    place = _place(client, since)
    while True:
        try:
            with client:
                heard = False
                for method, told in _subscribe(client, place).listen(_left(until)):
                    yield method, told
                    if method == RESYNC:
                        # A reader that was too slow has only to begin where it left off.
                        place = place if heard else _place(client, 0)
                        break
                    heard = True
                    place = _place(client, told["seq"])
        except (DisconnectedBeforeAccept, DisconnectedAfterAccept):
            output.note("the daemon has gone; waiting for the next one")
            client = _next(where, until)
            output.note(f"a daemon is there again, version {client.daemon['version']}")
        else:
            client = knock.connect(where)


def _next(where: Folders, until: float | None) -> Client:
    """A connection to a daemon as soon as there is one. Looks at the endpoint file, less and less often."""
    pause_s = FIRST_PAUSE_S
    while True:
        left = _left(until)
        time.sleep(pause_s if left is None else min(pause_s, left))
        try:
            return knock.connect(where)
        except DaemonNotRunning:
            pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _left(until: float | None) -> float | None:
    left = None if until is None else until - time.monotonic()
    if left is not None and left <= 0:
        raise ResponseTimeout("no daemon has come back in time", hint=knock.START_HINT)
    return left


def _subscribe(client: Client, place: Json) -> Any:
    return client.stream("events.subscribe", {"since": place})


def _place(client: Client, seq: int) -> Json:
    return {"instance_id": client.daemon["instance_id"], "seq": seq}


def _show_json(method: str, told: Json) -> None:
    """What was told, without the id of the request that nobody here has seen."""
    what = {"event": method} if method == RESYNC else {}
    output.json_line(what | {name: value for name, value in told.items() if name != "id"})


def _show(method: str, told: Json) -> None:
    output.line(f"-- {method}: {output.printable(told['reason'])}" if method == RESYNC else line(told))


def line(event: Json) -> str:
    """One event for people: when, what, about whom, and the details as far as they fit."""
    at = time.localtime(event["at"])
    clock = f"{time.strftime('%H:%M:%S', at)}.{int(event['at'] * 1000) % 1000:03}"
    about = " ".join(word for word in (event["server"], event["editor"]) if word)
    told = ((name, value) for name, value in event["details"].items() if value not in (None, [], {}))
    details = " ".join(f"{name}={_brief(value)}" for name, value in told)
    colour = _LEVELS.get(event["level"])
    name = event["event"] if colour is None else output.painted(f"{event['event']} ({event['level']})", colour)
    words = (clock, name.ljust(22), output.printable(about), output.printable(output.shortened(details, _DETAILS)))
    return "  ".join(word for word in words if word).rstrip()


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(_brief(each) for each in value)
    if isinstance(value, dict):
        return ",".join(f"{name}:{_brief(each)}" for name, each in value.items())
    text = str(value)
    return f'"{text}"' if " " in text else text
