"""Windows' table of TCP sockets, with the process of each (GetExtendedTcpTable)."""

import ctypes
import socket
import sys
from collections.abc import Collection, Iterator
from ctypes.wintypes import DWORD
from enum import IntEnum

from ...values import frozen
from . import win32

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

NO_IPV6 = (50, 87)
"""ERROR_NOT_SUPPORTED and ERROR_INVALID_PARAMETER: answers of a system without IPv6 to a query about it."""

_FIRST_ROW_AT = 4
"""Bytes: a table begins with its number of rows."""


class TcpState(IntEnum):
    """Windows' numbers (MIB_TCP_STATE, <tcpmib.h>)."""

    LISTEN = 2
    ESTABLISHED = 5


@frozen
class TcpRow:
    """The local end of a TCP socket. `pid`: None if the system reports 0, which means that it does not tell."""

    address: str
    port: int
    pid: int | None


def rows(state: TcpState, ports: Collection[int]) -> list[TcpRow]:
    """Return the sockets in this state on these local ports.

    Raises:
        OSError: the system does not tell.
    """
    found = list(_rows_of_family(state, ports, socket.AF_INET, win32.TcpRow4))
    try:
        found += _rows_of_family(state, ports, socket.AF_INET6, win32.TcpRow6)
    except OSError as error:
        if error.winerror not in NO_IPV6:
            raise
    return found


def _rows_of_family(
    state: TcpState, ports: Collection[int], family: socket.AddressFamily, layout: type[ctypes.Structure]
) -> Iterator[TcpRow]:
    kind = win32.AF_INET if family is socket.AF_INET else win32.AF_INET6
    table = _table(state, kind)
    size = ctypes.sizeof(layout)
    for number in range(DWORD.from_buffer(table).value):
        row = layout.from_buffer(table, _FIRST_ROW_AT + number * size)
        # Network order, in the low half of a DWORD.
        port = socket.ntohs(row.local_port & 0xFFFF)
        if row.state == state and port in ports:
            yield TcpRow(socket.inet_ntop(family, bytes(row.local_address)), port, row.pid or None)


def _table(state: TcpState, family: int) -> "ctypes.Array[ctypes.c_char]":
    listening = state is TcpState.LISTEN
    which = win32.TCP_TABLE_OWNER_PID_LISTENER if listening else win32.TCP_TABLE_OWNER_PID_CONNECTIONS
    size = DWORD(32 * 1024)
    while True:
        table = ctypes.create_string_buffer(size.value)
        error = win32.GetExtendedTcpTable(table, ctypes.byref(size), False, family, which, 0)
        if error == 0:
            return table
        if error != win32.ERROR_INSUFFICIENT_BUFFER:
            raise ctypes.WinError(error)
        # Sockets may be added between two calls.
        size.value += 4096
