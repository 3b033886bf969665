"""Checks whether a command could be started: its program, a script's interpreter, its folder, its log."""

import errno
import os
import shutil
from pathlib import Path

from ..api import ChildCommand
from ..facts import SYSTEM

HEAD_BYTES = 256
"""The number of bytes that Linux reads of a file to tell how to run it (BINPRM_BUF_SIZE)."""


def rehearse(command: ChildCommand) -> None:
    """Check a command; see `ProcessControl.rehearse`."""
    program = command.argv[0]
    try:
        _try_folder(command.cwd)
        _try_log(command.log)
        problem = _problem_on_windows(command) if SYSTEM == "windows" else _problem_on_posix(command)
    except OSError as error:
        raise OSError(error.errno, f"cannot start {program!r}: {error.strerror}", error.filename) from error
    if problem is not None:
        number, beside = problem
        raise OSError(number, f"cannot start {program!r}: {os.strerror(number)}{f': {beside}' if beside else ''}")


def _try_folder(folder: Path) -> None:
    if not folder.is_dir():
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT), str(folder))
    if not os.access(folder, os.X_OK):
        raise OSError(errno.EACCES, os.strerror(errno.EACCES), str(folder))


def _try_log(log: Path) -> None:
    """Try to make the log. The log of a launch is new, so a file that is made here is removed again."""
    descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    os.close(descriptor)
    if log.stat().st_size == 0:
        log.unlink()


def _problem_on_posix(command: ChildCommand) -> tuple[int, str] | None:
    """Return the errno with which the start would fail, and a text about it; None if none can be predicted.

    Like `Popen`, search the program in the child's PATH, relative to the child's folder.
    """
    program = command.argv[0]
    folders = [""] if _has_folder(program) else os.get_exec_path(dict(command.environment))
    worst = errno.ENOENT
    for folder in folders:
        path = command.cwd / folder / program
        number = _errno_of(path)
        if number == 0:
            return _interpreter_problem(path)
        if number != errno.ENOENT:
            worst = number
    return worst, ""


def _errno_of(path: Path) -> int:
    """Return the errno that running this file would meet; 0 if none can be predicted."""
    try:
        path.stat()
    except OSError as error:
        return errno.ENOENT if error.errno in (errno.ENOENT, errno.ENOTDIR) else error.errno or errno.EIO
    return 0 if path.is_file() and os.access(path, os.X_OK) else errno.EACCES


def _interpreter_problem(path: Path) -> tuple[int, str] | None:
    """Return what keeps a script's interpreter, named in its first line, from running it (execve(2))."""
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError:
        # The file may be executable but not readable.
        return None
    if not head.startswith(b"#!"):
        return (errno.ENOEXEC, "") if _is_text(head) else None
    line = head[2:].partition(b"\n")[0].strip(b" \t")
    interpreter = os.fsdecode(line.split(b" ")[0].split(b"\t")[0])
    number = _errno_of(Path(interpreter)) if Path(interpreter).is_absolute() else 0
    return (number, f"its interpreter {interpreter!r}") if number else None


def _is_text(head: bytes) -> bool:
    return head.isascii() and all(letter.isprintable() or letter in "\t\n\r" for letter in head.decode("ascii"))


def _problem_on_windows(command: ChildCommand) -> tuple[int, str] | None:
    """Return the same on Windows, where only a missing program is predicted: it searches more places than are known."""
    program = command.argv[0]
    if _has_folder(program):
        there = any(Path(f"{program}{ending}").is_file() for ending in ("", ".exe"))
        return None if there else (errno.ENOENT, "")
    return None if shutil.which(program) else (errno.ENOENT, "")


def _has_folder(program: str) -> bool:
    return os.path.split(program)[0] != ""
