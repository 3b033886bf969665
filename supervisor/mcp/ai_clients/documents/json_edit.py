"""Edits one value of a JSON document in place: comments, order, layout and everything else stay as they are."""

import json
from typing import Any

from .json_tree import WHITESPACE, Dialect, JsonTree, Member, Pairs, plain_value, tree_of
from .text_edit import DocumentError, Edited, Path, Surroundings, line_end, line_number, without_mark

DEFAULT_INDENT = "  "


def read(text: str, path: Path, dialect: Dialect) -> tuple[Any, int] | None:
    """Return the value at a path, and the number of its line. Returns None if there is none.

    Raises:
        DocumentError: the text is not valid, or something on the way is no object.
    """
    _, text = without_mark(text)
    if not text.strip(WHITESPACE):
        return None
    tree = tree_of(text, dialect)
    found = tree.find(path)
    if len(found) < len(path):
        return None
    value = plain_value(tree.value)
    for key in path:
        value = value[key]
    return value, line_number(text, found[-1].start if found else tree.root)


def line_of(text: str, path: Path, dialect: Dialect) -> int:
    """Return the number of the line of the member at a path, or of the nearest one above it."""
    _, text = without_mark(text)
    tree = tree_of(text, dialect)
    found = tree.find(path)
    return line_number(text, found[-1].start if found else tree.root)


def set_value(text: str, path: Path, value: Any, dialect: Dialect) -> Edited:
    """Return the document with this value at a path. Tables on the way are made if they are missing.

    Raises:
        DocumentError: the text is not valid, or something on the way is no object.
    """
    mark, text = without_mark(text)
    if not text.strip(WHITESPACE):
        return _new_document(mark, text, path, value)
    tree = tree_of(text, dialect)
    found = tree.find(path)
    if len(found) == len(path):
        member = found[-1]
        shown = _rendered(value, tree, _line_indent(text, member.start), multiline=_is_multiline(text, member))
        edited = Edited(text[: member.value_start] + shown + text[member.value_end :])
    else:
        edited = _insert(tree, found[-1].value_start if found else tree.root, path[len(found) :], value)
    _check(tree, edited.text, path, value, dialect)
    return edited._replace(text=mark + edited.text)


def delete(text: str, path: Path, dialect: Dialect, surroundings: Surroundings | None = None) -> str:
    """Return the document without the member at a path. `surroundings`: what was inserted around it, if known.

    Raises:
        DocumentError: the text is not valid, or has no such member.
    """
    mark, text = without_mark(text)
    tree = tree_of(text, dialect)
    found = tree.find(path)
    if len(found) < len(path):
        raise DocumentError("there is no such entry")
    if surroundings is not None:
        exact = _cut_exactly(text, found[-1], surroundings)
        if exact is not None:
            _check_deleted(tree, exact, path, surroundings.tables_made, dialect)
            return mark + exact
    depth = len(path)
    made = 0 if surroundings is None else surroundings.tables_made
    while depth > 1 and made > 0 and len(tree.members(found[depth - 2].value_start)) == 1:
        depth, made = depth - 1, made - 1
    opening = found[depth - 2].value_start if depth > 1 else tree.root
    edited = _cut(tree, opening, found[depth - 1])
    _check_deleted(tree, edited, path, len(path) - depth, dialect)
    return mark + edited


# --- inserting ---


def _new_document(mark: str, text: str, path: Path, value: Any) -> Edited:
    """Return a document with nothing but this value, before the blank text that was there."""
    nested = value
    for key in reversed(path):
        nested = {key: nested}
    end = line_end(text)
    whole = json.dumps(nested, indent=DEFAULT_INDENT, ensure_ascii=False).replace("\n", end) + ("" if text else end)
    member = JsonTree(whole, Dialect()).find(path)[-1]
    around = Surroundings(whole[: member.start], whole[member.value_end :], len(path))
    return Edited(mark + whole + text, around)


def _insert(tree: JsonTree, opening: int, missing: Path, value: Any) -> Edited:
    """Return the document with a new member at the end of an object. `missing` are its keys, tables first."""
    text = tree.text
    if not tree.is_object(opening):
        raise DocumentError("it is no object", line_number(text, opening))
    nested = value
    for key in reversed(missing[1:]):
        nested = {key: nested}
    members, closing = tree.members(opening), tree.closing(opening)
    indent = _member_indent(tree, opening, members)
    multiline = not members or "\n" in text[opening:closing]
    before = line_end(text) + indent if multiline else " "
    shown = f"{json.dumps(missing[0], ensure_ascii=False)}: {_rendered(nested, tree, indent, multiline=multiline)}"
    if not members:
        place = _end_of_content(text, opening + 1, closing)
        after = "" if "\n" in text[place:closing] else line_end(text) + _line_indent(text, opening)
        inner = JsonTree(f"{{{shown}}}", Dialect()).find(missing)[-1]
        around = Surroundings(before + shown[: inner.start - 1], shown[inner.value_end - 1 :] + after, len(missing) - 1)
        return Edited(text[:place] + before + shown + after + text[place:], around)
    around = Surroundings(tables_made=len(missing) - 1)
    last = members[-1]
    if last.comma is not None:
        place = _end_of_content(text, last.comma + 1, closing)
        return Edited(f"{text[:place]}{before}{shown},{text[place:]}", around)
    place = _end_of_content(text, last.value_end, closing)
    return Edited(f"{text[: last.value_end]},{text[last.value_end : place]}{before}{shown}{text[place:]}", around)


