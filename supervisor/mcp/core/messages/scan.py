"""Checks long JSON texts, and finds the members of an object in them without building their values."""

import json
import re
from codecs import utf_8_decode
from typing import Any, NoReturn

from ..events_and_actions import Text

Span = tuple[int, int]
"""The first byte of a value, and the byte after its last one."""

DEPTH_MAX = 500
PIECE = 65536
CONTROLS_PIECE = 16384
"""Bytes that are looked through for control characters at once: the caches of a processor hold them."""

LARGEST_FLOAT = float.fromhex("0x1.fffffffffffffp+1023")

# Compiled at the first use, because most texts are short, and compiling takes milliseconds.
_TOKEN = (
    rb"[ \t\r\n]*+(?:"
    rb'(?P<string>"[^"\\\x00-\x1f]{0,512}+")'
    rb'|(?P<long>")'
    rb"|(?P<mark>[\[\]{},:])"
    rb"|(?P<scalar>-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?|true|false|null)"
    rb")"
)
# The rest of a string that is longer, or has escapes.
_REST = rb'[^"\\\x00-\x1f]*+(?:\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})[^"\\\x00-\x1f]*+)*+"'
_BLANK = rb"[ \t\r\n]*+"

# Many short values in a row, each with the comma behind it: in an array, and in an object.
_STRING = rb'"[^"\\\x00-\x1f]{0,512}+"'
_NUMBER = rb"-?(?:0|[1-9][0-9]*+)(?:\.[0-9]++)?(?:[eE][+-]?[0-9]++)?"
_SHORT = rb"(?:" + _STRING + rb"|" + _NUMBER + rb"|true|false|null)" + _BLANK + rb","
_ITEMS = rb"(?:" + _BLANK + _SHORT + rb")++"
_MEMBERS = rb"(?:" + _BLANK + _STRING + _BLANK + rb":" + _BLANK + _SHORT + rb")++"

_OBJECT, _OBJECT_END, _ARRAY, _ARRAY_END, _COMMA, _COLON = b"{}[],:"
_END_OF = {_OBJECT: _OBJECT_END, _ARRAY: _ARRAY_END}

# The states of the pass: which tokens may come next.
_VALUE, _VALUE_OR_END, _KEY, _KEY_OR_END, _AFTER_KEY, _AFTER_VALUE = range(6)
_VALUES = (_VALUE, _VALUE_OR_END)
_KEYS = (_KEY, _KEY_OR_END)
_BEFORE_VALUES = (*_VALUES, *_KEYS)


class NotJsonError(ValueError):
    """The text is not JSON in UTF-8. The message says why, and quotes nothing."""


def member_spans(text: Text, start: int = 0, end: int | None = None, *, is_checked: bool = False) -> dict[str, Span]:
    """Return the spans of the values of an object's members, by name. The whole object is checked.

    `is_checked`: the text is known to be JSON. Then any depth is allowed, and of members of one name the last counts.

    Raises:
        NotJsonError: the text is not one JSON object, or has a member twice.
    """
    return _Scan(text, len(text) if end is None else end, is_checked=is_checked).members(start)


def check_utf8(text: Text) -> None:
    """Check the encoding of a text, in pieces, so that no second text of its size is made.

    Raises:
        NotJsonError: the text is not UTF-8.
    """
    if text.isascii():
        return
    view = memoryview(text)
    position = 0
    while position < len(view):
        piece = view[position : position + PIECE]
        try:
            _, used = utf_8_decode(piece, "strict", position + PIECE >= len(view))
        except UnicodeDecodeError:
            raise NotJsonError("not UTF-8") from None
        position += used


def value_at(text: Text, span: Span) -> object:
    """Return the value at a span that `member_spans` has returned."""
    return decode(bytes(text[span[0] : span[1]]).decode())


def decode(text: str) -> Any:
    """Return the value in a JSON text.

    Raises:
        ValueError: the text is not JSON, or has an integer of too many digits.
        RecursionError: the text is nested too deeply.
    """
    return _DECODE(text)


def _no_constant(name: str) -> NoReturn:
    raise NotJsonError(f"{name} is not JSON")


def _finite(text: str) -> float:
    """Return a number, and the largest one in place of one like 1e999, because JSON has no word for infinity."""
    return min(max(float(text), -LARGEST_FLOAT), LARGEST_FLOAT)


_DECODE = json.JSONDecoder(parse_constant=_no_constant, parse_float=_finite).decode

# Values are checked by it, and dropped. `len` takes numbers of any length.
_CHECK = json.JSONDecoder(parse_constant=_no_constant, parse_float=len, parse_int=len).raw_decode

# Translates control characters to 0, and all others to 1.
_CONTROLS = bytes(byte >= ord(" ") for byte in range(256))


def _has_controls(piece: Text) -> bool:
    return piece.translate(_CONTROLS).find(0) >= 0


