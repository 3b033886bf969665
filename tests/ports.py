"""A block of ports for this process alone, so that two runs of the tests on one machine never collide."""

import socket
import sys
from functools import cache

# Below the ports that systems assign themselves. Windows under Wine shares the ports of its Linux.
FIRST, LAST = (12000, 20000) if sys.platform == "win32" else (20000, 32000)
SIZE = 200


@cache
def block() -> range:
    """Return ports that no other run of these tests uses while this process lives; other programs may."""
    for first in range(FIRST, LAST, SIZE):
        claim = socket.socket()
        if sys.platform == "win32":
            claim.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        try:
            # The last port of a block is for the process that has reserved it, which listens there until it ends.
            claim.bind(("127.0.0.1", first + SIZE - 1))
            claim.listen()
        except OSError:
            claim.close()
            continue
        # Kept for as long as this process lives.
        _claims.append(claim)
        return range(first, first + SIZE - 1)
    raise RuntimeError("every block of ports is taken by another run of these tests")


_claims: list[socket.socket] = []


def reach(number: int, length: int = 6) -> str:
    """Return the range of this number within the block, in the notation of a configuration."""
    low = block()[number * length]
    return f"{low}-{low + length - 1}"


def rest() -> range:
    """Return the part of the block that `reach` does not use."""
    return block()[SIZE // 4 :]
