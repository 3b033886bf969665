"""A block of ports for this process alone: two runs of the tests on one machine never meet."""

import socket
import sys
from functools import cache

# Below those that systems hand out by themselves. Windows under Wine shares the ports of the Linux that it runs on.
FIRST, LAST = (12000, 20000) if sys.platform == "win32" else (20000, 32000)
SIZE = 200


@cache
def block() -> range:
    """Ports that no other run of these tests uses while this process lives. Strangers may."""
    for first in range(FIRST, LAST, SIZE):
        claim = socket.socket()
        if sys.platform == "win32":
            claim.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        try:
            # The last port of a block is nobody's: whoever listens there has the block, until its process ends.
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
    """The range of this number within the block, as a configuration has it."""
    low = block()[number * length]
    return f"{low}-{low + length - 1}"


def rest() -> range:
    """The part of the block that `reach` leaves to others."""
    return block()[SIZE // 4 :]
