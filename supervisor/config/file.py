"""Reads config.toml within bounds of size and time, and reports the line of a mistake."""

import os
import re
import stat
import tomllib
from pathlib import Path
from typing import Any

from ..errors import ConfigInvalid
from ..native import private_files

LIMIT = 1024 * 1024
"""Bytes. A file with 300 kinds has a tenth of this size."""

PARTS_MAX = 32
"""Parts of a dotted key, because the parser's time grows with their square."""

KEY_SHOWN = 200
"""Characters of a key that an error shows, at most."""

INTEGER_MAX = 2**63
"""TOML integers have 64 bits, but the parser accepts longer ones."""

_PART = re.compile(r"""[\w-]+|"[^"]*"|'[^']*'""", re.ASCII)
_LONG_NUMBER = re.compile(r"[0-9_]{4300,}")
_PLACE = re.compile(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", re.DOTALL)
_NESTED_MAX = 100


def read_document(path: Path) -> dict[str, Any]:
    """Return the content of the file as tables; an empty one if there is no file.

    Raises:
        ConfigInvalid: the file cannot be read, other users could have written it, or it is not valid TOML.
    """
    try:
        content = _read(path)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise refusal(path, "", f"it cannot be read: {error.strerror}", "make it a file that you can read") from error
    text = _decoded(path, content)
    _check_dotted_keys(path, text)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise _syntax_refusal(path, text, str(error)) from error
    except RecursionError as error:
        line = _line_of_depth(text)
        raise refusal(path, "", "brackets are nested too deeply", "nest them less deeply", line=line) from error
    except (ValueError, OverflowError, MemoryError) as error:
        long = _LONG_NUMBER.search(text)
        line = _line_at(text, long.start()) if long else None
        raise refusal(path, "", f"a value is not valid: {error}", "write a shorter one", line=line) from error
    _check_integers(path, document)
    return document


def refusal(path: Path, key: str, problem: str, fix: str, *, line: int | None = None) -> ConfigInvalid:
    """Return the error that names the file, the key, the line, the problem, and how to mend it."""
    shown = key if len(key) <= KEY_SHOWN else f"{key[:KEY_SHOWN]}..."
    data: dict[str, Any] = {"file": str(path), "key": shown}
    where = f"{path}: {shown}" if key else str(path)
    if line is not None:
        data["line"] = line
        where = f"{where}: line {line}"
    return ConfigInvalid(f"{where}: {problem}", hint=fix, data=data)


def _read(path: Path) -> bytes:
    """Return the content. Refuse a file that another user could have written."""
    # With O_NONBLOCK, where the system has it, a FIFO in the file's place does not hang the daemon.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise refusal(path, "", "it is not a regular file", "replace it by a file, or remove it")
        _check_writers(path, info)
        for folder in {path.parent, path.resolve().parent}:
            _check_writers(folder, folder.stat())
        with open(handle, "rb", closefd=False) as file:
            # Read one byte more than allowed, because the file may have grown since its size was read.
            content = file.read(LIMIT + 1)
    finally:
        os.close(handle)
    if len(content) > LIMIT:
        raise refusal(path, "", f"it is longer than {LIMIT // 1024} KiB", "shorten it; is it the right file?")
    return content


def _check_writers(path: Path, info: os.stat_result) -> None:
    """Refuse a file or folder that another user may write: the settings decide which programs the daemon runs."""
    distrust = private_files.why_distrusted(path, info, written_by_hand=True)
    if distrust is not None:
        raise refusal(path, "", distrust.reason, distrust.fix)


def _decoded(path: Path, content: bytes) -> str:
    utf_16 = content.startswith((b"\xff\xfe", b"\xfe\xff"))
    try:
        # Windows editors begin a file with a byte order mark.
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        problem = "it is UTF-16, not UTF-8" if utf_16 else f"it is not UTF-8 at byte {error.start}"
        line = None if utf_16 else content.count(b"\n", 0, error.start) + 1
        raise refusal(path, "", problem, "save it as UTF-8", line=line) from error
    if "\0" in text:
        line = _line_at(text, text.index("\0"))
        raise refusal(path, "", "it has NUL characters, so it is UTF-16 or not text", "save it as UTF-8", line=line)
    return text


def _check_dotted_keys(path: Path, text: str) -> None:
    """Refuse a dotted key of too many parts; see `PARTS_MAX`. Each piece between two dots is examined once."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.count(".") < PARTS_MAX:
            continue
        parts, in_quotes = 0, False
        for piece in line.split("."):
            parts = parts + 1 if not in_quotes and _PART.fullmatch(piece.strip(" \t")) else 0
            in_quotes ^= bool((piece.count('"') + piece.count("'")) % 2)
            if parts >= PARTS_MAX:
                raise refusal(path, "", f"a key has more than {PARTS_MAX} parts", "write a shorter one", line=number)


def _syntax_refusal(path: Path, text: str, message: str) -> ConfigInvalid:
    """Return the error for a `message` of the parser, which ends with the place of the mistake."""
    place = _PLACE.fullmatch(message)
    problem = f"not valid TOML: {place[1] if place else message}"
    if place and place[2]:
        line, column = int(place[2]), int(place[3])
        error = refusal(path, "", problem, f"mend line {line}, column {column}", line=line)
        error.data["column"] = column
        return error
    # The parser has reached the end of the file, so the last line with text is the one to mend.
    line = len(text.rstrip().splitlines()) or 1
    return refusal(path, "", problem, f"mend line {line}, the last one", line=line)


def _check_integers(path: Path, document: dict[str, Any]) -> None:
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
    """Return the first line with more than `_NESTED_MAX` nested brackets. Brackets in quoted texts count, too."""
    depth = 0
    for number, line in enumerate(text.split("\n"), 1):
        depth += line.count("[") + line.count("{") - line.count("]") - line.count("}")
        if depth > _NESTED_MAX or line.count("[") + line.count("{") > _NESTED_MAX:
            return number
    return None
