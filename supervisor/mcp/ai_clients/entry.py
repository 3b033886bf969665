"""An entry for a server in the file of an AI client, and how an entry of ours is recognised."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Any

from ...values import frozen

PROGRAM = "godot-supervisor"
DEFAULT_NAME = "godot"

_OURS = re.compile(rf"(?:.*[/\\])?{PROGRAM}(?:\.exe|\.cmd)?", re.IGNORECASE | re.DOTALL)
_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_NOT_IN_A_NAME = re.compile(r"[^A-Za-z0-9_-]")


@frozen
class Entry:
    """How a client starts the MCP bridge: a command line, and variables that the bridge needs.

    `chosen`: the user has chosen the program.
    """

    command: tuple[str, ...]
    variables: Mapping[str, str]
    chosen: bool = False


@frozen
class ExistingEntry:
    """An entry that a client's file has, as far as it could be understood.

    `command` is the whole command line, empty for a server that is reached by `url`. `disabled`: the client does not
    use the entry.
    """

    name: str
    command: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)
    url: str | None = None
    disabled: bool = False

    @property
    def arguments(self) -> tuple[str, ...] | None:
        """Return the words after `mcp` on the command line. Returns None if the entry does not start the MCP bridge."""
        for place, word in enumerate(self.command[:-1]):
            if self.command[place + 1] == "mcp" and (names_program(word) or self._runs_module(place)):
                return self.command[place + 2 :]
        return None

    @property
    def is_ours(self) -> bool:
        """Return whether the entry starts the MCP bridge."""
        return self.arguments is not None

    @property
    def program(self) -> str:
        """Return the first word of the command line. Returns "" for an entry with a URL."""
        return self.command[0] if self.command else ""

    def _runs_module(self, place: int) -> bool:
        return place > 0 and self.command[place - 1] == "-m" and self.command[place] == "supervisor"


def entry_name(kind: str | None, name: str | None) -> str:
    """Return the name of an entry: the given one, else that of its kind, else `godot`, for the kind of the project."""
    return name or _NOT_IN_A_NAME.sub("-", kind or DEFAULT_NAME)


def names_program(word: str) -> bool:
    """Return whether a word of a command line is this program, by its name."""
    return _OURS.fullmatch(word) is not None


def is_name(name: str) -> bool:
    """Return whether a new entry may have this name: some clients refuse the tools of others."""
    return _NAME.fullmatch(name) is not None


def bridge_entry(
    launcher: Sequence[str], kind: str | None, variables: Mapping[str, str], *, chosen: bool = False
) -> Entry:
    """Return the entry that starts the MCP bridge for a kind, or for the kind of the project."""
    return Entry((*launcher, "mcp", *([] if kind is None else [kind])), variables, chosen)


def texts(value: Any) -> tuple[str, ...]:
    """Return the texts in a list of a file. Anything else is no command line, and becomes an empty one."""
    if isinstance(value, list) and all(isinstance(each, str) for each in value):
        return tuple(value)
    return ()


def variables_in(value: Any) -> dict[str, str]:
    """Return the variables in a table of a file."""
    return {key: each for key, each in value.items() if isinstance(each, str)} if isinstance(value, dict) else {}
