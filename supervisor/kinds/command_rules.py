"""What a kind's command has to be, beside a list of words: errors that a start could only fail with."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import quoted
from .kind import PortRange, placeholders
from .table import refuse

COMMAND_SHOWN = 500


def refuse_text(key: str, given: Any) -> None:
    """Refuse a command that is one text, as a shell takes it.

    Raises:
        ConfigInvalid: it is; the hint has it as a list.
    """
    if isinstance(given, str) and given.strip():
        words = ", ".join(f'"{word}"' for word in given.split())
        refuse(key, "not a list of words", f"write command = [{words[:COMMAND_SHOWN]}]")


def refuse_program(key: str, program: str) -> None:
    """Refuse a program that only a shell would find.

    Raises:
        ConfigInvalid: it begins with a variable, or it is a path from a folder that nobody means.
    """
    if program.startswith(("~", "$", "%")):
        refuse(key, f"{quoted(program)} is not expanded, because no shell reads it", "write the whole path")
    # A placeholder stands for an absolute path. A name without a folder is looked for in PATH.
    if {"/", os.sep} & {*program} and not program.startswith("{") and not Path(program).is_absolute():
        refuse(key, f"{quoted(program)} is relative, and servers run in their log folder", "write the whole path")


def refuse_unmentioned_ports(
    key: str, ports: Mapping[str, PortRange], command: tuple[str, ...], env: Mapping[str, str]
) -> None:
    """Refuse a port that is chosen from a range, and handed over nowhere. `key` is the full name of the kind's ports.

    Raises:
        ConfigInvalid: there is one. A single port may be known to the server.
    """
    told = {name for template in (*command, *env.values()) for name in placeholders(template)}
    for name, wanted in ports.items():
        if name not in told and wanted.low != wanted.high:
            problem = f"the server is not told which one: {{{name}}} is neither in command nor in env"
            fix = f'add "--port", "{{{name}}}" to command, or MY_PORT = "{{{name}}}" to env'
            refuse(f"{key}.{name}", problem, fix)
