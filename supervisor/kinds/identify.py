"""Asks a running server who it is: one HTTP request on the loopback."""

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from ..core.model import Ports
from ..frozen import frozen
from .kind import Identify, Kind
from .loopback import Answer, UnusableAnswerError, get
from .versions import lacks

VERSION_LENGTH = 64
COUNT_MAX = 1_000_000


@frozen
class Identification:
    """What a server answered. `matches`: success, JSON, and every key of the kind's `match` as it should be.

    For a kind without `match` that says only that somebody answered: it recognises nobody. `leases` None: not told.
    `detail` is for people, and holds no secret.
    """

    matches: bool
    version: str | None = None
    leases: int | None = None
    detail: str = ""


async def identify(kind: Kind, ports: Ports, secrets: Mapping[str, str], timeout_s: float) -> Identification | None:
    """Ask the server on these ports. None: no complete answer within `timeout_s`, or nobody listens.

    Redirects are not followed. The kind must have `identify`.

    Raises:
        ValueError: the kind does not say how to ask.
    """
    how = kind.identify
    if how is None:
        raise ValueError(f"kind {kind.name} has no identify")
    try:
        answer = await get(ports[how.port], how.http, secrets.get(how.bearer) if how.bearer else None, timeout_s)
    except UnusableAnswerError as error:
        return Identification(matches=False, detail=str(error))
    return None if answer is None else _judge(how, answer)


def _judge(how: Identify, answer: Answer) -> Identification:
    if answer.status != HTTPStatus.OK:
        reason = " (it wants a bearer that we do not have)" if answer.status == HTTPStatus.UNAUTHORIZED else ""
        return Identification(matches=False, detail=f"status {answer.status}{reason}")
    try:
        said: Any = json.loads(answer.body)
    except (ValueError, RecursionError):
        return Identification(matches=False, detail="the answer is not JSON")
    if not isinstance(said, dict):
        return Identification(matches=False, detail="the answer is no JSON object")
    wrong = [key for key, expected in how.match.items() if said.get(key) != expected]
    version = said.get(how.version) if how.version else None
    version = version if isinstance(version, str) and _can_be_shown(version) else None
    return Identification(
        matches=not wrong,
        version=version,
        leases=_leases(how, said, version),
        detail=f"{wrong[0]} is not {how.match[wrong[0]]!r}" if wrong else "it says who it is",
    )


def _leases(how: Identify, said: Mapping[str, Any], version: str | None) -> int | None:
    """Return the leases that a server tells, 0 where its version is known to grant none; None: not told."""
    if how.leases is None:
        return None
    untold = how.leases not in said and lacks(how.leases_versions, version)
    return 0 if untold else counted(said.get(how.leases))


def counted(told: object) -> int | None:
    """A number of things as a server may tell it; None: that is none."""
    return told if isinstance(told, int) and not isinstance(told, bool) and 0 <= told <= COUNT_MAX else None


def _can_be_shown(version: str) -> bool:
    return 0 < len(version) <= VERSION_LENGTH and version.isprintable()
