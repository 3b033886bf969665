"""Linux's table of TCP sockets: from netlink, or from /proc/net if a sandbox refuses netlink.

Each read of /proc/net/tcp walks the whole hash table of connections: 7 ms on an idle machine with 16 GB, where netlink
takes 0.06 ms for the listeners. Formats: sock_diag(7), netlink(7), and the kernel's proc_net_tcp.rst.
"""

import errno
import os
import socket
import struct
import sys
from collections.abc import Collection, Iterator
from contextlib import suppress
from enum import IntEnum
from pathlib import Path

from ...values import frozen

assert sys.platform == "linux"  # noqa: S101 (tells type checkers where this runs)

NETLINK_SOCK_DIAG = 4
SOCK_DIAG_BY_FAMILY = 20
NLM_F_REQUEST_DUMP = 0x301
NLMSG_ERROR = 2
NLMSG_DONE = 3
REPLY_MAX = 64 * 1024

HEADER = struct.Struct("=IHHII")
"""struct nlmsghdr: length, type, flags, sequence, pid."""

REQUEST = struct.Struct("=BBBBI48x")
"""struct inet_diag_req_v2: family, protocol, extensions, padding, states (a bit for each), socket id (any)."""

REPLY = struct.Struct("!4xH2x16s16x12x")
"""The beginning of struct inet_diag_msg: local port and address, in network order."""

REPLY_TAIL = struct.Struct("=12xII")
"""The rest of it: uid and inode, in the machine's order."""

V4_LENGTH = 4
V4_MAPPED = bytes(10) + b"\xff\xff"


class TcpState(IntEnum):
    """The kernel's numbers (include/net/tcp_states.h)."""

    ESTABLISHED = 1
    LISTEN = 10


@frozen
class TcpRow:
    """The local end of a TCP socket. An IPv4 address mapped into IPv6 is shown as the IPv4 address."""

    address: str
    port: int
    uid: int
    inode: int


def rows(state: TcpState, ports: Collection[int]) -> list[TcpRow]:
    """Return the sockets in this state on these local ports.

    Raises:
        OSError: neither source answers.
    """
    try:
        return netlink_rows(state, ports)
    except OSError:
        return proc_rows(state, ports)


def netlink_rows(state: TcpState, ports: Collection[int]) -> list[TcpRow]:
    """Return the same rows from netlink. Raises OSError if the kernel refuses."""
    found = []
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_SOCK_DIAG) as kernel:
        for family, length in ((socket.AF_INET, 4), (socket.AF_INET6, 16)):
            request = REQUEST.pack(family, socket.IPPROTO_TCP, 0, 0, 1 << state)
            kernel.send(
                HEADER.pack(HEADER.size + len(request), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST_DUMP, 0, 0) + request
            )
            for message in _answers(kernel):
                port, address = REPLY.unpack_from(message)
                if port in ports:
                    uid, inode = REPLY_TAIL.unpack_from(message, REPLY.size)
                    found.append(TcpRow(_text(address[:length]), port, uid, inode))
    return found


def _answers(kernel: socket.socket) -> Iterator[bytes]:
    while True:
        datagram = kernel.recv(REPLY_MAX)
        while datagram:
            length, kind, *_ = HEADER.unpack_from(datagram)
            message = datagram[HEADER.size : length]
            if kind in (NLMSG_ERROR, NLMSG_DONE):
                _raise_error(message)
                return
            yield message
            datagram = datagram[(length + 3) & ~3 :]


def _raise_error(message: bytes) -> None:
    """Raise the error of a last message. Both kinds begin with 0, or with the error as a negative number."""
    number = -int.from_bytes(message[:4], sys.byteorder, signed=True)
    if number > 0:
        raise OSError(number, os.strerror(number))


def proc_rows(state: TcpState, ports: Collection[int]) -> list[TcpRow]:
    """Return the same rows from /proc/net. Raises OSError if it cannot be read."""
    found = list(parse(Path("/proc/net/tcp").read_text(encoding="ascii"), state, ports))
    # Absent where IPv6 was switched off at boot.
    with suppress(FileNotFoundError):
        found += parse(Path("/proc/net/tcp6").read_text(encoding="ascii"), state, ports)
    return found


def parse(table: str, state: TcpState, ports: Collection[int]) -> Iterator[TcpRow]:
    """Return the rows of /proc/net/tcp or tcp6 in this state on these local ports.

    Raises:
        OSError: the text is no such table.
    """
    for line in table.splitlines()[1:]:
        fields = line.split()
        try:
            address, _, port = fields[1].partition(":")
            if int(fields[3], 16) == state and int(port, 16) in ports:
                # The address consists of words of 32 bits, each in the byte order of the machine.
                words = (int(address[at : at + 8], 16) for at in range(0, len(address), 8))
                raw = b"".join(struct.pack("=I", word) for word in words)
                yield TcpRow(_text(raw), int(port, 16), int(fields[7]), int(fields[9]))
        except (IndexError, ValueError) as error:
            raise OSError(errno.EIO, f"not understood: {line[:80]!r}") from error


def _text(raw: bytes) -> str:
    raw = raw.removeprefix(V4_MAPPED)
    return socket.inet_ntop(socket.AF_INET if len(raw) == V4_LENGTH else socket.AF_INET6, raw)
