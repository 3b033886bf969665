"""Reads config.toml: within bounds of size and time, and with the place of whatever is wrong in it."""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from .errors import ConfigInvalid
from .native import private_files

LIMIT = 1024 * 1024
"""Bytes. A file of 300 kinds has a tenth of it."""

PARTS_MAX = 32
"""Of a dotted key: the parser's time grows with their square."""

KEY_SHOWN = 200

INTEGER_MAX = 2**63
"""TOML has integers of 64 bits; the parser takes longer ones."""

_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""", re.ASCII)
_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")
_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)
_NESTED_MAX = 100


def parsed(path: Path) -> dict[str, Any]:
    """The document. A file that is not there is an empty one.

    Raises:
        ConfigInvalid: it cannot be read, others could have written it, or it is not TOML.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refusal(path, "", f"it cannot be read: {error.strerror}", "make it a file that you may read") from error
    text = _decoded(path, content)
    _refuse_what_takes_long(path, text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _no_toml(path, text, str(error)) from error
    except RecursionError as error:
        line = _line_of_depth(text)
        raise refusal(path, "", "brackets are nested too deeply", "write fewer of them", line=line) from error
    except (ValueError, OverflowError, MemoryError) as error:
        long = _LONG_NUMBER.search(text)
        line = _line_at(text, long.start()) if long else None
        raise refusal(path, "", f"a value is not possible: {error}", "write a shorter one", line=line) from error
    _refuse_long_numbers(path, document)
    return document


def refusal(path: Path, key: str, problem: str, fix: str, *, line: int | None = None) -> ConfigInvalid:
    """What is wrong with the file, where, and what mends it."""
    shown = key if len(key) <= KEY_SHOWN else f"{key[:KEY_SHOWN]}..."
    data: dict[str, Any] = {"file": str(path), "key": shown}
    where = f"{path}: {shown}" if key else str(path)
    if line is not None:
        data["line"] = line
        where = f"{where}: line {line}"
    return ConfigInvalid(f"{where}: {problem}", hint=fix, data=data)


def _read(path: Path) -> bytes:
    """The content, from a file that nobody else can have written."""
    # O_NONBLOCK, where it exists: a FIFO in its place must not hang the daemon.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise refusal(path, "", "it is no regular file", "put a file there, or nothing")
        _refuse_foreign(path, info)
        for folder in {path.parent, path.resolve().parent}:
            _refuse_foreign(folder, folder.stat())
        with open(handle, "rb", closefd=False) as file:
            # More than the limit is refused, also where it was written after the size was told.
            content = file.read(LIMIT + 1)
    finally:
        os.close(handle)
    if len(content) > LIMIT:
        raise refusal(path, "", f"it is longer than {LIMIT // 1024} KiB", "write less; is it the right file?")
    return content


def _refuse_foreign(path: Path, info: os.stat_result) -> None:
    """Whoever may write the settings says what the daemon runs."""
    trouble = private_files.distrust(path, info, written_by_hand=True)
    if trouble is not None:
        raise refusal(path, "", *trouble)


def _decoded(path: Path, content: bytes) -> str:
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        # A byte order mark is what Windows editors begin with.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = "it is UTF-16, not UTF-8" if utf_16 else f"it is not UTF-8 at byte {error.start}"
        line = None if utf_16 else content.count(b"\n", 0, error.start) + 1
        raise refusal(path, "", problem, "save it as UTF-8", line=line) from error
    if "\0" in text:
        line = _line_at(text, text.index("\0"))
        raise refusal(path, "", "it has NUL characters: it is no text, or UTF-16", "save it as UTF-8", line=line)
    return text


def _refuse_what_takes_long(path: Path, text: str) -> None:
    """Refuse a dotted key of many parts. Each piece between two dots is looked at once."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") < PARTS_MAX:
            continue
        parts, in_quotes = 0, False
        for piece in line.split("."):
            parts = parts + 1 if not in_quotes and _PART.fullmatch(piece.strip(" \t")) else 0
            in_quotes ^= bool((piece.count('"') + piece.count("'")) % 2)
            if parts >= PARTS_MAX:
                raise refusal(path, "", f"a key has more than {PARTS_MAX} parts", "write a shorter one", line=number)


def _no_toml(path: Path, text: str, said: str) -> ConfigInvalid:
    place = _PLACE.fullmatch(said)
    what = place[1] if place else said
    if place and place[2]:
        line, where = int(place[2]), f", column {place[3]}"
    else:
        line, where = len(text.rstrip().splitlines()) or 1, ", the last one"
    error = refusal(path, "", f"not valid TOML: {what}", f"mend line {line}{where}", line=line)
    if place and place[3]:
        error.data["column"] = int(place[3])
    return error


def _refuse_long_numbers(path: Path, document: dict[str, Any]) -> None:
    waiting: list[tuple[str, Any]] = [("", document)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += [(f"{key}.{name}".lstrip("."), inner) for name, inner in value.items()]
        elif isinstance(value, list):
            waiting += [(key, inner) for inner in value]
        elif isinstance(value, int) and not -INTEGER_MAX <= value < INTEGER_MAX:
            raise refusal(path, key, "a number of more than 64 bits", "write a smaller one")


def _line_at(text: str, position: int) -> int:
    return text.count("\n", 0, position) + 1


def _line_of_depth(text: str) -> int | None:
    """The line in which brackets are nested more deeply than anybody writes them, texts in quotes not told apart."""
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
        if depth > _NESTED_MAX or line.count("[") + line.count("{") > _NESTED_MAX:
            return number
    return None
