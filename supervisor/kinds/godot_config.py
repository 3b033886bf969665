"""A reader of files in the form of Godot's ConfigFile. It reads as much of a broken file as it can. Pure."""

import re
from collections.abc import Iterator

_SECTION = re.compile(r"\[([^\]\n]*)\]")
_KEY = re.compile(r'(?:"([^"\n]*)"[ \t]*|([^=\n;#"\[][^=\n;]*))=[ \t]*')
_STRING = re.compile(r"""[&^]?(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')""", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMENTS = ";#"
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "\"'"


def value_in(text: str, section: str, key: str) -> str | None:
    """Return the last value of a key in a section, a string without its quotes, or None.

    Lines that are no entries are skipped. Godot refuses such a file, but the version in it may still be readable.
    """
    found = None
    for at, name, value in _entries(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")):
        if (at, name) == (section, key):
            found = value
    return found


def _entries(text: str) -> Iterator[tuple[str, str, str]]:
    """Yield section, key and value of every entry."""
    position, section = 0, ""
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif heading := _SECTION.match(text, position):
            section, position = heading[1].strip(), heading.end()
        elif text[position] not in _COMMENTS and (entry := _KEY.match(text, position)):
            value, position = _value(text, entry.end())
            yield section, (entry[1] if entry[1] is not None else entry[2]).strip(), value
        else:
            position = _end_of_line(text, position)


def _value(text: str, start: int) -> tuple[str, int]:
    """Return the value that begins at `start`, and the position where the next entry may begin."""
    string = _STRING.match(text, start)
    if string is not None:
        content = string[1] if string[1] is not None else string[2]
        return _ESCAPED.sub(r"\1", content), _end_of_line(text, string.end())
    position, depth = start, 0
    while position < len(text):
        letter = text[position]
        if depth <= 0 and (letter == "\n" or letter in _COMMENTS):
            break
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if depth > 0 and letter in _QUOTES:
            string = _STRING.match(text, position)
            # A string without an end takes the rest of the file.
            position = len(text) if string is None else string.end()
        else:
            position += 1
    return text[start:position].strip().strip(_QUOTES), _end_of_line(text, position)


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
