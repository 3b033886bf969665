"""Explains why a server did not become ready, from the last facts about it. Pure."""

from collections.abc import Collection, Iterable

from ..values import frozen
from .model import Ports

LOOPBACK = "127.0.0.1"
SERVES_LOOPBACK = frozenset({LOOPBACK, "0.0.0.0", "::"})  # noqa: S104 (compared with, not bound to)

SHOWN = 8
"""At most this many ports, addresses or pids are named."""


@frozen
class Symptoms:
    """The last facts about a start.

    `wanted` are the ports it was to listen on, by name. `sockets` are the addresses and ports on which processes of
    this launch listen. `answer` says why its last answer was not accepted; None if it was not asked. `background`: the
    processes that run on although the started one has ended. `told_ports`: its command or its environment contains the
    ports.
    """

    wanted: Ports
    sockets: Collection[tuple[str, int]] = ()
    answer: str | None = None
    background: Collection[int] = ()
    told_ports: bool = True


@frozen
class Diagnosis:
    """A problem and how to mend it, for the user. If `advice` is None, the log is the next place to look."""

    problem: str
    advice: str | None = None


def diagnose(seen: Symptoms) -> Diagnosis:
    """Return the problem that the last facts show, and advice. The ports come first, then the answer."""
    listening = _diagnose_ports(seen)
    if seen.background:
        pids = _first_few(sorted(seen.background))
        # As the second half of a sentence: "it runs, but listens on no port" becomes "listens on no port".
        where = "" if listening is None else f", and {listening.problem.removeprefix('it ').removeprefix('runs, but ')}"
        return Diagnosis(f"it puts itself into the background (pid {pids}){where}", IN_FOREGROUND)
    if listening is not None:
        return listening
    if seen.answer is not None:
        return Diagnosis(seen.answer, _advice_on(seen.answer))
    return Diagnosis("it listens on its ports")


IN_FOREGROUND = "start it in the foreground: most programs that go into the background have an option for that"


def _diagnose_ports(seen: Symptoms) -> Diagnosis | None:
    """Return what is wrong with the ports that it listens on, None if nothing is."""
    served = {port for address, port in seen.sockets if address in SERVES_LOOPBACK}
    missing = {name: port for name, port in seen.wanted.items() if port not in served}
    if not missing:
        return None
    elsewhere = sorted({address for address, port in seen.sockets if port in missing.values()})
    if elsewhere:
        return Diagnosis(
            f"it listens on {_first_few(elsewhere)} only, not on {LOOPBACK}",
            f"have it listen on {LOOPBACK}, or on all addresses",
        )
    others = sorted({port for _, port in seen.sockets if port not in seen.wanted.values()})
    names = ", ".join(f"{name} {port}" for name, port in missing.items())
    if len(missing) < len(seen.wanted):
        also = f"; it listens on {_first_few(others)} too" if others else ""
        return Diagnosis(f"{names} is not open yet{also}")
    advice = None if seen.told_ports else "its command never mentions the port: write {http}, by the port's name"
    if others:
        problem = f"it listens on {_first_few(others)}, not on {_first_few(missing.values())}"
        return Diagnosis(
            problem, advice or "it may have found its port taken and chosen another: make it use exactly the given port"
        )
    return Diagnosis("it runs, but listens on no port", advice)


ADVICE = (
    ("redirects are not followed", "ask for that path instead: identify.http, or ready.http"),
    ("it wants a", "if it is ready then, write ready = { http = ..., status = 401 }, or ready = { tcp = ... }"),
    ("WebSocket", "name the port that speaks HTTP: identify.port, or ready.port; or write ready = { tcp = ... }"),
    ("not JSON", "without identify.match any answer with a status of 200 to 299 is accepted"),
    ("it speaks TLS", "the daemon asks by plain HTTP: switch TLS off, or write ready = { tcp = ... }"),
    ("it wants TLS", "the daemon asks by plain HTTP: switch TLS off, or write ready = { tcp = ... }"),
    ("answers 404", "check the path: identify.http, or ready.http"),
    ("longer than", "ask for a path with a shorter answer: identify.http, or ready.http"),
    ("not HTTP", "name the port that speaks HTTP: identify.port; or write ready = { tcp = ... }"),
)
"""Advice for an answer, by words with which `kinds.queries` describes it. The first entry that fits counts."""


def _advice_on(answer: str) -> str | None:
    """Return advice on an answer that was not accepted, None if the table has none."""
    return next((advice for words, advice in ADVICE if words in answer), None)


def _first_few(things: Iterable[object]) -> str:
    every = [str(thing) for thing in things]
    more = f" and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return ", ".join(every[:SHOWN]) + more