def _member_indent(tree: JsonTree, opening: int, members: list[Member]) -> str:
    """Return the indentation of the members of an object."""
    text = tree.text
    for member in reversed(members):
        start = text.rfind("\n", 0, member.start) + 1
        if not text[start : member.start].strip(WHITESPACE) and start > opening:
            return text[start : member.start]
    return _line_indent(text, opening) + _indent_unit(tree)


def _indent_unit(tree: JsonTree) -> str:
    """Return the indentation of one level: that of the first member of the document, if it has a line of its own."""
    text = tree.text
    for member in tree.members(tree.root)[:1]:
        start = text.rfind("\n", 0, member.start) + 1
        found = text[start : member.start]
        if found and start > tree.root and not found.strip(" \t"):
            return found
    return DEFAULT_INDENT


def _line_indent(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    line = text[start:position]
    return line[: len(line) - len(line.lstrip(" \t"))]


def _is_multiline(text: str, member: Member) -> bool:
    return "\n" in text[member.value_start : member.value_end]


def _end_of_content(text: str, start: int, closing: int) -> int:
    """Return the position after the last comment between `start` and a closing brace; `start` if there is none."""
    return start + len(text[start:closing].rstrip(WHITESPACE))


def _rendered(value: Any, tree: JsonTree, indent: str, *, multiline: bool) -> str:
    """Return a value as JSON, in the layout of the document."""
    if not multiline:
        return json.dumps(value, ensure_ascii=False)
    shown = json.dumps(value, indent=_indent_unit(tree), ensure_ascii=False)
    return shown.replace("\n", line_end(tree.text) + indent)


# --- removing ---


def _cut_exactly(text: str, member: Member, around: Surroundings) -> str | None:
    """Return the document without a member and what was inserted around it.

    Returns None if the document has changed there since, or nothing is known of the surroundings.
    """
    start, end = member.start - len(around.before), member.value_end + len(around.after)
    known = bool(around.before) and start >= 0
    if not known or text[start : member.start] != around.before or text[member.value_end : end] != around.after:
        return None
    return text[:start] + text[end:]


def _cut(tree: JsonTree, opening: int, member: Member) -> str:
    """Return the document without a member, and without the comma and the line that belong to it."""
    text = tree.text
    members, closing = tree.members(opening), tree.closing(opening)
    number = members.index(member)
    is_last = number == len(members) - 1
    end = member.value_end if member.comma is None else member.comma + 1
    before = len(text[: member.start].rstrip(WHITESPACE))
    line = text[end:].split("\n", 1)[0]
    ends_line = not line.strip(WHITESPACE) and end + len(line) < len(text)
    if not is_last and not (ends_line and "\n" in text[before : member.start]):
        return text[: member.start] + text[end:].lstrip(" \t")
    if not ends_line and tree.is_line_comment_before(before):
        # The rest of the member's line must not become a part of the comment.
        before = member.start
    elif not ends_line and is_last and number == 0 and before == opening + 1 and member.comma is None:
        end = closing if not text[end:closing].strip(WHITESPACE) else end
    previous = members[number - 1].comma if number else None
    if is_last and member.comma is None and previous is not None:
        return text[:previous] + text[previous + 1 : before] + text[end:]
    return text[:before] + text[end:]


# --- checking ---


def _check(tree: JsonTree, edited: str, path: Path, value: Any, dialect: Dialect) -> None:
    """Check that an edit has set the value, and changed nothing else."""
    expected = json.loads(json.dumps(value), object_pairs_hook=Pairs)
    found = tree_of(edited, dialect).value
    if _with(tree.value, path, expected) != found:
        raise DocumentError("it cannot be edited without changing something else")


def _check_deleted(tree: JsonTree, edited: str, path: Path, tables: int, dialect: Dialect) -> None:
    """Check that a removal has removed the member, and the tables that were made for it, and nothing else."""
    if not edited.strip(WHITESPACE):
        if tables == len(path) and _without(tree.value, path, tables - 1) == Pairs():
            return
    elif _without(tree.value, path, tables) == tree_of(edited, dialect).value:
        return
    raise DocumentError("it cannot be edited without changing something else")


def _with(value: Any, path: Path, new: Any) -> Any:
    """Return an object with a value at a path; the last one of duplicates is replaced."""
    if not path:
        return new
    pairs = Pairs(value if isinstance(value, Pairs) else [])
    places = [number for number, (key, _) in enumerate(pairs) if key == path[0]]
    if places:
        pairs[places[-1]] = (path[0], _with(pairs[places[-1]][1], path[1:], new))
    else:
        pairs.append((path[0], _with(Pairs(), path[1:], new)))
    return pairs


def _without(value: Any, path: Path, tables: int) -> Any:
    """Return an object without the member at a path, and without so many tables above it."""
    pairs = Pairs(value)
    place = max(number for number, (key, _) in enumerate(pairs) if key == path[0])
    if len(path) - 1 <= tables:
        del pairs[place]
    else:
        pairs[place] = (path[0], _without(pairs[place][1], path[1:], tables))
    return pairs
