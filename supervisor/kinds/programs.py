"""Whether a command line is of a kind: by the program that it runs, never by a word somewhere in it."""

import re
from collections.abc import Sequence

from ..core.model import Ports
from .kind import Kind

# Programs that run other programs: what counts is what they are told to run.
INTERPRETERS = re.compile(r"(python|pypy)[0-9.]*w?|node|uv|uvx|npx|sh|bash|dash|zsh|cmd")

# Options of Python's that take their value from the next word.
TAKE_A_VALUE = ("-X", "-W")


def is_of(kind: Kind, command: Sequence[str]) -> bool:
    """Whether this is a command line of the kind."""
    program = program_of(command)
    return program is not None and _plain(program) in programs_of(kind)


def programs_of(kind: Kind) -> frozenset[str]:
    """The names that a server of this kind runs under: those of its recipe, its command and its package."""
    own = program_of([word for word in kind.command if not word.startswith("{") or word == "{python}"])
    names = [*kind.programs, *([own] if own else []), *([kind.package] if kind.package else [])]
    return frozenset(_plain(name) for name in names)


def program_of(command: Sequence[str]) -> str | None:
    """What a command line really runs: a program, a script or a Python module; None: it cannot be told."""
    words = list(command)
    if not words:
        return None
    first = words.pop(0)
    if first != "{python}" and not INTERPRETERS.fullmatch(_plain(first)):
        return _base(first)
    while words:
        word = words.pop(0)
        if word == "-m":
            return words[0] if words else None
        if word == "-c":
            return None
        if word in TAKE_A_VALUE:
            words = words[1:]
        elif not word.startswith("-"):
            return _base(word)
    return None


def _base(path: str) -> str:
    return path.replace("\\", "/").rstrip("/").rpartition("/")[2]


def _plain(name: str) -> str:
    """One spelling for what is the same program on every system: godot_ai, godot-ai, Godot-AI.exe."""
    name = _base(name).lower()
    for ending in (".exe", ".cmd", ".py"):
        name = name.removesuffix(ending)
    return re.sub(r"[-_.]+", "-", name) if not INTERPRETERS.fullmatch(name) else name


def is_bridge(kind: Kind, command: Sequence[str], ports: Ports, *, preferred: bool) -> bool:
    """Whether this is a command line of the kind's bridge, to a server on these ports.

    It is known by the words that it has and a server has not. `preferred`: they are the ports that a bridge takes which
    is told none.
    """
    marks = [word for word in kind.connect if "{" not in word and not word.startswith("-") and word not in kind.command]
    if not marks or not is_of(kind, command) or not all(mark in command for mark in marks):
        return False
    numbers = {part for word in command for part in word.split("=") if part.isdecimal()}
    return preferred if not numbers else not numbers.isdisjoint(str(port) for port in ports.values())
