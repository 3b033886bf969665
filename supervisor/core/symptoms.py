"""Why a server did not become ready, from what was last seen of it, in words. Pure."""

from collections.abc import Collection, Iterable

from ..values import frozen
from .model import Ports

LOOPBACK = "127.0.0.1"
SERVES_LOOPBACK = frozenset({LOOPBACK, "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)

SHOWN = 8
"""How many ports, addresses or pids are named."""


@frozen
class Symptoms:
    """What was last seen of a start.

    `wanted` are the ports that it was to listen on, by name. `sockets` are the addresses and ports that processes of
    this launch listen on. `answer` says why its last answer would not do; None: it was not asked. `background`: the
    processes that go on although the one that was started has ended. `told_ports`: its command or its environment has
    """

    wanted: Ports
    sockets: Collection[tuple[str, int]] = ()
    answer: str | None = None
    background: Collection[int] = ()
    told_ports: bool = True


@frozen
class Told:
    """What is said to the user. `advice` None: the log is the next place to look at."""

    problem: str
    advice: str | None = None


def tell(seen: Symptoms) -> Told:
    """What was last seen, and what may help."""
    listening, advice = _listening(seen)
    if seen.background:
        pids = _some(sorted(seen.background))
        where = f", and {listening.removeprefix('it ').removeprefix('runs, and ')}" if listening else ""
        return Told(f"it puts itself into the background (pid {pids}){where}", IN_FOREGROUND)
    if listening:
        return Told(listening, advice)
    if seen.answer is not None:
        return Told(seen.answer, _about(seen.answer))
    return Told("it listens on its ports")


IN_FOREGROUND = "start it in the foreground: most programs that go into the background have an option for that"


def _listening(seen: Symptoms) -> tuple[str, str | None]:
    """What is wrong with where it listens, and what helps; empty: nothing."""
    served = {port for address, port in seen.sockets if address in SERVES_LOOPBACK}
    missing = {name: port for name, port in seen.wanted.items() if port not in served}
    if not missing:
        return "", None
    elsewhere = sorted({address for address, port in seen.sockets if port in missing.values()})
    if elsewhere:
        return (
            f"it listens on {_some(elsewhere)} only; {LOOPBACK} is asked",
            f"have it listen on {LOOPBACK}, or on all addresses",
        )
    others = sorted({port for _, port in seen.sockets if port not in seen.wanted.values()})
    names = ", ".join(f"{name} {port}" for name, port in missing.items())
    if len(missing) < len(seen.wanted):
        also = f"; it listens on {_some(others)} too" if others else ""
        return f"{names} is not open yet{also}", None
    advice = None if seen.told_ports else "its command never mentions the port: write {http}, by the port's name"
    if others:
        return f"it listens on {_some(others)}, not on {_some(missing.values())}", advice or (
            "it may have found its port taken and gone to another: have it use exactly the one that it is given"
        )
    return "it runs, and listens on nothing", advice


def _about(answer: str) -> str | None:
    """What helps against an answer."""
    hints = {
        "redirects are not followed": "ask for that path instead: identify.http, or ready.http",
        "it wants a": "it may be ready all the same: ready = { http = ..., status = 401 }, or ready = { tcp = ... }",
        "WebSocket": "name the port that speaks HTTP: identify.port, or ready.port; or write ready = { tcp = ... }",
        "not JSON": "without identify.match any answer with a status of 200 to 299 will do",
        "it speaks TLS": "servers are asked by plain HTTP: switch TLS off, or write ready = { tcp = ... }",
        "it wants TLS": "servers are asked by plain HTTP: switch TLS off, or write ready = { tcp = ... }",
        "answers 404": "is it the right path? identify.http, or ready.http, names it",
        "longer than": "ask for a path with a shorter answer: identify.http, or ready.http",
        "not HTTP": "name the port that speaks HTTP: identify.port; or write ready = { tcp = ... }",
    }
    return next((hint for sign, hint in hints.items() if sign in answer), None)


def _some(things: Iterable[object]) -> str:
    every = [str(thing) for thing in things]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
