"""Explains why a program could not be run, because the system's own error often does not name what is missing."""

import errno
import os
import re
import shutil
from pathlib import Path

from ...core.symptoms import Diagnosis
from ...native.api import ChildCommand

FIRST_LINE = 256
"""Bytes. Linux reads no more of a script's first line."""

CHECK = "check the kind's command"

INTERPRETER_PROBLEM = "its interpreter "
"""How the text of a problem with the interpreter of a script begins."""


def explain_spawn_error(error: OSError, command: ChildCommand) -> Diagnosis:
    """Return what is wrong with the program of a command that the system refused, and advice."""
    program = command.argv[0]
    refused = _message_of(error)
    cause = _find_cause(error, program, command)
    if cause is not None and cause.problem.startswith(INTERPRETER_PROBLEM):
        # The error of a rehearsal already names the interpreter. Do not name it twice.
        refused = refused.partition(f": {INTERPRETER_PROBLEM}")[0]
    return Diagnosis(f"{refused}: {cause.problem}", cause.advice) if cause else Diagnosis(refused, CHECK)


def _find_cause(error: OSError, program: str, command: ChildCommand) -> Diagnosis | None:
    """Return the cause and advice, None if the system's own message has to suffice."""
    file = _file_of(program, command)
    if file is None:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
        return _explain_missing(program, command) if missing else None
    if file.is_dir():
        return Diagnosis("it is a folder", f"{CHECK}: name the program in it")
    if error.errno == errno.EACCES:
        return _explain_not_executable(file)
    return _explain_not_runnable(error, program, _first_line(file))


def _explain_missing(program: str, command: ChildCommand) -> Diagnosis | None:
    words = program.split()
    if len(words) > 1 and _file_of(words[0], command) is not None:
        shown = ", ".join(f'"{word}"' for word in (*words, *command.argv[1:]))
        return Diagnosis("the command is one word that contains spaces", f"write command = [{shown}]")
    path = command.environment.get("PATH", "")
    problems = {
        "~ is not expanded": program.startswith("~"),
        "variables are not expanded": "$" in program or re.search(r"%\w+%", program) is not None,
        f"no such program in the daemon's PATH ({path})": os.path.dirname(program) == "",  # noqa: PTH120 (as written)
        f"the path is relative to {command.cwd}, where servers run": not Path(program).is_absolute(),
    }
    problem = next((text for text, holds in problems.items() if holds), None)
    return Diagnosis(problem, "write the whole path") if problem else None


def _explain_not_runnable(error: OSError, program: str, first: bytes) -> Diagnosis | None:
    script = first.startswith(b"#!")
    if error.errno == errno.ENOEXEC and not script:
        return Diagnosis(
            "it is not a program of this system, and not a script with a #! line",
            f'name its interpreter first: command = ["sh", "{program}"]',
        )
    return _explain_interpreter(first) if error.errno == errno.ENOENT and script else None


def _explain_not_executable(file: Path) -> Diagnosis | None:
    if os.access(file, os.X_OK):
        return None
    return Diagnosis("it is not executable", f"chmod +x {file}, or name its interpreter first")


def _explain_interpreter(first: bytes) -> Diagnosis:
    line = first[2:].split(b"\n", 1)[0]
    if line.endswith(b"\r"):
        return Diagnosis(
            "its first line ends with a carriage return (CRLF), which becomes part of the interpreter's name",
            "save the script with the line ends of this system (LF)",
        )
    interpreter = os.fsdecode(line).strip().split(" ", 1)[0]
    shown = "".join(letter if letter.isprintable() else "?" for letter in interpreter)
    return Diagnosis(
        f"{INTERPRETER_PROBLEM}{shown} does not exist", "mend the script's first line, or install the interpreter"
    )


def _file_of(program: str, command: ChildCommand) -> Path | None:
    """Return the file that the command runs, None if there is none."""
    if os.path.dirname(program) == "":  # noqa: PTH120 (as written)
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


def _message_of(error: OSError) -> str:
    """Return the system's message without its number."""
    beside = f": {error.filename}" if error.filename else ""
    return f"{error.strerror}{beside}" if error.strerror else str(error)
