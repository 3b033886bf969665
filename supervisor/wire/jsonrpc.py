"""JSON-RPC 2.0 envelopes: one JSON object on each line, no batches.

The module is cheap to import, because each query of the command line imports it.
"""

import json
from collections.abc import Callable
from math import isinf
from typing import Any, NamedTuple, NoReturn

from ..errors import InvalidRequest, ParseError, SupervisorError

Id = str | int

METHOD_LENGTH = 128
ID_LENGTH = 256


class Request(NamedTuple):
    """A message that is answered with the same id."""

    id: Id
    method: str
    params: dict[str, Any]


class Notification(NamedTuple):
    """A message without an answer."""

    method: str
    params: dict[str, Any]


class Success(NamedTuple):
    """The answer to a request, with its result."""

    id: Id
    result: Any


class Failure(NamedTuple):
    """The answer to a request that failed, or to bytes that are no request.

    `error` is the error object. `id` is None if the id of the request could not be read.
    """

    id: Id | None
    error: dict[str, Any]


class InvalidEnvelope(InvalidRequest):
    """The message is JSON, but no envelope of JSON-RPC 2.0.

    `id` is the id of the message, for the error that answers it; None if the message has none that can be used.
    """

    def __init__(self, problem: str, reply_to: Id | None = None) -> None:
        super().__init__(problem)
        self.id = reply_to


def parse_from_client(line: bytes) -> Request | Notification:
    """Read a client's message.

    Raises:
        ParseError: no JSON value, or an ambiguous one (duplicate keys, NaN, nested too deeply, no UTF-8).
        InvalidEnvelope: JSON, but neither a request nor a notification.
    """
    message = _envelope(line, _decode_of_client)
    identifier = _id_of(message)
    method, params = _method_and_params(message, identifier)
    return Notification(method, params) if identifier is None else Request(identifier, method, params)


def parse_from_daemon(line: bytes) -> Success | Failure | Notification:
    """Read a daemon's message.

    Raises:
        ParseError: no JSON value. Duplicate keys are not looked for, because the daemon sends none and long answers are
            read twice as fast without.
        InvalidEnvelope: JSON, but neither an answer nor a notification.
    """
    message = _envelope(line, _decode_of_daemon)
    if "method" in message:
        return Notification(*_method_and_params(message, None))
    if "error" in message:
        error = message["error"]
        if not isinstance(error, dict) or "result" in message:
            raise InvalidEnvelope("an answer has either a result or an error object")
        return Failure(None if message.get("id") is None else _id_of(message), error)
    identifier = _id_of(message)
    if identifier is None or "result" not in message:
        raise InvalidEnvelope("an answer has an id, and a result or an error")
    return Success(identifier, message["result"])


def request_envelope(identifier: Id, method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of a request."""
    return {"jsonrpc": "2.0", "id": identifier, "method": method, "params": params}


def notification_envelope(method: str, params: dict[str, Any]) -> dict[str, Any]:
    """Return the envelope of a notification."""
    return {"jsonrpc": "2.0", "method": method, "params": params}


def result_envelope_text(identifier: Id, text: str) -> str:
    """Return the envelope of an answer that is JSON text already."""
    return f'{{"jsonrpc":"2.0","id":{json.dumps(identifier)},"result":{text}}}'


def error_envelope(identifier: Id | None, problem: SupervisorError) -> dict[str, Any]:
    """Return the envelope of an error."""
    return {"jsonrpc": "2.0", "id": identifier, "error": problem.to_wire()}


def _envelope(line: bytes, decode: Callable[[str], Any]) -> dict[str, Any]:
    message = _json(line, decode)
    if isinstance(message, list):
        raise InvalidEnvelope("batches are not supported: one request a line")
    if not isinstance(message, dict):
        raise InvalidEnvelope("a message is a JSON object")
    if message.get("jsonrpc") != "2.0":
        raise InvalidEnvelope('"jsonrpc" must be "2.0"', _as_id(message.get("id")))
    return message


def _json(line: bytes, decode: Callable[[str], Any]) -> Any:
    try:
        return decode(line.decode())
    except RecursionError:
        raise ParseError("nested too deeply") from None
    except UnicodeDecodeError:
        raise ParseError("not UTF-8") from None
    except ValueError as problem:
        # JSONDecodeError quotes no input. A number beyond the interpreter's digit limit is a plain ValueError.
        raise ParseError(f"not JSON: {problem}") from None


def _id_of(message: dict[str, Any]) -> Id | None:
    """Return the id of a message; None if the message has none.

    Raises:
        InvalidEnvelope: the message has an id that is not valid.
    """
    if "id" not in message:
        return None
    identifier = _as_id(message["id"])
    if identifier is None:
        raise InvalidEnvelope(f'"id" must be an integer, or a string of at most {ID_LENGTH} characters')
    return identifier


def _as_id(identifier: object) -> Id | None:
    """Return a value as an id; None if the value is not a valid one."""
    if isinstance(identifier, str):
        return identifier if len(identifier) <= ID_LENGTH else None
    if isinstance(identifier, float) and identifier.is_integer():
        # Godot reads every number as a float, and may write it back as one.
        return int(identifier)
    return identifier if isinstance(identifier, int) and not isinstance(identifier, bool) else None


def _method_and_params(message: dict[str, Any], identifier: Id | None) -> tuple[str, dict[str, Any]]:
    method = message.get("method")
    if not isinstance(method, str) or not 0 < len(method) <= METHOD_LENGTH:
        raise InvalidEnvelope(f'"method" must be a string of 1 to {METHOD_LENGTH} characters', identifier)
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise InvalidEnvelope('"params" must be an object, or absent', identifier)
    return method, params


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ParseError("an object has the same key twice")
    return found


def _finite(text: str) -> float:
    number = float(text)
    if isinf(number):
        raise ParseError("a number is too large")
    return number


def _no_constant(name: str) -> NoReturn:
    raise ParseError(f"{name} is not JSON")


_decode_of_client = json.JSONDecoder(
    object_pairs_hook=_unique_keys, parse_float=_finite, parse_constant=_no_constant
).decode
_decode_of_daemon = json.JSONDecoder(parse_constant=_no_constant).decode
