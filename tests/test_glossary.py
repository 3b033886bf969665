"""Holds the glossary of docs/architecture.md against the names in the code, and in the tests."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / "docs" / "architecture.md"


@cache
def glossary() -> dict[str, tuple[str, ...]]:
    """Term -> the names in the code that stand for it."""
    table = PAGE.read_text(encoding="utf-8").partition("## Glossary")[2]
    rows = re.findall(r"^\| \*\*(.+?)\*\*[^|]*\|[^|]+\|(.*)\|$", table, re.MULTILINE)
    return {term: tuple(re.findall(r"`(\w+)`", names)) for term, names in rows}


@cache
def retired() -> frozenset[str]:
    """Words that the house has stopped using."""
    listed = re.search(r"^Retired terms.*?: ([a-z, \n]+)\.", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert listed is not None
    return frozenset(re.split(r",\s+", listed.group(1)))


def names_in(source: str) -> Iterator[str]:
    """Every name that a module defines or binds: classes, functions, parameters, variables, attributes."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name
        elif isinstance(node, ast.arg):
            yield node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.attr


def words_of(name: str) -> frozenset[str]:
    """`HomeLock` and `home_lock` are home and lock."""
    return frozenset(word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name))


@cache
def names(folder: str = "supervisor") -> dict[str, str]:
    """Return every name in a folder, and a module that has it. Names of modules and rooms are names too."""
    found: dict[str, str] = {}
    for path in (REPOSITORY / folder).rglob("*.py"):
        where = path.relative_to(REPOSITORY).as_posix()
        for name in [*path.relative_to(REPOSITORY).with_suffix("").parts, *names_in(path.read_text(encoding="utf-8"))]:
            found[name] = where
    return found


def of_retired_words(found: dict[str, str]) -> list[str]:
    return sorted(f"{where}: {name}" for name, where in found.items() if words_of(name) & retired())


def test_the_glossary_has_terms() -> None:
    assert {"editor", "owner", "server", "kind", "lease", "orphan", "operation", "foreign server"} <= glossary().keys()


def test_every_name_in_the_glossary_exists() -> None:
    listed = {name: term for term, listed in glossary().items() for name in listed}
    assert {name: term for name, term in listed.items() if name not in names()} == {}


@pytest.mark.parametrize("folder", ["supervisor", "tests"])
def test_no_name_uses_a_retired_term(folder: str) -> None:
    assert of_retired_words(names(folder)) == []


def test_a_retired_term_is_noticed() -> None:
    source = "class OpenDoor:\n    def __init__(self, wing):\n        self.ticket_id = wing\n"
    assert of_retired_words(dict.fromkeys(names_in(source), "x.py")) == [
        "x.py: OpenDoor",
        "x.py: ticket_id",
        "x.py: wing",
    ]


def test_public_classes_are_explained_by_their_terms() -> None:
    """A term that classes in three rooms or more are named by has a line in the glossary, or is an ordinary word."""
    rooms: dict[str, set[str]] = {}
    for path in (REPOSITORY / "supervisor").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for word in words_of(node.name):
                    rooms.setdefault(word, set()).add(path.parent.as_posix())
    explained = {word for term in glossary() for word in re.split(r"\W+", term.lower())}
    explained |= {f"{word}s" for word in explained} | {word.removesuffix("s") for word in explained}
    shared = {word for word, where in rooms.items() if len(where) >= 3}
    assert sorted(shared - explained - ORDINARY) == []


ORDINARY = frozenset(
    {
        *("call", "check", "connection", "control", "error", "file", "log", "manager", "port", "process", "progress"),
        *(
            "ensure",
            "failed",
            "failure",
            "line",
            "list",
            "listener",
            "outcome",
            "peer",
            "range",
            "read",
            "reader",
            "report",
            "result",
            "row",
            "running",
        ),
        *("source", "state", "stop", "store", "system", "table", "unusable", "version", "watch", "watcher"),
        *("darwin", "ended", "linux", "not", "ready", "refused", "stream", "windows"),
    }
)
"""Words that mean here what they mean everywhere."""
