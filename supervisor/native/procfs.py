"""What Linux's /proc says of a process. Formats: proc_pid_stat(5), proc_pid_cmdline(5), proc_pid_fd(5)."""

import contextlib
import errno
import os
from pathlib import Path

from ..frozen import frozen

PID_MAX = 2**31 - 1
"""The largest that a pid_t can hold."""

COMMAND_LINE_LIMIT = 4096
"""Bytes. A process may have megabytes of arguments, of any user; the kernel itself long showed one page of them."""


@frozen
class Stat:
    """`ticks`: when it was started, in clock ticks since the boot."""

    state: str
    parent: int
    session: int
    threads: int
    ticks: int

    @property
    def ended(self) -> bool:
        """Whether only its exit status is left."""
        # A main thread that has left by pthread_exit shows as Z while the other threads run on.
        return self.state in "ZXx" and self.threads <= 1


def read_stat(pid: int) -> Stat:
    """What the kernel says of a process; the fastest question there is (about 10 us).

    Raises:
        OSError: no such process, or it cannot be read.
    """
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        return parse_stat(os.read(descriptor, 2048))
    finally:
        os.close(descriptor)


def parse_stat(line: bytes) -> Stat:
    """Field 2 is the program's name in parentheses, and may itself contain blanks and parentheses.

    Raises:
        OSError: this is no such line.
    """
    fields = line[line.rfind(b")") + 1 :].split()
    try:
        return Stat(fields[0].decode(), int(fields[1]), int(fields[3]), int(fields[17]), int(fields[19]))
    except (IndexError, ValueError) as error:
        raise OSError(errno.EIO, f"not understood: {line[:80]!r}") from error


def boot_id() -> str:
    """Names this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def pids() -> list[int]:
    """Every process that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 (a third of the time)


def owner(pid: int) -> int:
    """The effective user id.

    Raises:
        OSError: no such process.
    """
    return Path(f"/proc/{pid}").stat().st_uid


def command_line(pid: int) -> tuple[str, ...]:
    """The arguments, as far as they fit into `COMMAND_LINE_LIMIT`; empty where they cannot be read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
        text = file.read(COMMAND_LINE_LIMIT).removesuffix(b"\0")
        return tuple(word.decode(errors="replace") for word in text.split(b"\0")) if text else ()
    return ()


def variable(pid: int, name: str) -> str | None:
    """An environment variable that the process was started with.

    Raises:
        OSError: no such process, or it may not be read.
    """
    wanted = os.fsencode(name) + b"="
    for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if entry.startswith(wanted):
            return entry.removeprefix(wanted).decode(errors="replace")
    return None


def pid_namespace(process: str) -> str:
    """Names the namespace that a process takes its pids from (pid_namespaces(7)). "self" is this very process.

    Raises:
        OSError: no such process, or it may not be read.
    """
    return os.readlink(f"/proc/{process}/ns/pid")  # noqa: PTH115 (as below)


def socket_inodes(pid: int) -> frozenset[int]:
    """The sockets that a process holds open; empty where that may not be read."""
    found = set()
    folder = f"/proc/{pid}/fd"
    with contextlib.suppress(OSError):
        for name in os.listdir(folder):  # noqa: PTH208 (there may be many thousands)
            # A descriptor can be closed between the two calls.
            with contextlib.suppress(OSError):
                target = os.readlink(f"{folder}/{name}")  # noqa: PTH115 (the same)
                if target.startswith("socket:["):
                    found.add(int(target[8:-1]))
    return frozenset(found)
