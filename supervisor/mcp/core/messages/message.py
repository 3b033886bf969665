"""JSON-RPC messages of MCP. A message keeps its text; long members of a long text are not read."""

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..events_and_actions import Id, Text
from . import scan
from .scan import NotJsonError

SMALL_TEXT_MAX = 65536
"""Bytes. A longer text is scanned, so that its long values are not built."""

SHORT_MEMBER_MAX = 8192
"""Bytes. Longer members of a text that is scanned are not read."""

_BATCH = rb"[ \t\r\n]*+\["

PARSE_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, INTERNAL_ERROR = -32700, -32600, -32601, -32603


class UnusableMessageError(Exception):
    """The text is no message. `code` is the JSON-RPC code; `reply_to` the id of the error that answers it, or None."""

    def __init__(self, code: int, problem: str, reply_to: Id | None = None) -> None:
        super().__init__(problem)
        self.code = code
        self.reply_to = reply_to


class Message(NamedTuple):
    """A request (`id` and `method`), a notification (`method`), or an answer (neither `method`).

    If the text is long, `params` has only the short members, and a `body` that is long is an empty dict.
    """

    text: Text
    id: Id | None
    method: str | None
    params: Mapping[str, Any]
    is_error: bool = False
    body: Any = None
    """The result or the error of an answer."""

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
    if not text or text.isspace():
        raise UnusableMessageError(PARSE_ERROR, "an empty line")
    try:
        fields = _decode_whole(text) if len(text) <= SMALL_TEXT_MAX else _decode_long(text)
    except (NotJsonError, RecursionError, ValueError) as problem:
        reason = str(problem) if isinstance(problem, NotJsonError) else "not JSON"
        raise UnusableMessageError(PARSE_ERROR, reason) from None
    return _message_from(one_line(text), fields)


def whole_body(message: Message) -> Any:
    """Return the result or the error of an answer, also if it is long. Returns None if it cannot be built."""
    if len(message.text) <= SMALL_TEXT_MAX:
        return message.body
    try:
        return scan.decode(message.text.decode())["error" if message.is_error else "result"]
    except (RecursionError, ValueError):
        return None


def whole_message(message: Message) -> dict[str, Any] | None:
    """Return all members of a message, also if it is long. Returns None if they cannot be built."""
    try:
        found = scan.decode(message.text.decode())
    except (RecursionError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def one_line(text: Text) -> Text:
    """Return a JSON text on one line. JSON allows raw line breaks between tokens only, so each may become a space."""
    if text.find(b"\n") < 0 and text.find(b"\r") < 0:
        return text
    return text.replace(b"\n", b" ").replace(b"\r", b" ")


def with_id(message: Message, new: Id) -> Text:
    """Return the text of a message, with another id. Everything else stays byte for byte."""
    text = message.text
    start, end = scan.member_spans(text)["id"]
    return bytes(text[:start]) + json.dumps(new).encode() + bytes(text[end:])


def encode(value: object) -> bytes:
    """Return a value as JSON on one line, without the end of the line.

    A surrogate without its other half, which UTF-8 cannot have, stands there as JSON escapes it.
    """
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False).encode(
        "utf-8", "backslashreplace"
    )


def _decode_whole(text: Text) -> dict[str, Any]:
    """Return the members of a message."""
    try:
        found = scan.decode(text.decode())
    except UnicodeDecodeError:
        raise NotJsonError("not UTF-8") from None
    if isinstance(found, list):
        raise UnusableMessageError(INVALID_REQUEST, "batches are not supported: send one message on each line")
    if not isinstance(found, dict):
        raise UnusableMessageError(INVALID_REQUEST, "a message is a JSON object")
    return found


def _decode_long(text: Text) -> dict[str, Any]:
    """Return the members of a message, without building long values."""
    scan.check_utf8(text)
    if re.match(_BATCH, text) is not None:
        raise UnusableMessageError(INVALID_REQUEST, "batches are not supported: send one message on each line")
    spans = scan.member_spans(text)
    fields: dict[str, Any] = {name: _short_value(text, span) for name, span in spans.items() if name != "params"}
    if "params" in spans:
        start, end = spans["params"]
        if text[start : start + 1] == b"{":
            inner = scan.member_spans(text, start, end)
            fields["params"] = {name: _short_value(text, span) for name, span in inner.items() if _is_short(span)}
        else:
            fields["params"] = None
    return fields


def as_id(value: object) -> Id | None:
    """Return the value if it can be the id of a request: a string or a number. Returns None if it cannot."""
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _is_short(span: scan.Span) -> bool:
    return span[1] - span[0] <= SHORT_MEMBER_MAX


def _short_value(text: Text, span: scan.Span) -> Any:
    """Return a member of a long text. Returns an empty dict in place of a member that is too long."""
    return scan.value_at(text, span) if _is_short(span) else {}


def _message_from(text: Text, fields: dict[str, Any]) -> Message:
    usable_id = as_id(fields.get("id"))
    if fields.get("jsonrpc") != "2.0":
        raise UnusableMessageError(INVALID_REQUEST, '"jsonrpc" must be "2.0"', usable_id)
    method = fields.get("method")
    if method is None:
        return _answer_from(text, fields, usable_id)
    params = fields.get("params", {})
    if not isinstance(method, str) or not isinstance(params, dict):
        raise UnusableMessageError(INVALID_REQUEST, '"method" must be a string, and "params" an object', usable_id)
    if "id" in fields and usable_id is None:
        raise UnusableMessageError(INVALID_REQUEST, '"id" must be a string or a number')
    return Message(text, usable_id, method, params)


def _answer_from(text: Text, fields: dict[str, Any], usable_id: Id | None) -> Message:
    is_error = "error" in fields
    if is_error == ("result" in fields) or (is_error and not isinstance(fields["error"], dict)):
        raise UnusableMessageError(INVALID_REQUEST, "neither a request nor an answer", usable_id)
    if usable_id is None and not is_error:
        raise UnusableMessageError(INVALID_REQUEST, "an answer without an id")
    return Message(text, usable_id, None, {}, is_error, fields["error" if is_error else "result"])
