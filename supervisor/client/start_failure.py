"""Reads from the output of a daemon why it could not start."""

import contextlib
import json
import re

from ..errors import DaemonNotRunning, SupervisorError
from ..native.facts import describe_exit
from .client import RemoteError

_EXCEPTION = re.compile(r"(\w+\.)*[A-Z]\w*(Error|Exception|NotFound|Exit)\b")
"""The last line of a traceback: the class of an exception, and its text."""

REASON_CHARACTERS_MAX = 200


def failure(output: str, pid: int, status: int, *, hint: str) -> SupervisorError:
    """Return the error that the child printed, else one made from its exit status.

    The child writes its pid into the line of its error, because other children may print to the same file.
    """
    error = error_in(output, pid)
    if error is not None:
        return error
    last = exception_in(output)
    reason = "" if last is None else f": {last[:REASON_CHARACTERS_MAX]}"
    return DaemonNotRunning(
        f"the daemon could not start ({describe_exit(status)}){reason}",
        hint=hint,
        data={"exit": status, "output": output},
    )


def error_in(output: str, pid: int) -> RemoteError | None:
    """Return the error that this process has printed. Returns None if there is none."""
    for line in reversed(output.splitlines()):
        with contextlib.suppress(ValueError):
            error = json.loads(line)
            if isinstance(error, dict) and error.get("pid") == pid:
                return RemoteError(error)
    return None


def exception_in(output: str) -> str | None:
    """Return the last line of the last traceback. Returns None if there is none."""
    return next((line.strip() for line in reversed(output.splitlines()) if _EXCEPTION.match(line)), None)
