"""Marks for tests that only root can run, and a way to act as another user in them."""

import os
from collections.abc import Callable

import pytest

from tests.systems import SYSTEM, is_root

IS_ROOT = is_root()

ONLY_ROOT = "linux_only" if SYSTEM == "windows" else "only root can"

NOBODY = 65534


NEEDS_ROOT = (pytest.mark.needs_root, pytest.mark.skipif(not IS_ROOT, reason=ONLY_ROOT))


def as_nobody(ask: Callable[[], str]) -> str:
    """Return the result of a function that an unprivileged user calls, in a fork of this process."""
    receiver, sender = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            os.write(sender, ask().encode())
        except BaseException as error:  # noqa: BLE001 (told to the parent; a fork of pytest must not go on)
            os.write(sender, repr(error).encode())
        finally:
            os._exit(0)
    os.close(sender)
    with os.fdopen(receiver, "rb") as pipe:
        answer = pipe.read().decode()
    os.waitpid(pid, 0)
    return answer
