"""Hides the values of a document that is shown to people: other entries may have secrets."""

import json
import re
import tomllib
from collections.abc import Collection, Iterator
from typing import Any

HIDDEN = "…"

_JSON = re.compile(
    r'(?P<key>"(?:[^"\\\n]|\\.)*"(?=\s*:))|(?P<string>"(?:[^"\\\n]|\\.)*")|(?P<line>//[^\r\n]*)|(?P<block>/\*.*?\*/)'
    r"|(?P<scalar>[^\s,{}\[\]:\"/]+)",
    re.DOTALL,
)
_TOML_KEY = re.compile(r"^\s*[A-Za-z0-9_\-\"'. \t]+?\s*=")
_TOML_HEADER = re.compile(r"^\s*\[[^\]=#]*\]\s*$")


def hide_json(text: str, shown: Collection[str]) -> str:
    """Return a piece of JSON with `…` for comments, and for each value that is not in `shown`."""
    visible = {json.dumps(each, ensure_ascii=False) for each in shown}

    def hidden(found: "re.Match[str]") -> str:
        if found["key"] is not None or found["string"] in visible or found["scalar"] in {"true", "false"}:
            return found[0]
        if found["string"] is not None:
            return f'"{HIDDEN}"'
        if found["line"] is not None:
            return f"// {HIDDEN}"
        if found["block"] is not None:
            return "/* " + HIDDEN + "\n" * found[0].count("\n") + " */"
        return HIDDEN

    return _JSON.sub(hidden, text)


def hide_toml(text: str, shown: Collection[str]) -> str:
    """Return lines of TOML with `…` for comments, and for each value with a text that is not in `shown`.

    Of headers, those are left whose first key is in `shown`: a line of a list or of a text may look like a header.
    """
    return "\n".join(_hide_toml_line(line.rstrip("\r"), shown) for line in text.split("\n"))


def _hide_toml_line(line: str, shown: Collection[str]) -> str:
    if not line.strip():
        return line
    try:
        values = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        values = {}
    if _TOML_HEADER.match(line):
        return line if values and all(key in shown for key in values) else HIDDEN
    if values and "#" not in line and all(each in shown for each in _leaves(values)):
        return line
    key = _TOML_KEY.match(line)
    return f"{key[0]} {HIDDEN}" if key is not None else HIDDEN


def _leaves(value: Any) -> Iterator[Any]:
    """Yield the values in tables and lists that are neither."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _leaves(each)
    else:
        yield value
