"""From start to end: the daemon's own log, JSON lines in a file with a hard cap. A console shows them readably."""

import contextlib
import json
import logging
import os
import re
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from ..errors import NotOurs
from ..native import private_files, trust

LOG_NAME = "daemon.log"
MAX_BYTES = 5 * 1024 * 1024
BACKUPS = 3

RETRY_FIRST_S, RETRY_LAST_S = 1.0, 60.0
"""Pause before a refused rollover is tried again: the first and the longest."""

_COLOUR_OR_CONTROL = re.compile("(\x1b\\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LogFile:
    """The log file with its backups.

    Lines are appended at once (2 us each), so that a killed daemon loses none. A full disk costs only entries.

    A new file begins after `MAX_BYTES`. If the rollover is refused (Windows renames no file that a process has open),
    the log goes on in the same file, up to the size of all files together, and the rollover is tried again later.
    """

    def __init__(self, folder: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make the folder, for this user only, and open the file.

        Raises:
            NotOurs: another user may write into the folder, which is dangerous because servers run in it, and those in
                Python look there for modules.
            OSError: the file cannot be opened.
        """
        try:
            trust.make_folder(folder)
        except trust.DistrustedError as problem:
            raise NotOurs(f"the folder of logs: {problem}", hint=problem.fix or "move it away") from problem
        folder.chmod(0o700)
        self._path = folder / LOG_NAME
        # The log is renamed to the first of these, daemon.log.0, before it becomes the first backup.
        self._aside, *self._backups = (folder / f"{LOG_NAME}.{number}" for number in range(BACKUPS + 1))
        self._monotonic = monotonic
        self._lost = 0
        self._lost_reason = ""
        self._torn = False
        self._refusal: OSError | None = None
        self._pause_s = RETRY_FIRST_S
        self._retry_at = 0.0
        self._descriptor: int | None = None
        self._size = 0
        self._take_back()
        self._open()

    def msg(self, line: str) -> None:
        """Append one line. Never raises: `note` reports lines that could not be written."""
        data = line.encode() + b"\n"
        if self._size + len(data) > MAX_BYTES:
            self._roll_over()
        self._append(data)

    # structlog calls the method that is named like the entry's level.
    debug = info = warning = error = critical = msg

    def note(self) -> str | None:
        """Return a note for users, or None."""
        if self._lost:
            return f"{self._lost} entries of {self._path} were lost: {self._lost_reason}"
        return f"{self._path} cannot begin anew: {self._refusal}" if self._refusal else None

    def reopen(self) -> None:
        """Go on in the file at the path. Make it, with its folder, if there is none."""
        self.close()
        # A folder that cannot be made costs entries, which `note` reports.
        with contextlib.suppress(OSError, trust.DistrustedError):
            trust.make_folder(self._path.parent)

    def close(self) -> None:
        """Close the file. The next entry opens it again."""
        if self._descriptor is not None:
            descriptor, self._descriptor = self._descriptor, None
            os.close(descriptor)

    def _append(self, data: bytes) -> None:
        if self._size + len(data) > MAX_BYTES * (BACKUPS + 1):
            self._lose(self._refusal or OSError("it is full"))
            return
        try:
            self._write(data)
        except OSError as error:
            self._lose(error)

    def _write(self, data: bytes) -> None:
        descriptor = self._open()
        if self._torn:
            # A full disk has taken only a part of the line before.
            data = b"\n" + data
        written = os.write(descriptor, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError("the disk took only a part of it")

    def _lose(self, error: OSError) -> None:
        self._lost += 1
        self._lost_reason = str(error)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._descriptor).st_size
        return self._descriptor

    def _roll_over(self) -> None:
        """Rename daemon.log to daemon.log.1, and so on. The oldest backup is overwritten."""
        if self._refusal is not None and self._monotonic() < self._retry_at:
            return
        # Windows renames no file that a process has open, the daemon included.
        self.close()
        try:
            self._begin_anew()
        except OSError as refusal:
            self._put_off(refusal)
        else:
            self._refusal = None
            self._size = 0

    def _begin_anew(self) -> None:
        """Move the file itself aside first, so that every backup stays in its place if that is refused."""
        if self._aside.exists():
            self._file_away()
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._aside)
        self._file_away()

    def _file_away(self) -> None:
        """Make the file that is aside the first backup. Put it back if a backup cannot be moved."""
        try:
            for newer, older in reversed([*pairwise((self._aside, *self._backups))]):
                with contextlib.suppress(FileNotFoundError):
                    newer.replace(older)
        except OSError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """Make a file that was left aside the log, if there is none: a daemon may have ended during its rollover."""
        with contextlib.suppress(OSError):
            if not self._path.exists():
                self._aside.replace(self._path)

    def _put_off(self, refusal: OSError) -> None:
        """Try again later. A file that a process has open is only a note; any other refusal is logged once as error."""
        is_same = str(self._refusal) == str(refusal)
        self._pause_s = min(2 * self._pause_s, RETRY_LAST_S) if self._refusal else RETRY_FIRST_S
        self._refusal = refusal
        self._retry_at = self._monotonic() + self._pause_s
        self._size = self._path.stat().st_size if self._path.exists() else 0
        if not is_same and not private_files.is_open_elsewhere(refusal):
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            entry = {"event": "log.stuck", "level": "error", "timestamp": at, "reason": str(refusal)}
            self._append(json.dumps(entry).encode() + b"\n")


def open_log(file: LogFile, level: str, *, console: bool) -> FilteringBoundLogger:
    """Return the log, which writes to `file` and with `console` to standard error as well."""
    # Tracebacks go without the frames' variables, because some of them are secrets.
    tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
    processors: list[Processor] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(tracebacks),
        structlog.processors.JSONRenderer(serializer=_json),
    ]
    if console:
        processors.insert(2, _Console())
    logger = structlog.wrap_logger(
        file,
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
    )
    # Bound at once, because an unbound logger makes a new logger for every entry.
    bound: FilteringBoundLogger = logger.bind()
    return bound


_ENCODER = json.JSONEncoder(default=repr)


def _json(entry: EventDict, **_: object) -> str:
    """Return an entry as JSON. `json.dumps` would make an encoder each time, and a restart writes six entries."""
    return _ENCODER.encode(entry)


class _Console:
    """Shows every entry on its way to the file. Its tracebacks have no variables either.

    Names of folders and processes may contain control characters, so only colour sequences reach the terminal.
    """

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        text = str(self._render(logger, method, dict(entry)))
        sys.stderr.write(_COLOUR_OR_CONTROL.sub(lambda found: found[1] or "?", text) + "\n")
        return entry
