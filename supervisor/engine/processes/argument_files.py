"""Files that a command line names beside its program: without them the program starts, and fails. Blocking."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

INTERPRETER = re.compile(r"(pythonw?|pypy|node|bun|ruby|perl|php|sh|bash|dash|zsh|pwsh|powershell)[0-9.]*(\.exe)?")
"""Programs that run their first argument as a script, if the argument is a whole path."""


def script_of(command: Sequence[str]) -> str | None:
    """Return the script of an interpreter, None if the command line has another form.

    Only a whole path directly after the interpreter counts. Behind an option stands the option's value, and a name may
    be a subcommand (`bun run`), or be searched in PATH (`sh NAME`).
    """
    if len(command) > 1 and INTERPRETER.fullmatch(command[0].replace("\\", "/").rpartition("/")[2].lower()):
        return command[1] if Path(command[1]).is_absolute() else None
    return None


def existing_files(command: Sequence[str]) -> frozenset[str]:
    """Return the files that are named by whole paths among the arguments, and are there now.

    Sockets and the like do not count, because programs make and remove these themselves. A path that cannot be looked
    at does not count either: an argument may be a text that only looks like a path.
    """
    return frozenset(path for path in _paths(command) if os.path.isfile(path))  # noqa: PTH113 (never raises)


def find_missing_file(command: Sequence[str], before: frozenset[str]) -> str | None:
    """Return the script, or a file that was there at the last start, which is not there now.

    Args:
        command: the program and its arguments.
        before: `existing_files` of the last start.
    """
    wanted = [path for path in _paths(command) if path in before]
    run = script_of(command)
    if run is not None:
        wanted.insert(0, run)
    return next((path for path in wanted if not os.path.exists(path)), None)  # noqa: PTH110 (never raises)


def _paths(command: Sequence[str]) -> Iterator[str]:
    """Yield the whole paths among the arguments, also those behind `--option=`."""
    for word in command[1:]:
        path = word.partition("=")[2] if word.startswith("-") else word
        if Path(path).is_absolute():
            yield path