class _Scan:
    """A pass over a text. Holds the closing byte of each open bracket, and the members of the outermost object."""

    def __init__(self, text: Text, end: int, *, is_checked: bool) -> None:
        self._text = text
        self._end = end
        self._is_checked = is_checked
        self._closing = bytearray()
        self._members: dict[str, Span] = {}
        self._key = ""
        self._value_start = 0
        self._window = ""
        """A piece of the text, in which small values are checked by the decoder of the standard library."""
        self._window_start = 0
        self._checked_in_vain = 0
        """Bytes that the decoder has read of values that do not end in the window."""

    def members(self, start: int) -> dict[str, Span]:
        text, end, match = self._text, self._end, re.compile(_TOKEN).match
        position, expected = start, _VALUE
        while True:
            position, expected = self._skip_short_values(position, expected)
            token = match(text, position, end)
            if token is None:
                raise NotJsonError("not JSON")
            kind, span = self._classify(token, expected)
            position = span[1]
            if kind == "mark":
                expected = self._after_mark(text[position - 1], position, expected)
                if not self._closing:
                    break
            elif kind == "string" and expected in _KEYS:
                if len(self._closing) == 1:
                    self._key = str(value_at(text, span))
                expected = _AFTER_KEY
            elif expected in _VALUES and self._closing:
                if len(self._closing) == 1:
                    self._add_member(span)
                expected = _AFTER_VALUE
            else:
                raise NotJsonError("not a JSON object")
        blank = re.compile(_BLANK).match(text, position, end)
        if blank is None or blank.end() != end:
            raise NotJsonError("more than one JSON value")
        return self._members

    def _skip_short_values(self, position: int, expected: int) -> tuple[int, int]:
        """Return the position after the short values that begin here, and which tokens may come there."""
        if len(self._closing) > 1 and expected in _BEFORE_VALUES:
            in_array = expected in _VALUES
            run = re.compile(_ITEMS if in_array else _MEMBERS).match(self._text, position, self._end)
            if run is not None and in_array == (self._closing[-1] == _ARRAY_END):
                return run.end(), _VALUE if in_array else _KEY
        return position, expected

    def _classify(self, token: re.Match[bytes], expected: int) -> tuple[str | None, Span]:
        """Return the group of `_TOKEN` that has matched, and the span of the token.

        A long string is `string` too. A whole array or object that is small is one token, of the group `scalar`.
        """
        kind = token.lastgroup
        span = token.span(kind or 0)
        if kind == "long":
            return "string", (span[0], self._string_end(span[1]))
        if kind == "mark" and expected in _VALUES and self._closing and self._text[span[0]] in _END_OF:
            end = self._small_value_end(span[0])
            return (kind, span) if end is None else ("scalar", (span[0], end))
        return kind, span

    def _small_value_end(self, start: int) -> int | None:
        """Return the position after an array or object. Returns None if it is not small, or no JSON."""
        if self._checked_in_vain > 8 * PIECE + 2 * start:
            # Many large values in each other: time stays linear to the text.
            return None
        if not self._window_start <= start < self._window_start + len(self._window) // 2:
            self._window_start = start
            # Each byte becomes one letter. All marks of JSON are ASCII, and the encoding was checked before.
            self._window = bytes(self._text[start : min(start + PIECE, self._end)]).decode("latin-1")
        try:
            return self._window_start + _CHECK(self._window, start - self._window_start)[1]
        except (ValueError, RecursionError):
            self._checked_in_vain += self._window_start + len(self._window) - start
            return None

    def _string_end(self, start: int) -> int:
        """Return the position after the closing quote of a string. `start` is the position after the opening one."""
        text = self._text
        end = text.find(b'"', start, self._end)
        if end < 0:
            raise NotJsonError("not JSON")
        if text.find(b"\\", start, end) < 0:
            # Images are long strings without escapes. This is six times as fast as the pattern.
            pieces = range(start, end, CONTROLS_PIECE)
            if any(_has_controls(text[piece : min(piece + CONTROLS_PIECE, end)]) for piece in pieces):
                raise NotJsonError("not JSON")
            return end + 1
        rest = re.compile(_REST).match(text, start, self._end)
        if rest is None:
            raise NotJsonError("not JSON")
        return rest.end()

    def _after_mark(self, mark: int, position: int, expected: int) -> int:
        """Return which tokens may come after a bracket, comma or colon. `position` is the one after the mark."""
        closing = self._closing
        if mark in _END_OF:
            too_deep = len(closing) >= DEPTH_MAX and not self._is_checked
            if expected not in _VALUES or (not closing and mark != _OBJECT) or too_deep:
                raise NotJsonError("not a JSON object, or nested too deeply")
            if len(closing) == 1:
                self._value_start = position - 1
            closing.append(_END_OF[mark])
            return _KEY_OR_END if mark == _OBJECT else _VALUE_OR_END
        if mark == _COMMA and expected == _AFTER_VALUE:
            return _KEY if closing[-1] == _OBJECT_END else _VALUE
        if mark == _COLON and expected == _AFTER_KEY:
            return _VALUE
        if closing and mark == closing[-1] and expected in (_AFTER_VALUE, _KEY_OR_END, _VALUE_OR_END):
            closing.pop()
            if len(closing) == 1:
                self._add_member((self._value_start, position))
            return _AFTER_VALUE
        raise NotJsonError("not JSON")

    def _add_member(self, span: Span) -> None:
        if self._key in self._members and not self._is_checked:
            raise NotJsonError("an object has the same key twice")
        self._members[self._key] = span
