"""Files that a command line names beside its program: without them the program starts, and fails."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

INTERPRETER = re.compile(r"(pythonw?|pypy|node|bun|ruby|perl|php|sh|bash|dash|zsh|pwsh|powershell)[0-9.]*(\.exe)?")
"""Programs whose first argument that is no option is the script that they run."""

CODE_OPTIONS = re.compile(r"-[a-zA-Z]*[cme]|--(eval|print|command|module|require|import)|-p|-r|-[WX]")
"""Options behind which no script stands, or whose value would be taken for one."""


def script(command: Sequence[str]) -> str | None:
    """Return the script that an interpreter is told to run; None if the command line has another form."""
    name = command[0].replace("\\", "/").rpartition("/")[2].lower() if command else ""
    if not INTERPRETER.fullmatch(name):
        return None
    for word in command[1:]:
        if CODE_OPTIONS.fullmatch(word):
            return None
        if not word.startswith("-"):
            return word
    return None


def paths(command: Sequence[str]) -> Iterator[str]:
    """Yield the whole paths among the arguments, also those behind `--option=`."""
    for word in command[1:]:
        path = word.partition("=")[2] if word.startswith("-") else word
        if Path(path).is_absolute():
            yield path


def gone(command: Sequence[str], folder: Path, present: frozenset[str]) -> str | None:
    """Return the script, or a path that was there at the last start, which is not there now. Blocking.

    Args:
        command: the program and its arguments.
        folder: the current folder of the program, to which a script's path may be relative.
        present: the paths among the arguments of the last start that were there.
    """
    wanted = [path for path in paths(command) if path in present]
    run = script(command)
    if run is not None:
        wanted.insert(0, run)
    return next((path for path in wanted if not (folder / path).exists()), None)
