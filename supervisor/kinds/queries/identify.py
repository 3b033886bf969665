"""Questions to a running server over HTTP on the loopback: who it is, and whether it is ready."""

import asyncio
import json
from collections.abc import Mapping
from http import HTTPStatus

from ...core.model import Ports
from ...values import frozen
from ..answer_values import MISSING, equal, value_at
from ..kind import IdentifyRule, Kind, ReadyRule
from ..versions import excludes
from .loopback import LOCALHOST, SUCCESS, HttpAnswer, UnusableAnswerError, http_get

VERSION_LENGTH = 64
"""Characters of a version or number in an answer that are believed and shown, at most."""

COUNT_MAX = 1_000_000
"""The largest number of leases or sessions that is believed."""

REDIRECTS = range(300, 400)

WRONG_HOST = (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN, HTTPStatus.MISDIRECTED_REQUEST)
"""Answers of servers that serve only certain host names, against DNS rebinding. Some of them want `localhost`."""


@frozen
class Identification:
    """A server's answer to the question who it is, or whether it is ready.

    `matches`: the status is a success (or one that `ready` names), and every value that the kind names is as expected.
    For a kind without `match`, `matches` only says that a server answered, and identifies none. `leases` is None if the
    server does not report them. `detail` is text for people, without secrets.
    """

    matches: bool
    version: str | None = None
    leases: int | None = None
    detail: str = ""


async def identify(kind: Kind, ports: Ports, secrets: Mapping[str, str], timeout_s: float) -> Identification | None:
    """Ask the server on these ports who it is. Redirects are not followed. The kind must have `identify`.

    Returns:
        None if no complete answer came within `timeout_s`, or no process listens.

    Raises:
        ValueError: the kind does not say how to ask.
    """
    how = kind.identify
    if how is None:
        raise ValueError(f"kind {kind.name} has no identify")
    bearer = secrets.get(how.bearer) if how.bearer else None
    try:
        needs_body = bool(how.match or how.null or how.version or how.leases)
        answer = await _get_as_either_host(ports[how.port], how.http, bearer, timeout_s, needs_body=needs_body)
    except UnusableAnswerError as error:
        return Identification(matches=False, detail=str(error))
    return None if answer is None else _judge(how, answer)


async def ask_ready(how: ReadyRule, ports: Ports) -> Identification | None:
    """Ask a server whether it is ready. `how` must have `http`.

    Returns:
        None if no complete answer came in time, or no process listens.

    Raises:
        ValueError: `how` has no route.
    """
    if how.http is None or how.port is None:
        raise ValueError("nothing is asked without http")
    try:
        answer = await _get_as_either_host(ports[how.port], how.http, None, how.timeout_s, needs_body=False)
    except UnusableAnswerError as error:
        return Identification(matches=False, detail=str(error))
    if answer is None:
        return None
    return Identification(matches=answer.status in (how.status or SUCCESS), detail=_describe(how.http, answer))


async def _get_as_either_host(
    port: int, path: str, bearer: str | None, timeout_s: float, *, needs_body: bool
) -> HttpAnswer | None:
    """Return the answer. A server that refuses 127.0.0.1 as host name is asked again as `localhost`."""
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    answer = await http_get(port, path, bearer, timeout_s, needs_body=needs_body)
    if answer is None or answer.status not in WRONG_HOST:
        return answer
    try:
        again = await http_get(port, path, bearer, max(0.0, end - loop.time()), host=LOCALHOST, needs_body=needs_body)
    except UnusableAnswerError:
        return answer
    return again if again is not None and again.status in SUCCESS else answer


def _judge(how: IdentifyRule, answer: HttpAnswer) -> Identification:
    if answer.status not in SUCCESS:
        return Identification(matches=False, detail=_describe(how.http, answer))
    content = answer.json()
    wrong = _mismatch(how, content, answer)
    value = value_at(content, how.version) if how.version else None
    version = value if isinstance(value, str) and _can_be_shown(value) else None
    return Identification(
        matches=wrong is None,
        version=version,
        leases=_leases(how, content, version),
        detail=wrong or "it says who it is",
    )


def _leases(how: IdentifyRule, content: object, version: str | None) -> int | None:
    """Return the leases that a server reports, 0 if its version is known to grant none, or None if it reports none."""
    if how.leases is None:
        return None
    value = value_at(content, how.leases)
    return 0 if value is MISSING and excludes(how.leases_versions, version) else plausible_count(value)


def _mismatch(how: IdentifyRule, content: object, answer: HttpAnswer) -> str | None:
    """Return which value of an answer is not as the kind expects, or None."""
    if not how.match and not how.null:
        return None
    if content is MISSING:
        return "the answer is not JSON" if answer.body else f"the answer is empty (status {answer.status})"
    paths = [*how.match, *how.null]
    if not isinstance(content, dict) and not (isinstance(content, list) and paths[0][:1].isdecimal()):
        return "the answer is not a JSON object"
    for path in paths:
        expected = how.match.get(path)
        actual = value_at(content, path)
        if not equal(expected, actual):
            shown = repr(expected) if isinstance(expected, str) else json.dumps(expected)
            return f"{path} is not {shown}{_found_instead(actual)}"
    return None


def _found_instead(actual: object) -> str:
    """Describe the value that was found instead, if it cannot be a secret."""
    if actual is MISSING:
        return ": the answer has no such key"
    if actual is None or isinstance(actual, bool | int | float):
        return f": it is {json.dumps(actual)[:VERSION_LENGTH]}"
    return ""


def _describe(path: str, answer: HttpAnswer) -> str:
    """Describe an answer by its status, for people."""
    text = f"GET {path} answers {answer.status}"
    status = answer.status
    if status in REDIRECTS and answer.location:
        return f"{text} to {answer.location}; redirects are not followed"
    reasons = {
        HTTPStatus.UNAUTHORIZED: f"it wants {_credentials(answer.challenge)}",
        HTTPStatus.UPGRADE_REQUIRED: "a WebSocket port",
        HTTPStatus.FORBIDDEN: "as 127.0.0.1 and as localhost",
        HTTPStatus.METHOD_NOT_ALLOWED: "it does not allow GET",
        HTTPStatus.SERVICE_UNAVAILABLE: "it says that it is not ready",
    }
    if status == HTTPStatus.BAD_REQUEST and b"https" in answer.body.lower():
        return f"{text}: it wants TLS (https)"
    return f"{text}: {reasons[HTTPStatus(status)]}" if status in reasons else text


def _credentials(challenge: str) -> str:
    scheme = challenge.partition(" ")[0].lower()
    if scheme == "basic":
        return "a user name and a password (Basic), which are never sent"
    return "a bearer that we do not have" if scheme in ("", "bearer") else f"credentials ({scheme})"


def plausible_count(value: object) -> int | None:
    """Return a count that a server reported, or None if the value is not a plausible count."""
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= COUNT_MAX else None


def _can_be_shown(version: str) -> bool:
    return 0 < len(version) <= VERSION_LENGTH and version.isprintable()
