"""Why a program could not be run, in words: the system names the program for most of what may be missing."""

import errno
import os
import re
import shutil
from pathlib import Path

from ...core.symptoms import Told
from ...native.api import Command

FIRST_LINE = 256
"""Bytes. Linux reads no more of a script's first line."""

CHECK = "check the kind's command"


def explained(error: OSError, command: Command) -> Told:
    """What is wrong with the program of a command that was refused, and what helps."""
    program = command.argv[0]
    refused = _refused(error)
    why = _why(error, program, command)
    return Told(f"{refused}: {why.problem}", why.advice) if why else Told(refused, CHECK)


def _why(error: OSError, program: str, command: Command) -> Told | None:
    """None: the system's own words say it all."""
    file = _file_of(program, command)
    if file is None:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return _not_there(program, command) if missing else None
    if file.is_dir():
        return Told("it is a folder", f"{CHECK}: name the program in it")
    if error.errno == errno.EACCES:
        return _not_allowed(file)
    return _not_run(error, program, _first_line(file))


def _not_there(program: str, command: Command) -> Told | None:
    words = program.split()
    if len(words) > 1 and _file_of(words[0], command) is not None:
        shown = ", ".join(f'"{word}"' for word in (*words, *command.argv[1:]))
        return Told("it is one word, blanks included", f"write command = [{shown}]")
    path = command.environment.get("PATH", "")
    problems = {
        "~ is not expanded": program.startswith("~"),
        "variables are not expanded": "$" in program or re.search(r"%\w+%", program) is not None,
        f"no such program in the daemon's PATH ({path})": os.path.dirname(program) == "",  # noqa: PTH120 (as written)
        f"relative to {command.cwd}, where servers run": not Path(program).is_absolute(),
    }
    problem = next((text for text, holds in problems.items() if holds), None)
    return Told(problem, "write the whole path") if problem else None


def _not_run(error: OSError, program: str, first: bytes) -> Told | None:
    script = first.startswith(b"#!")
    if error.errno == errno.ENOEXEC and not script:
        return Told(
            "it is no program of this system, and no script with a #! line",
            f'name its interpreter first: command = ["sh", "{program}"]',
        )
    return _no_interpreter(first) if error.errno == errno.ENOENT and script else None


def _not_allowed(file: Path) -> Told | None:
    if os.access(file, os.X_OK):
        return None
    return Told("it is not executable", f"chmod +x {file}, or name its interpreter first")


def _no_interpreter(first: bytes) -> Told:
    line = first[2:].split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        return Told(
            "its first line ends with a carriage return (CRLF), which counts as a part of its interpreter's name",
            "save the script with the line ends of this system (LF)",
        )
    interpreter = os.fsdecode(line).strip().split(" ", 1)[0]
    shown = "".join(letter if letter.isprintable() else "?" for letter in interpreter)
    return Told(f"its interpreter {shown} is not there", "mend the script's first line, or install the interpreter")


def _file_of(program: str, command: Command) -> Path | None:
    """The file that is run; None: there is none."""
    if os.path.dirname(program) == "":  # noqa: PTH120 (the same)
        found = shutil.which(program, path=command.environment.get("PATH"))
        return Path(found) if found else None
    file = command.cwd / program
    return file if file.exists() else None


def _first_line(file: Path) -> bytes:
    try:
        with file.open("rb") as opened:
            return opened.read(FIRST_LINE)
    except OSError:
        return b""


def _refused(error: OSError) -> str:
    """The system's words without its number."""
    beside = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{beside}" if error.strerror else str(error)
