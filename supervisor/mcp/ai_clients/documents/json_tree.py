"""Finds the members of objects in a JSON document that may have comments and trailing commas, with their places."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

from .text_edit import DocumentError, Path, line_number

WHITESPACE = " \t\r\n"

_UNCLOSED = r'"[^"\\\n]*(?:\\.[^"\\\n]*)*'
_STRING = rf'{_UNCLOSED}"'
# A quotation mark that nothing closes takes the rest of its line, so that each character is read once.
_COMMENT = re.compile(rf'({_UNCLOSED}"?)|//[^\r\n]*|/\*.*?\*/', re.DOTALL)
_TRAILING_COMMA = re.compile(rf'({_UNCLOSED}"?)|,(?=[ \t\r\n]*[}}\]])')
_BRACKET = re.compile(rf"{_STRING}|[{{}}\[\]]")
_SCALAR = re.compile(rf"{_STRING}|[^\s,{{}}\[\]:]+")
_NOT_BLANK = re.compile(r"[^ \t\r\n]")
_NOT_LINE_END = re.compile(r"[^\r\n]")


class Dialect(NamedTuple):
    """The additions to JSON that the reader of a file allows."""

    comments: bool = True
    trailing_commas: bool = True


class Member(NamedTuple):
    """A member of an object: its key, and positions. `comma` is that of the comma after it; None if there is none."""

    key: str
    start: int
    value_start: int
    value_end: int
    comma: int | None


class Pairs(list[tuple[str, Any]]):
    """The members of an object, in order, with duplicates."""


class JsonTree:
    """A document that was checked. Positions are those of `text`.

    Raises:
        DocumentError: the text is not valid in this dialect.
    """

    def __init__(self, text: str, dialect: Dialect) -> None:
        self.text = text
        self.plain = _blank_comments(text, dialect)
        """The text with spaces in the place of comments."""
        strict = _blank_trailing_commas(self.plain, dialect)
        try:
            self.value = json.loads(
                strict, object_pairs_hook=Pairs, parse_int=str, parse_float=_Number, parse_constant=_refuse_constant
            )
        except json.JSONDecodeError as problem:
            raise DocumentError(f"not valid JSON: {problem.msg}, column {problem.colno}", problem.lineno) from problem
        except RecursionError as problem:
            raise DocumentError("not usable JSON: it is nested too deeply") from problem
        except ValueError as problem:
            raise DocumentError(f"not valid JSON: {problem}") from problem
        self.root = _next_token(self.plain, 0)

    def members(self, opening: int) -> list[Member]:
        """Return the members of the object whose brace opens at this position."""
        return list(self._members(opening))

    def closing(self, opening: int) -> int:
        """Return the position of the brace that closes an object."""
        return _end_of_value(self.plain, opening) - 1

    def is_line_comment_before(self, position: int) -> bool:
        """Return whether a comment up to the end of a line ends at this position."""
        if self.plain[position - 1] not in WHITESPACE:
            return False
        comments = [found for found in _COMMENT.finditer(self.text, 0, position) if found[1] is None]
        return bool(comments) and comments[-1].end() == position and comments[-1][0].startswith("//")

    def is_object(self, position: int) -> bool:
        """Return whether the value at this position is an object."""
        return self.plain[position] == "{"

    def find(self, path: Path) -> list[Member]:
        """Return the members on the way to a path, as far as they exist. The last one of duplicates counts.

        Raises:
            DocumentError: something on the way is no object.
        """
        found: list[Member] = []
        position = self.root
        for depth in range(len(path) + 1):
            if depth == len(path):
                break
            if not self.is_object(position):
                where = ".".join(path[:depth]) or "the whole document"
                raise DocumentError(f"{where} is no object", line_number(self.text, position))
            same = [member for member in self.members(position) if member.key == path[depth]]
            if not same:
                break
            found.append(same[-1])
            position = same[-1].value_start
        return found

    def _members(self, opening: int) -> Iterator[Member]:
        position = _next_token(self.plain, opening + 1)
        while self.plain[position] != "}":
            key_end = _end_of_value(self.plain, position)
            value_start = _next_token(self.plain, _next_token(self.plain, key_end) + 1)
            value_end = _end_of_value(self.plain, value_start)
            after = _next_token(self.plain, value_end)
            comma = after if self.plain[after] == "," else None
            key = json.loads(self.plain[position:key_end])
            yield Member(key, position, value_start, value_end, comma)
            position = after if comma is None else _next_token(self.plain, comma + 1)


@functools.lru_cache(maxsize=2)
def tree_of(text: str, dialect: Dialect) -> JsonTree:
    """Return the tree of a document. The last ones are kept, because an edit asks for the same one several times.

    Raises:
        DocumentError: the text is not valid in this dialect.
    """
    return JsonTree(text, dialect)


def plain_value(value: Any) -> Any:
    """Return a value of a tree as Python has JSON: objects are dictionaries, in which the last duplicate counts."""
    if isinstance(value, Pairs):
        return {key: plain_value(inner) for key, inner in value}
    if isinstance(value, list):
        return [plain_value(inner) for inner in value]
    return value


class _Number(str):
    """A number, as it is written."""

    __slots__ = ()


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no value of JSON")


def _blank(found: "re.Match[str]") -> str:
    return found[1] if found[1] is not None else _NOT_LINE_END.sub(" ", found[0])


def _blank_comments(text: str, dialect: Dialect) -> str:
    if "/" not in text:
        return text
    if not dialect.comments:
        comment = next((found for found in _COMMENT.finditer(text) if found[1] is None), None)
        if comment is not None:
            raise DocumentError("it has a comment, which this client does not read", line_number(text, comment.start()))
    return _COMMENT.sub(_blank, text)


def _blank_trailing_commas(plain: str, dialect: Dialect) -> str:
    if not dialect.trailing_commas:
        return plain
    return _TRAILING_COMMA.sub(_blank, plain)


def _next_token(plain: str, position: int) -> int:
    """Return the position of the next token. The document is known to have one."""
    found = _NOT_BLANK.search(plain, position)
    if found is None:
        raise DocumentError("not valid JSON: it ends too early")
    return found.start()


def _end_of_value(plain: str, start: int) -> int:
    """Return the position after the value that begins at `start`."""
    if plain[start] not in "{[":
        found = _SCALAR.match(plain, start)
        if found is None:
            raise DocumentError("not valid JSON: a value is missing", line_number(plain, start))
        return found.end()
    depth = 0
    for found in _BRACKET.finditer(plain, start):
        if found[0] in "{[":
            depth += 1
        elif found[0] in "}]":
            depth -= 1
            if depth == 0:
                return found.end()
    raise DocumentError("not valid JSON: a bracket is not closed", line_number(plain, start))
