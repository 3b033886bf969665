"""Checks of a kind's command: mistakes that would let every start fail are refused when the recipe is read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import quoted
from .kind import PortRange, placeholders
from .table import refuse

COMMAND_SHOWN = 500
"""Characters of a command that an error shows, at most."""


def check_is_list(key: str, given: Any) -> None:
    """Refuse a command that is one text for a shell.

    Raises:
        ConfigInvalid: the command is a text. The hint shows it as a list.
    """
    if isinstance(given, str) and given.strip():
        words = ", ".join(f'"{word}"' for word in given.split())
        refuse(key, "not a list of words", f"write command = [{words[:COMMAND_SHOWN]}]")


def check_program(key: str, program: str) -> None:
    """Refuse a program that only a shell would find.

    Raises:
        ConfigInvalid: the program is a command line in one word, begins with a variable, or is a relative path.
    """
    words = program.split()
    if len(words) > 1 and not Path(words[0]).is_absolute():
        shown = ", ".join(f'"{word}"' for word in words)
        refuse(
            key, f"{quoted(program)} is one word, blanks included", f"write command = [{shown[:COMMAND_SHOWN]}, ...]"
        )
    if program.startswith(("~", "$", "%")):
        refuse(key, f"{quoted(program)} is not expanded, because no shell reads it", "write the whole path")
    # A placeholder stands for an absolute path. A name without a folder is searched in PATH.
    if {"/", os.sep} & {*program} and not program.startswith("{") and not Path(program).is_absolute():
        refuse(key, f"{quoted(program)} is relative, and servers run in their log folder", "write the whole path")


def check_ports_are_passed(
    key: str, ports: Mapping[str, PortRange], command: tuple[str, ...], env: Mapping[str, str]
) -> None:
    """Refuse a port that is chosen from a range, but not passed to the server. `key` is the full name of `ports`.

    Raises:
        ConfigInvalid: a port is passed nowhere. A single port is allowed, because the server may know it.
    """
    passed = {name for template in (*command, *env.values()) for name in placeholders(template)}
    for name, wanted in ports.items():
        if name not in passed and wanted.low != wanted.high:
            problem = f"the server does not get the chosen one: {{{name}}} is neither in command nor in env"
            fix = f'add "--port", "{{{name}}}" to command, or MY_PORT = "{{{name}}}" to env'
            refuse(f"{key}.{name}", problem, fix)
