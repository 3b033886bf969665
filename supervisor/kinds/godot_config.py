"""A reader of files in the form of Godot's ConfigFile. It reads as much of a broken file as it can. Pure."""

import re
from collections.abc import Iterator

from ..values import frozen

_SECTION = re.compile(r"\[([^\]\n]*)\]")
_KEY = re.compile(r'(?:"([^"\n]*)"[ \t]*|([^=\n;#"\[][^=\n;]*))=[ \t]*')
_STRING = re.compile(r"""[&^]?(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\\n]|\\.)*)')""", re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMENTS = ";#"
_OPEN, _CLOSE, _QUOTES = "([{", ")]}", "\"'"


@frozen
class Entry:
    """A key with its value, a string without its quotes. `start` and `end`: where the value stands in the text.

    `begins_at`: where the key stands.
    """

    section: str
    key: str
    value: str
    begins_at: int
    start: int
    end: int


def value_in(text: str, section: str, key: str) -> str | None:
    """Return the last value of a key in a section, a string without its quotes, or None.

    Lines that are no entries are skipped. Godot refuses such a file, but the version in it may still be readable.
    """
    found = None
    for entry in entries(text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")):
        if (entry.section, entry.key) == (section, key):
            found = entry.value
    return found


def entries(text: str) -> Iterator[Entry]:
    """Yield every entry, in the order of the text. Its lines may end in CR LF."""
    position, section = (1 if text.startswith("\ufeff") else 0), ""
    while position < len(text):
        if text[position].isspace():
            position += 1
        elif heading := _SECTION.match(text, position):
            section, position = heading[1].strip(), heading.end()
        elif text[position] not in _COMMENTS and (key := _KEY.match(text, position)):
            value, end = _value(text, key.end())
            name = (key[1] if key[1] is not None else key[2]).strip()
            yield Entry(section, name, value, position, key.end(), end)
            position = _end_of_line(text, end)
        else:
            position = _end_of_line(text, position)


def _value(text: str, start: int) -> tuple[str, int]:
    """Return the value that begins at `start`, and where it ends."""
    string = _STRING.match(text, start)
    if string is not None:
        content = string[1] if string[1] is not None else string[2]
        return _ESCAPED.sub(r"\1", content), string.end()
    position, depth = start, 0
    while position < len(text):
        letter = text[position]
        # A colour begins with `#`.
        if depth <= 0 and (letter in "\n;" or (letter == "#" and text[start:position].strip())):
            break
        if letter == ";":
            position = _end_of_line(text, position)
            continue
        depth += (letter in _OPEN) - (letter in _CLOSE)
        if depth > 0 and letter in _QUOTES:
            string = _STRING.match(text, position)
            # A string without an end takes the rest of the file.
            position = len(text) if string is None else string.end()
        else:
            position += 1
    return text[start:position].strip().strip(_QUOTES), start + len(text[start:position].rstrip())


def _end_of_line(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
