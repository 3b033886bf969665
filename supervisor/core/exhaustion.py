"""Recognises errors of a system that has no more to give: processes, memory, descriptors. Pure."""

import errno

NO_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of open(2) where the process, or the system, has no descriptor left."""

EXHAUSTED = NO_DESCRIPTORS | {errno.EAGAIN, errno.ENOMEM, errno.ENOBUFS}
"""Errors of fork(2), pipe(2) and open(2) where the system, or a limit of the user, has no more to give."""

WINDOWS_EXHAUSTED = frozenset({4, 8, 14, 1450, 1455, 1816})
"""The same of Windows: ERROR_TOO_MANY_OPEN_FILES, ERROR_NOT_ENOUGH_MEMORY, ERROR_OUTOFMEMORY,
ERROR_NO_SYSTEM_RESOURCES, ERROR_COMMITMENT_LIMIT, ERROR_NOT_ENOUGH_QUOTA."""

MAKE_ROOM = (
    "end some processes, or raise the limits of processes, memory or open files (ulimit, TasksMax), then ask again"
)


def is_exhaustion(error: OSError) -> bool:
    """Return whether an error says that the system has no process, memory or descriptor left.

    The machine is at fault then, not the program: the same act may succeed later.
    """
    return error.errno in EXHAUSTED or getattr(error, "winerror", None) in WINDOWS_EXHAUSTED
