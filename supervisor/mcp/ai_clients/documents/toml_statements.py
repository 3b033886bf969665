"""Finds the statements of a TOML document, with their lines. `tomllib` decides where a statement ends."""

import re
import tomllib
from collections.abc import Iterator
from typing import Any, NamedTuple

from .text_edit import DocumentError

SIZE_MAX = 4 * 1024 * 1024

_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)
_LINE = re.compile(r"[^\n]*\n|[^\n]+")
_QUOTED_OR_BARE = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.)*"|'[^'\n]*')"""
_KEY = re.compile(rf"[ \t]*({_QUOTED_OR_BARE}(?:[ \t]*\.[ \t]*{_QUOTED_OR_BARE})*)[ \t]*=")
_MAY_END = re.compile(r"[\]}]|\"\"\"|'''")
"""A part of the last line of each statement on several lines."""

ENDS_TRIED_MAX = 1000
"""Lines at which a statement on several lines may end, but does not."""


class Statement(NamedTuple):
    """A statement: the keys to what it defines, and its lines, from `first` up to but not including `last`.

    `is_header` tells a table's header from a key with a value.
    """

    path: tuple[str, ...]
    is_header: bool
    first: int
    last: int


def parse(text: str) -> dict[str, Any]:
    """Return the content of a document.

    Raises:
        DocumentError: the text is not valid.
    """
    if len(text) > SIZE_MAX:
        raise DocumentError(f"it is longer than {SIZE_MAX // 1024 // 1024} MiB")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as problem:
        place = _PLACE.fullmatch(str(problem))
        said = place[1] if place else str(problem)
        line = int(place[2]) if place and place[2] else None
        raise DocumentError(f"not valid TOML: {said}", line) from problem
    except (RecursionError, ValueError, OverflowError) as problem:
        raise DocumentError("not usable TOML: a value is too long, or nested too deeply") from problem


def lines_of(text: str) -> list[str]:
    """Return the lines with their ends. `str.splitlines` knows more line ends than TOML does."""
    return _LINE.findall(text)


def statements_of(lines: list[str]) -> Iterator[Statement]:
    """Yield the statements of a valid document. Blank lines and comments belong to none."""
    table: tuple[str, ...] = ()
    number = 0
    while number < len(lines):
        first = number
        found = parsed_statement(lines[first])
        number += 1
        tried = 0
        while found is None and number < len(lines):
            if _MAY_END.search(lines[number]):
                found = parsed_statement("".join(lines[first : number + 1]))
                tried += 1
                if tried > ENDS_TRIED_MAX:
                    raise DocumentError("a value has too many lines", first + 1)
            number += 1
        if not found:
            continue
        key = _KEY.match(lines[first])
        if key is None:
            table = _path_of(found)
            yield Statement(table, True, first, number)
        else:
            # Without the value, which may be a table itself.
            path = table + _path_of(parsed_statement(f"{key[1]} = 0"))
            yield Statement(path, False, first, number)


def parsed_statement(text: str) -> dict[str, Any] | None:
    """Return what a piece of a document defines. Returns None if it is no whole statement."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _path_of(found: Any) -> tuple[str, ...]:
    """Return the keys to the only thing that a header, or a key with a value that is no table, defines."""
    path: list[str] = []
    while isinstance(found, dict) and len(found) == 1:
        key, found = next(iter(found.items()))
        path.append(key)
    if isinstance(found, list):
        # An array of tables, [[x]]. Nothing of ours lies below it.
        path.append("[]")
    return tuple(path)
