"""Finds files that a command line names beside its program. Without them the program starts, and fails. Blocks."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

INTERPRETER = re.compile(r"(pythonw?|pypy|node|bun|ruby|perl|php|sh|bash|dash|zsh|pwsh|powershell)[0-9.]*(\.exe)?")
"""Names of programs that run their first argument as a script, if the argument is an absolute path."""


def script_of(command: Sequence[str]) -> str | None:
    """Return the script of an interpreter, None if the command line has another form.

    Only an absolute path directly after the interpreter counts. Behind an option stands the option's value. A name may
    be a subcommand (`bun run`), or be searched in PATH (`sh NAME`).
    """
    if len(command) > 1 and INTERPRETER.fullmatch(command[0].replace("\\", "/").rpartition("/")[2].lower()):
        return command[1] if Path(command[1]).is_absolute() else None
    return None


def existing_files(command: Sequence[str]) -> frozenset[str]:
    """Return the files that exist now and that the arguments name by absolute paths.

    Sockets and the like do not count, because programs make and remove these themselves. A path that cannot be looked
    at does not count either: an argument may be a text that only looks like a path.
    """
    return frozenset(path for path in _paths(command) if os.path.isfile(path))  # noqa: PTH113 (never raises)


def find_missing_file(command: Sequence[str], before: frozenset[str]) -> str | None:
    """Return a file that is missing now, None if there is none: the script, or a file that existed at the last start.

    Args:
        command: the program and its arguments.
        before: what `existing_files` returned at the last start.
    """
    wanted = [path for path in _paths(command) if path in before]
    script = script_of(command)
    if script is not None:
        wanted.insert(0, script)
    return next((path for path in wanted if not os.path.exists(path)), None)  # noqa: PTH110 (never raises)


def _paths(command: Sequence[str]) -> Iterator[str]:
    """Yield the absolute paths among the arguments, also those behind `--option=`."""
    for word in command[1:]:
        path = word.partition("=")[2] if word.startswith("-") else word
        if Path(path).is_absolute():
            yield path
