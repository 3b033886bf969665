"""Shared by the editors of JSON and TOML: the outcome of an edit, and why a document cannot be edited."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

Path = Sequence[str]
"""The keys from the root of a document to a value."""

Value = Mapping[str, Any]
"""An entry as the client's file has it: texts, booleans, and lists and tables of these."""


class DocumentError(Exception):
    """The document cannot be edited. The text is for people, and quotes no value of the document.

    `line` is the number of the line, if one is to blame.
    """

    def __init__(self, problem: str, line: int | None = None) -> None:
        super().__init__(problem)
        self.line = line


class Surroundings(NamedTuple):
    """The text that was inserted before and after an entry: line ends, and the tables that it lies in.

    `tables_made` is the number of tables that were made for the entry. All this is kept on record, so that a removal
    can restore the document exactly. `before` is empty if that can be done without.
    """

    before: str = ""
    after: str = ""
    tables_made: int = 0


class Edited(NamedTuple):
    """A document after an edit. `surroundings` is None if no entry was inserted."""

    text: str
    surroundings: Surroundings | None = None


def line_end(text: str) -> str:
    """Return the line end of a document: that of its first line."""
    place = text.find("\n")
    return "\r\n" if place > 0 and text[place - 1] == "\r" else "\n"


def line_number(text: str, position: int) -> int:
    """Return the number of the line of a position, from 1 on."""
    return text.count("\n", 0, position) + 1


def without_mark(text: str) -> tuple[str, str]:
    """Return the byte order mark of a document, or "", and the document without it."""
    return ("\ufeff", text[1:]) if text.startswith("\ufeff") else ("", text)
