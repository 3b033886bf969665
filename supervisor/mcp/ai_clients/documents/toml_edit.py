"""Edits one table of a TOML document in place: comments, order, layout and everything else stay as they are."""

import copy
import json
import re
from collections.abc import Iterator
from typing import Any

from .text_edit import DocumentError, Edited, Path, Surroundings, line_end, without_mark
from .toml_statements import Statement, lines_of, parse, parsed_statement, statements_of

_OPENING = re.compile(r"[^=]*=[ \t]*\{")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


def read(text: str, path: Path) -> tuple[Any, int] | None:
    """Return the value at a path, and the number of its line. Returns None if there is none.

    Raises:
        DocumentError: the text is not valid, or something on the way is no table.
    """
    _, text = without_mark(text)
    found: Any = parse(text)
    for depth, key in enumerate(path):
        if not isinstance(found, dict):
            raise DocumentError(f"{'.'.join(path[:depth])} is no table", line_of(text, path[:depth]))
        if key not in found:
            return None
        found = found[key]
    return found, line_of(text, path)


def line_of(text: str, path: Path) -> int:
    """Return the number of the first line that defines something at or below a path; 1 if there is none."""
    _, text = without_mark(text)
    wanted = tuple(path)
    statements = statements_of(lines_of(text))
    return next((each.first + 1 for each in statements if each.path[: len(wanted)] == wanted), 1)


def set_table(text: str, path: Path, value: dict[str, Any]) -> Edited:
    """Return the document with this table at a path: a new one at its end, or the existing one with these values.

    An existing table keeps the keys that `value` does not have.

    Raises:
        DocumentError: the text is not valid, or it cannot be edited without changing something else.
    """
    mark, text = without_mark(text)
    document = parse(text)
    existing = read(text, path)
    if existing is None:
        edited = _insert(text, path, value, document)
    elif not isinstance(existing[0], dict):
        raise DocumentError(f"{'.'.join(path)} is no table", existing[1])
    else:
        edited = Edited(_update(text, path, value, existing[0]))
    _check(document, edited.text, path, value)
    return edited._replace(text=mark + edited.text)


def delete(text: str, path: Path, surroundings: Surroundings | None = None) -> str:
    """Return the document without the table at a path. `surroundings`: what was inserted around it, if known.

    Raises:
        DocumentError: the text is not valid, has no such table, or cannot be edited without changing something else.
    """
    mark, text = without_mark(text)
    document = parse(text)
    existing = read(text, path)
    if existing is None:
        raise DocumentError("there is no such entry")
    edited = _cut_inline(text, path, existing[0], surroundings)
    if edited is None:
        edited = _cut(text, path, surroundings)
    _check_deleted(document, edited, path)
    return mark + edited


# --- inserting ---


def _insert(text: str, path: Path, value: dict[str, Any], document: dict[str, Any]) -> Edited:
    end = line_end(text)
    inline = _inline_table(text, path[:-1])
    if inline is not None:
        parent = document
        for key in path[:-1]:
            parent = parent[key]
        shown = f" {_key(path[-1])} = {_inline(value)}{',' if parent else ' '}"
        return Edited(text[:inline] + shown + text[inline:], Surroundings(before=shown))
    table = end.join([f"[{'.'.join(_key(key) for key in path)}]", *_pairs(value), ""])
    before = "" if not text or text.endswith((end + end,)) else end if text.endswith("\n") else end + end
    return Edited(text + before + table, Surroundings(before))


def _inline_table(text: str, path: Path) -> int | None:
    """Return the position behind the brace of an inline table. Returns None if this table is no inline one."""
    lines = lines_of(text)
    for statement in statements_of(lines):
        if not statement.is_header and statement.path == tuple(path):
            opening = _OPENING.match(lines[statement.first])
            return None if opening is None else sum(map(len, lines[: statement.first])) + opening.end()
    return None


def _pairs(value: dict[str, Any]) -> Iterator[str]:
    for key, each in value.items():
        yield f"{_key(key)} = {_shown(each)}"


def _key(key: str) -> str:
    return key if _BARE_KEY.fullmatch(key) else _text(key)


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, dict):
        return _inline(value)
    if isinstance(value, list):
        return f"[{', '.join(_shown(each) for each in value)}]"
    # A number or a date, which a user has added.
    return str(value)


def _inline(value: dict[str, Any]) -> str:
    return f"{{ {', '.join(_pairs(value))} }}"


def _text(value: str) -> str:
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


# --- updating ---


def _update(text: str, path: Path, value: dict[str, Any], existing: dict[str, Any]) -> str:
    """Return the document with the values of an existing table replaced, and missing ones behind its header."""
    lines = lines_of(text)
    end = line_end(text)
    statements = list(statements_of(lines))
    header = next((each for each in statements if each.path == tuple(path)), None)
    if header is not None and not header.is_header:
        _replace_value(lines, header, {**existing, **value}, end)
        return "".join(lines)
    for key, new in value.items():
        if existing.get(key) == new:
            continue
        if isinstance(new, dict) and any(each.is_header and each.path == (*path, key) for each in statements):
            return _update(_update_table(text, (*path, key), new, existing[key]), path, value, {**existing, key: new})
        at = next((each for each in statements if each.path == (*path, key) and not each.is_header), None)
        if at is not None:
            _replace_value(lines, at, new, end)
        elif header is not None and key not in existing:
            added = f"{_key(key)} = {_shown(new)}{end}"
            lines[header.first] = lines[header.first].rstrip("\r\n") + end + added
        else:
            raise DocumentError("it is written in a way that cannot be edited in place", line_of(text, path))
    return "".join(lines)


