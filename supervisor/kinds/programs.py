"""Recognises command lines of a kind, by the program that runs and never by a word somewhere in the line."""

import re
from collections.abc import Sequence

from ..core.model import Ports
from .kind import Kind

INTERPRETERS = re.compile(r"(python|pypy)[0-9.]*w?|node|uv|uvx|npx|sh|bash|dash|zsh|cmd")
"""Programs that run other programs. The program that counts is in their arguments."""

TAKE_A_VALUE = ("-X", "-W")
"""Options of Python that take their value from the next word.

For such an option of another program (`uvx --from`) the value counts as the program, so the command line is of no kind.
"""


def is_command_of(kind: Kind, command: Sequence[str]) -> bool:
    """Return whether this is a command line of the kind."""
    program = program_in(command)
    return program is not None and _plain(program) in program_names(kind)


def program_names(kind: Kind) -> frozenset[str]:
    """Return the program names of a kind's servers: those of its recipe, its command and its package."""
    # Other placeholders have no value here, and only `{python}` stands for a program.
    own = program_in([word for word in kind.command if not word.startswith("{") or word == "{python}"])
    names = [*kind.programs, *([own] if own else []), *([kind.package] if kind.package else [])]
    return frozenset(_plain(name) for name in names)


def program_in(command: Sequence[str]) -> str | None:
    """Return the program, script or Python module that a command line runs, without its folder; None if unknown."""
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
    """Return one spelling for names of the same program: godot_ai, godot-ai, Godot-AI.exe."""
    name = _base(name).lower()
    for ending in (".exe", ".cmd", ".py"):
        name = name.removesuffix(ending)
    return re.sub(r"[-_.]+", "-", name) if not INTERPRETERS.fullmatch(name) else name


def is_bridge_command(kind: Kind, command: Sequence[str], ports: Ports, *, preferred: bool) -> bool:
    """Return whether this is a command line of the kind's bridge to a server on these ports.

    A bridge is recognised by words of `connect` that a server's command does not have. `preferred`: these are the ports
    that a bridge without ports on its command line uses.
    """
    marks = [word for word in kind.connect if "{" not in word and not word.startswith("-") and word not in kind.command]
    if not marks or not is_command_of(kind, command) or not all(mark in command for mark in marks):
        return False
    numbers = {part for word in command for part in word.split("=") if part.isdecimal()}
    return preferred if not numbers else not numbers.isdisjoint(str(port) for port in ports.values())
