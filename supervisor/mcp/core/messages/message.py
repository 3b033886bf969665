"""JSON-RPC envelopes of MCP. A message keeps its text: only the envelope and short params are read."""

import json
from collections.abc import Mapping
from typing import Any, NamedTuple, NoReturn

from ..values import Id, Text
from . import scan
from .scan import NotJsonError

SMALL = 65536
"""Bytes. A longer text is scanned, so that none of its values is built."""

SHORT = 8192
"""Bytes. Members of a long text that are longer are left out of `params`."""

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR = -32700, -32600, -32601, -32602, -32603


class UnusableMessageError(Exception):
    """The text is no message. `code` is the JSON-RPC code; `id` the id to answer under, or None."""

    def __init__(self, code: int, problem: str, reply_to: Id | None = None) -> None:
        super().__init__(problem)
        self.code = code
        self.id = reply_to


class Message(NamedTuple):
    """A request (`id` and `method`), a notification (`method`), or an answer (neither `method`).

    `params` has the short members only. `result` is None unless the text is small.
    """

    text: Text
    id: Id | None
    method: str | None
    params: Mapping[str, Any]
    is_error: bool = False
    body: Any = None
    """The result or the error of an answer that is small."""

    @property
    def is_request(self) -> bool:
        """Return whether the message is a request."""
        return self.method is not None and self.id is not None

    @property
    def is_answer(self) -> bool:
        """Return whether the message is an answer."""
        return self.method is None

    @property
    def meta(self) -> Mapping[str, Any]:
        """Return the `_meta` of the params."""
        meta = self.params.get("_meta")
        return meta if isinstance(meta, dict) else {}


def parse(text: Text) -> Message:
    """Return the message in a text.

    Raises:
        UnusableMessageError: the text is not JSON in UTF-8, or no message.
    """
    if not text.strip():
        raise UnusableMessageError(PARSE_ERROR, "an empty line")
    try:
        fields = _decoded(text) if len(text) <= SMALL else _scanned(text)
    except (NotJsonError, RecursionError, ValueError) as problem:
        reason = str(problem) if isinstance(problem, NotJsonError) else "not JSON"
        raise UnusableMessageError(PARSE_ERROR, reason) from None
    return _message(one_line(text), fields)


def one_line(text: Text) -> Text:
    """Return a JSON text on one line. JSON allows raw line breaks between tokens only, so each may become a space."""
    if text.find(b"\n") < 0 and text.find(b"\r") < 0:
        return text
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def with_id(message: Message, new: Id) -> Text:
    """Return the text of a message under another id. Everything else stays as it is."""
    text = message.text
    start, end = scan.members(text)["id"]
    return bytes(text[:start]) + json.dumps(new).encode() + bytes(text[end:])


def encode(value: object) -> bytes:
    """Return a value as JSON on one line."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode("utf-8", "replace")


def _decoded(text: Text) -> dict[str, Any]:
    try:
        found = _DECODE(text.decode())
    except UnicodeDecodeError:
        raise NotJsonError("not UTF-8") from None
    if isinstance(found, list):
        raise UnusableMessageError(INVALID_REQUEST, "batches are not supported: send one message on each line")
    if not isinstance(found, dict):
        raise UnusableMessageError(INVALID_REQUEST, "a message is a JSON object")
    return found


def _scanned(text: Text) -> dict[str, Any]:
    scan.check_utf8(text)
    if text.lstrip()[:1] == b"[":
        raise UnusableMessageError(INVALID_REQUEST, "batches are not supported: send one message on each line")
    spans = scan.members(text)
    fields: dict[str, Any] = {name: _short(text, span) for name, span in spans.items() if name != "params"}
    if "params" in spans:
        start, end = spans["params"]
        if text[start : start + 1] == b"{":
            inner = scan.members(text, start, end)
            fields["params"] = {name: _short(text, span) for name, span in inner.items() if _is_short(span)}
        else:
            fields["params"] = None
    return fields


def _is_short(span: scan.Span) -> bool:
    return span[1] - span[0] <= SHORT


def _short(text: Text, span: scan.Span) -> Any:
    """Return a member of a long text. An object stands for a member that is too long."""
    return scan.value_at(text, span) if _is_short(span) else {}


def _message(text: Text, fields: dict[str, Any]) -> Message:
    identifier = fields.get("id")
    known = identifier if isinstance(identifier, str | int | float) and not isinstance(identifier, bool) else None
    if fields.get("jsonrpc") != "2.0":
        raise UnusableMessageError(INVALID_REQUEST, '"jsonrpc" must be "2.0"', known)
    method = fields.get("method")
    if method is None:
        return _answer(text, fields, known)
    params = fields.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise UnusableMessageError(INVALID_REQUEST, '"method" must be a string, and "params" an object', known)
    if "id" in fields and known is None:
        raise UnusableMessageError(INVALID_REQUEST, '"id" must be a string or a number')
    return Message(text, known, method, params)


def _answer(text: Text, fields: dict[str, Any], known: Id | None) -> Message:
    is_error = "error" in fields
    if is_error == ("result" in fields) or (is_error and not isinstance(fields["error"], dict)):
        raise UnusableMessageError(INVALID_REQUEST, "neither a request nor an answer", known)
    if known is None and not is_error:
        raise UnusableMessageError(INVALID_REQUEST, "an answer without an id")
    return Message(text, known, None, {}, is_error, fields["error" if is_error else "result"])


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is not JSON")


_DECODE = json.JSONDecoder(parse_constant=_no_constant).decode