def _update_table(text: str, path: Path, value: dict[str, Any], existing: dict[str, Any]) -> str:
    """Return the document with these values, and no others, in a table that has a header."""
    for key in [key for key in existing if key not in value]:
        text = _cut(text, (*path, key), None)
    return _update(text, path, value, {key: each for key, each in existing.items() if key in value})


def _replace_value(lines: list[str], statement: Statement, value: Any, end: str) -> None:
    """Give the statement another value, on the first of its lines."""
    lines[statement.first] = _with_value("".join(lines[statement.first : statement.last]), value, end)
    lines[statement.first + 1 : statement.last] = [""] * (statement.last - statement.first - 1)


def _with_value(statement: str, value: Any, end: str) -> str:
    """Return a statement with another value. Its key, its indentation and the comment behind it stay."""
    body = statement.rstrip("\r\n")
    key = statement.split("=", 1)[0].rstrip()
    written = parsed_statement(body)
    comments = [
        place for place, letter in enumerate(body) if letter == "#" and parsed_statement(body[:place]) == written
    ]
    comment = f" {body[comments[0] :]}" if comments else ""
    return f"{key} = {_shown(value)}{comment}{end}"


# --- removing ---


def _cut(text: str, path: Path, around: Surroundings | None) -> str:
    """Return the document without the statements of a table and of the tables below it."""
    lines = lines_of(text)
    mine = [each for each in statements_of(lines) if each.path[: len(path)] == tuple(path)]
    if not mine:
        raise DocumentError("it is written in a way that cannot be edited in place", line_of(text, path))
    for number, statement in enumerate(mine):
        for line in range(statement.first, statement.last):
            lines[line] = ""
        following = mine[number + 1].first if number + 1 < len(mine) else None
        if following is not None and not any(line.strip() for line in lines[statement.last : following]):
            for line in range(statement.last, following):
                lines[line] = ""
    head = "".join(lines[: mine[0].first])
    tail = "".join(lines[mine[0].first :])
    if around is not None and head.endswith(around.before):
        return head.removesuffix(around.before) + tail
    end = line_end(text)
    if mine[0].is_header and head.endswith(end + end) and (not tail or not tail.split("\n", 1)[0].strip()):
        head = head.removesuffix(end)
    return head + tail


def _cut_inline(text: str, path: Path, value: Any, around: Surroundings | None) -> str | None:
    """Return the document without the entry of an inline table. Returns None if it is not as it was inserted."""
    shown = [around.before] if around is not None and around.before.strip() else []
    shown += [f" {_key(path[-1])} = {_inline(value)}{end}" for end in (",", " ")] if isinstance(value, dict) else []
    place = _inline_table(text, path[:-1])
    for each in shown:
        if place is not None and text.startswith(each, place):
            return text[:place] + text[place + len(each) :]
    return None


# --- checking ---


def _check(document: dict[str, Any], edited: str, path: Path, value: dict[str, Any]) -> None:
    """Check that an edit has set the values, and changed nothing else."""
    expected = copy.deepcopy(document)
    table = expected
    for key in path:
        table = table.setdefault(key, {})
    table.update(value)
    if not _same(parsed_statement(edited), expected):
        raise DocumentError("it cannot be edited without changing something else")


def _check_deleted(document: dict[str, Any], edited: str, path: Path) -> None:
    """Check that a removal has removed the table, and nothing else. Tables above it go with their last table."""
    expected = copy.deepcopy(document)
    _remove(expected, path)
    found = parsed_statement(edited)
    if not _same(found, expected) and not _same(found, _without_empty(expected, path[:-1])):
        raise DocumentError("it cannot be edited without changing something else")


def _remove(document: dict[str, Any], path: Path) -> None:
    for key in path[:-1]:
        document = document[key]
    del document[path[-1]]


def _without_empty(document: dict[str, Any], path: Path) -> dict[str, Any]:
    """Return a document without the tables of a path that are empty, the inner ones first."""
    found = copy.deepcopy(document)
    for depth in range(len(path), 0, -1):
        inner: Any = found
        for key in path[:depth]:
            inner = inner[key]
        if inner == {}:
            _remove(found, path[:depth])
    return found


def _same(one: Any, other: Any) -> bool:
    """Return whether two documents have the same values. Texts are compared, because NaN equals no value."""
    return repr(_sorted(one)) == repr(_sorted(other))


def _sorted(value: Any) -> Any:
    """Return a value with the keys of its tables in order."""
    if isinstance(value, dict):
        return {key: _sorted(value[key]) for key in sorted(value)}
    return [_sorted(each) for each in value] if isinstance(value, list) else value
