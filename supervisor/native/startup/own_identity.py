"""This process as it names itself to the daemon. Loads little, because programs that an AI client waits for use it."""

import contextlib
import os
import sys

if sys.platform == "linux":

    def own_start_token() -> str | None:
        """Return the start token of this process, as `native.linux.probe` has it. Returns None if it cannot be read.

        In a pid namespace of its own, such as Flatpak's, this process has a pid that is another process's outside.
        """
        with contextlib.suppress(OSError, IndexError, UnicodeError):
            stat = _read("/proc/self/stat")
            ticks = stat[stat.rfind(b")") + 1 :].split()[19].decode("ascii")
            return f"{_read('/proc/sys/kernel/random/boot_id').decode('ascii').strip()}:{ticks}"
        return None

    def _read(path: str) -> bytes:
        descriptor = os.open(path, os.O_RDONLY)
        try:
            return os.read(descriptor, 4096)
        finally:
            os.close(descriptor)

else:

    def own_start_token() -> str | None:
        """Return None, because only Linux has pid namespaces."""
        return None


def own_process() -> dict[str, object]:
    """Return the fields `pid` and `start_token` of a claim for this process. The token is left out if unknown."""
    token = own_start_token()
    return {"pid": os.getpid()} | ({} if token is None else {"start_token": token})
