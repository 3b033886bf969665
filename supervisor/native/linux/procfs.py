"""Facts about processes from Linux's /proc. Formats: proc_pid_stat(5), proc_pid_cmdline(5), proc_pid_fd(5)."""

import contextlib
import errno
import os
from pathlib import Path

from ...values import frozen

PID_MAX = 2**31 - 1
"""The largest value of a pid_t."""

KERNEL_THREAD = 0x00200000
"""PF_KTHREAD, <linux/sched.h>."""

ENV_START, ENV_END = 47, 48
"""Positions of fields 50 and 51 of proc_pid_stat(5), counted from the state, which is field 3."""

COMMAND_LINE_LIMIT = 4096
"""Bytes. A process of any user may have megabytes of arguments; older kernels showed one page of them."""

SANDBOX_HELPER = b"flatpak-session-helper"
"""The service of a user's session that starts programs for sandboxed ones (org.freedesktop.Flatpak, HostCommand)."""


@frozen
class Stat:
    """One line of /proc/PID/stat.

    `ticks`: its start, in clock ticks since the boot. `terminal`: 0 without a controlling one. `flags` are the kernel's
    own. `environment`: the size of the start environment in bytes; None: not told.
    """

    state: str
    parent: int
    session: int
    threads: int
    ticks: int
    terminal: int = 0
    flags: int = 0
    environment: int | None = None

    @property
    def ended(self) -> bool:
        """Whether only the exit status is left."""
        # A main thread that left by pthread_exit shows as Z while other threads continue.
        return self.state in "ZXx" and self.threads <= 1


def read_stat(pid: int) -> Stat:
    """Return the kernel's line about a process; the fastest query (about 10 us).

    Raises:
        OSError: there is no such process, or the line cannot be read.
    """
    descriptor = os.open(f"/proc/{pid}/stat", os.O_RDONLY)
    try:
        return parse_stat(os.read(descriptor, 2048))
    finally:
        os.close(descriptor)


def parse_stat(line: bytes) -> Stat:
    """Parse such a line. Field 2, the program's name in parentheses, may itself contain blanks and parentheses.

    Raises:
        OSError: the line has another format.
    """
    fields = line[line.rfind(b")") + 1 :].split()
    try:
        return Stat(
            state=fields[0].decode(),
            parent=int(fields[1]),
            session=int(fields[3]),
            threads=int(fields[17]),
            ticks=int(fields[19]),
            terminal=int(fields[4]),
            flags=int(fields[6]),
            environment=_environment_size(fields),
        )
    except (IndexError, ValueError) as error:
        raise OSError(errno.EIO, f"not understood: {line[:80]!r}") from error


def _environment_size(fields: list[bytes]) -> int | None:
    """Read fields 50 and 51 (env_start, env_end): 0 while a program is being replaced, and for a hidden process."""
    if len(fields) <= ENV_END:
        return None
    start, end = int(fields[ENV_START]), int(fields[ENV_END])
    return end - start if 0 < start <= end else None


def boot_id() -> str:
    """Return the id of this boot of the machine."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def pids() -> list[int]:
    """Return the pids of all processes that can be seen."""
    return [int(name) for name in os.listdir("/proc") if name.isdecimal()]  # noqa: PTH208 (a third of the time)


def owner(pid: int) -> int:
    """Return the effective user id.

    Raises:
        OSError: there is no such process.
    """
    return Path(f"/proc/{pid}").stat().st_uid


def command_line(pid: int) -> tuple[str, ...]:
    """Return the arguments, up to `COMMAND_LINE_LIMIT`; empty if they cannot be read."""
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb", buffering=0) as file:  # noqa: PTH123
        text = file.read(COMMAND_LINE_LIMIT).removesuffix(b"\0")
        return tuple(word.decode(errors="replace") for word in text.split(b"\0")) if text else ()
    return ()


def _is_variable(entry: bytes) -> bool:
    """Return whether an entry of an environment may be a variable.

    A program that writes a title over its environment pads it with zeros or spaces, up to the middle of some entry.
    """
    name, sign, _ = entry.partition(b"=")
    return bool(sign) and name == name.strip() and b"  " not in name


def variable(pid: int, name: str) -> str | None:
    """Return an environment variable that the process was started with; None if it was not set.

    The kernel returns nothing, or a part, without an error while a program is being replaced or ends, and where a page
    cannot be read (fs/proc/base.c, environ_read). A program may also overwrite its own environment. None therefore
    requires that the whole environment was read.

    Raises:
        OSError: there is no such process, its environment may not be read, or only a part was read.
    """
    wanted = os.fsencode(name) + b"="
    block = Path(f"/proc/{pid}/environ").read_bytes()
    *entries, rest = block.split(b"\0")
    for entry in entries:
        if entry.startswith(wanted):
            return entry.removeprefix(wanted).decode(errors="replace")
    if rest or len(block) != read_stat(pid).environment or not all(map(_is_variable, entries)):
        raise BlockingIOError(errno.EAGAIN, "its environment cannot be read as a whole", f"/proc/{pid}/environ")
    return None


def thread_group(pid: int) -> int:
    """Return the process that a number belongs to: another pid if the number is a thread's.

    Raises:
        OSError: there is no such process or thread, or its files cannot be read.
    """
    for line in Path(f"/proc/{pid}/status").read_bytes().splitlines():
        if line.startswith(b"Tgid:"):
            return int(line[5:])
    raise OSError(errno.EIO, "it has no Tgid", f"/proc/{pid}/status")


def pid_namespace(process: str) -> str:
    """Return the id of the namespace that a process takes its pids from (pid_namespaces(7)). "self": this process.

    Raises:
        OSError: there is no such process, or it may not be read.
    """
    return os.readlink(f"/proc/{process}/ns/pid")  # noqa: PTH115 (as below)


def socket_inodes(pid: int) -> frozenset[int]:
    """Return the sockets that a process holds open; empty if they may not be read."""
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


def started_for_a_sandbox(pid: int) -> bool:
    """Return whether a sandboxed program, to which pids mean other processes, had this process started outside.

    `flatpak-spawn --host`, toolbox and distrobox use a helper of the user's session for that, and the process stays in
    the helper's control group. A system that does not tell control groups has no such helper.

    Raises:
        OSError: there is no such process.
    """
    try:
        groups = Path(f"/proc/{pid}/cgroup").read_bytes()
    except FileNotFoundError:
        if not Path(f"/proc/{pid}").is_dir():
            raise
        return False
    return SANDBOX_HELPER in groups
