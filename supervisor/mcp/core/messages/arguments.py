"""Reads and fills in one argument of a call in its text, without building the other arguments."""

from collections.abc import Sequence
from typing import Any

from . import scan
from .message import SMALL_TEXT_MAX, Message, encode

EMPTY = (None, "")
"""Arguments that count as not given: clients write null, and models an empty string, for one that they leave out."""


def given_argument(message: Message, name: str) -> Any:
    """Return an argument of a call. Returns None if the client has not given it, and True for one that is no string.

    Whether `arguments` is an object that could have arguments, is not looked at.
    """
    value = argument_at(message, (name,))
    return None if value in EMPTY else value if isinstance(value, str) else True


def with_argument(message: Message, name: str, value: str) -> Message:
    """Return a call with an argument added, or put in the place of an empty one. All other bytes stay as they are.

    The params have the argument too, because headers may repeat it.
    A call whose `arguments` is neither an object nor null is returned unchanged: the server refuses it.
    """
    text = message.text
    known = message.params.get("arguments")
    if not _are_unread(message) and (known is None or isinstance(known, dict)):
        message = message._replace(params={**message.params, "arguments": {**(known or {}), name: value}})
    filled = encode(value)
    member = encode(name) + b":" + filled
    start, end = scan.member_spans(text, is_checked=True).get("params", (0, 0))
    if not end:
        return message
    spans = scan.member_spans(text, start, end, is_checked=True)
    if "arguments" not in spans:
        return _replaced(message, start + 1, start + 1, b'"arguments":{' + member + b"}" + (b"," if spans else b""))
    start, end = spans["arguments"]
    if text[start : start + 1] != b"{":
        return _replaced(message, start, end, b"{" + member + b"}") if text[start:end] == b"null" else message
    arguments = scan.member_spans(text, start, end, is_checked=True)
    if name in arguments:
        return _replaced(message, *arguments[name], filled)
    return _replaced(message, start + 1, start + 1, member + (b"," if arguments else b""))


def argument_at(message: Message, path: Sequence[str]) -> Any:
    """Return the argument of a request at a path: a name, and the names in the objects below. Returns None without it.

    Of a long text, only this argument is built.
    """
    if not _are_unread(message):
        value = message.params.get("arguments")
        for name in path:
            value = value.get(name) if isinstance(value, dict) else None
        return value
    text, span = message.text, (0, len(message.text))
    for name in ("params", "arguments", *path):
        if text[span[0] : span[0] + 1] != b"{":
            return None
        found = scan.member_spans(text, *span, is_checked=True).get(name)
        if found is None:
            return None
        span = found
    return scan.value_at(text, span)


def _are_unread(message: Message) -> bool:
    """Return whether the text may have arguments that `params` lacks: long members of a long text are not read."""
    return "arguments" not in message.params and len(message.text) > SMALL_TEXT_MAX


def _replaced(message: Message, start: int, end: int, new: bytes) -> Message:
    """Return the message with other bytes in a place of its text."""
    with memoryview(message.text) as whole:
        return message._replace(text=b"".join((whole[:start], new, whole[end:])))
