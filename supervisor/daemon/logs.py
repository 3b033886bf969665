"""The daemon's own log: JSON lines in a file with a hard cap, and with `console` a readable rendering of them."""

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
"""When a rollover that the system refused is tried again: at first, and at most."""

_COLOUR_OR_CONTROL = re.compile("(\x1b\\[[0-9;]*m)|[\x00-\x08\x0b-\x1f\x7f-\x9f]")


class LogFile:
    """Appends lines at once (2 us each), so that a daemon that is killed loses none; a full disk costs entries only.

    It begins anew after `MAX_BYTES`. Where that is refused (Windows renames no file that somebody has open) it
    goes on in the same file, up to what all of them may have together, and tries again later.
    """

    def __init__(self, folder: Path, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Make the folder, ours alone, and open the file.

        Raises:
            NotOurs: somebody else may write into the folder. Servers run in it, and Python's look there for modules.
            OSError: it cannot be opened.
        """
        try:
            trust.make_folder(folder)
        except trust.DistrustedError as problem:
            raise NotOurs(f"the folder of logs: {problem}", hint=problem.fix or "move it away") from problem
        folder.chmod(0o700)
        self._path = folder / LOG_NAME
        self._aside, *self._backups = (folder / f"{LOG_NAME}.{number}" for number in range(BACKUPS + 1))
        self._monotonic = monotonic
        self._lost = 0
        self._lost_to = ""
        self._torn = False
        self._refusal: OSError | None = None
        self._pause_s = RETRY_FIRST_S
        self._not_before = 0.0
        self._descriptor: int | None = None
        self._size = 0
        self._take_back()
        self._open()

    def msg(self, line: str) -> None:
        """Append one line. Never raises: what could not be written is told by `note`."""
        data = line.encode() + b"\n"
        if self._size + len(data) > MAX_BYTES:
            self._roll_over()
        self._append(data)

    # structlog calls the method that is named like the entry's level.
    debug = info = warning = error = critical = msg

    def note(self) -> str | None:
        """What a user should know."""
        if self._lost:
            return f"{self._lost} entries of {self._path} were lost: {self._lost_to}"
        return f"{self._path} cannot begin anew: {self._refusal}" if self._refusal else None

    def reopen(self) -> None:
        """Go on in the file that lies at the path, which is made, with its folder, where there is none."""
        self.close()
        # What cannot be made costs entries, and `note` tells of them.
        with contextlib.suppress(OSError, trust.DistrustedError):
            trust.make_folder(self._path.parent)

    def close(self) -> None:
        """Write no more. The next entry opens it again."""
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
            # A full disk took half of a line.
            data = b"\n" + data
        written = os.write(descriptor, data)
        self._size += written
        self._torn = written < len(data)
        if self._torn:
            raise OSError("the disk took half of it")

    def _lose(self, error: OSError) -> None:
        self._lost += 1
        self._lost_to = str(error)

    def _open(self) -> int:
        if self._descriptor is None:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(self._path, flags, 0o600)
            self._size = os.fstat(self._descriptor).st_size
        return self._descriptor

    def _roll_over(self) -> None:
        """daemon.log becomes daemon.log.1, and so on; the oldest goes."""
        if self._refusal is not None and self._monotonic() < self._not_before:
            return
        # Windows renames no file that anybody has open, us included.
        self.close()
        try:
            self._begin_anew()
        except OSError as refusal:
            self._put_off(refusal)
        else:
            self._refusal = None
            self._size = 0

    def _begin_anew(self) -> None:
        """The file itself is moved first, aside: where that is refused, every backup is where it was."""
        if self._aside.exists():
            self._file_away()
        with contextlib.suppress(FileNotFoundError):
            self._path.replace(self._aside)
        self._file_away()

    def _file_away(self) -> None:
        """What is aside becomes the first backup; where one of them may not be moved, it is put back."""
        try:
            for newer, older in reversed([*pairwise((self._aside, *self._backups))]):
                with contextlib.suppress(FileNotFoundError):
                    newer.replace(older)
        except OSError:
            self._take_back()
            raise

    def _take_back(self) -> None:
        """What was left aside, by us or by a daemon that was ended in between, is the log, if there is no other."""
        with contextlib.suppress(OSError):
            if not self._path.exists():
                self._aside.replace(self._path)

    def _put_off(self, refusal: OSError) -> None:
        """Try again later. That somebody has it open is nothing but shown; anything else is an error, told once."""
        known = str(self._refusal) == str(refusal)
        self._pause_s = min(2 * self._pause_s, RETRY_LAST_S) if self._refusal else RETRY_FIRST_S
        self._refusal = refusal
        self._not_before = self._monotonic() + self._pause_s
        self._size = self._path.stat().st_size if self._path.exists() else 0
        if not known and not private_files.in_use(refusal):
            at = datetime.now(UTC).isoformat().replace("+00:00", "Z")
            entry = {"event": "log.stuck", "level": "error", "timestamp": at, "reason": str(refusal)}
            self._append(json.dumps(entry).encode() + b"\n")


def open_log(file: LogFile, level: str, *, console: bool) -> FilteringBoundLogger:
    """The log, written to `file`; with `console`, to standard error as well."""
    # Without the frames' variables: some of them are secrets.
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
    # Bound at once: unbound, every entry would make a logger of its own.
    bound: FilteringBoundLogger = logger.bind()
    return bound


_ENCODER = json.JSONEncoder(default=repr)


def _json(entry: EventDict, **_: object) -> str:
    """An entry as JSON. `json.dumps` would make an encoder for each; a server that is started again waits for six."""
    return _ENCODER.encode(entry)


class _Console:
    """Shows every entry on its way to the file. Its tracebacks have no variables either.

    Names of folders and processes are other people's bytes: of what moves a terminal only colours get through.
    """

    def __init__(self) -> None:
        self._render = structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )

    def __call__(self, logger: WrappedLogger, method: str, entry: EventDict) -> EventDict:
        text = str(self._render(logger, method, dict(entry)))
        sys.stderr.write(_COLOUR_OR_CONTROL.sub(lambda found: found[1] or "?", text) + "\n")
        return entry
