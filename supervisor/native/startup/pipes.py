"""Lets a pipe hold more, so that a large message passes with fewer turns of its two programs."""

import sys

if sys.platform == "linux":
    import contextlib
    import fcntl

    WIDE = 1024 * 1024
    """Bytes. What a user may ask for by default (`/proc/sys/fs/pipe-max-size`); a new pipe holds 64 KiB."""

    def widen(descriptor: int) -> None:
        """Let a pipe hold 1 MiB, if it holds less. Memory is used only while the pipe has data.

        Does nothing to other files.
        """
        with contextlib.suppress(OSError):
            if fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < WIDE:
                fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, WIDE)

else:

    def widen(_: int) -> None:
        """Do nothing, because this system does not let programs choose."""
