"""The part of D-Bus that is needed to call one method: dbus.freedesktop.org/doc/dbus-specification.html."""

import asyncio
import os
import struct
import sys
from collections.abc import Callable, Iterable
from typing import Self

assert sys.platform == "linux"  # noqa: S101 (tells type checkers whose file this is)

# Message types, and fields of their headers.
_CALL, _RETURN, _ERROR = 1, 2, 3
_PATH, _INTERFACE, _MEMBER, _ERROR_NAME, _REPLY_SERIAL, _DESTINATION, _SIGNATURE = 1, 2, 3, 4, 5, 6, 8

_ORDER = ord({"little": "l", "big": "B"}[sys.byteorder])
_FIXED = struct.Struct("=BBBBIII")


class DBusError(OSError):
    """The bus, or the service behind it, answered with an error; `name` is the name of that error."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


class Writer:
    """Appends values to `data`, in the format of a message. The types of D-Bus are one letter each."""

    def __init__(self) -> None:
        self.data = bytearray()

    def align(self, size: int) -> Self:
        """Pad the data with zeros to a multiple of `size` bytes."""
        self.data.extend(bytes(-len(self.data) % size))
        return self

    def number(self, value: int) -> Self:
        """Append an unsigned number of 32 bits (`u`)."""
        self.align(4).data.extend(struct.pack("=I", value))
        return self

    def text(self, value: str) -> Self:
        """Append a text (`s`) or an object path (`o`)."""
        encoded = value.encode()
        self.number(len(encoded)).data.extend(encoded + b"\0")
        return self

    def signature(self, value: str) -> Self:
        """Append a signature (`g`)."""
        self.data.extend(bytes([len(value)]) + value.encode() + b"\0")
        return self

    def array(self, alignment: int, fill: Callable[["Writer"], object]) -> Self:
        """Append an array (`a`) of the values that `fill` appends. `alignment` is that of one value, in bytes."""
        self.number(0)
        length_at = len(self.data) - 4
        start = len(self.align(alignment).data)
        fill(self)
        struct.pack_into("=I", self.data, length_at, len(self.data) - start)
        return self


def encode_call(serial: int, destination: str, path: str, method: str, signature: str = "", body: bytes = b"") -> bytes:
    """Return the message that calls a method. `method` is the interface, a dot, and the name in it."""
    interface, _, member = method.rpartition(".")
    named = [(_PATH, "o", path), (_INTERFACE, "s", interface), (_MEMBER, "s", member), (_DESTINATION, "s", destination)]

    def fields(writer: Writer) -> None:
        for code, kind, value in named:
            writer.align(8).data.append(code)
            writer.signature(kind).text(value)
        if signature:
            writer.align(8).data.append(_SIGNATURE)
            writer.signature("g").signature(signature)

    header = Writer()
    header.data.extend(struct.pack("=BBBBII", _ORDER, _CALL, 0, 1, len(body), serial))
    return bytes(header.array(8, fields).align(8).data) + body


class Bus:
    """A connection to a message bus."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._serial = 0

    @classmethod
    async def connect(cls, path: str) -> "Bus":
        """Connect to a bus as this user, and receive a name from it.

        Raises:
            OSError: the bus refuses, or its answer is not understood.
        """
        reader, writer = await asyncio.open_unix_connection(path)
        bus = cls(reader, writer)
        try:
            await bus._authenticate()
            await bus.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus.Hello")
        except BaseException:
            writer.close()
            raise
        return bus

    async def _authenticate(self) -> None:
        self._writer.write(b"\0AUTH EXTERNAL " + str(os.geteuid()).encode().hex().encode() + b"\r\n")
        if not (await self._reader.readline()).startswith(b"OK "):
            raise ConnectionRefusedError("the bus does not know this user")
        self._writer.write(b"BEGIN\r\n")

    async def call(self, destination: str, path: str, method: str, signature: str = "", body: bytes = b"") -> None:
        """Call a method and wait for the answer.

        Raises:
            DBusError: the answer is an error.
            OSError: the bus gave no answer.
        """
        self._serial += 1
        self._writer.write(encode_call(self._serial, destination, path, method, signature, body))
        while True:
            kind, answers, error = await self._read_message()
            if answers == self._serial and kind == _ERROR:
                raise DBusError(error)
            if answers == self._serial and kind == _RETURN:
                return

    def close(self) -> None:
        """Close the connection."""
        self._writer.close()

    async def _read_message(self) -> tuple[int, int, str]:
        """Return the type of the next message, the serial number of the call that it answers, and its error's name."""
        try:
            # A message has the byte order of its sender, which is that of this machine.
            _, kind, _, _, body, _, fields = _FIXED.unpack(await self._reader.readexactly(_FIXED.size))
            head = await self._reader.readexactly(fields + -fields % 8)
            await self._reader.readexactly(body)
        except asyncio.IncompleteReadError as problem:
            raise ConnectionResetError("the bus has closed the connection") from problem
        answers, error = 0, ""
        for code, value in _header_fields(head[:fields]):
            if code == _REPLY_SERIAL and isinstance(value, int):
                answers = value
            elif code == _ERROR_NAME and isinstance(value, str):
                error = value
        return kind, answers, error


def _header_fields(data: bytes) -> Iterable[tuple[int, int | str]]:
    """Return the fields of a header. Only numbers and texts can occur (D-Bus specification, Header Fields)."""
    at = 0
    while at < len(data):
        at += -at % 8
        code, kind = data[at], chr(data[at + 2])
        at += 4
        if kind == "g":
            length = data[at]
            yield code, data[at + 1 : at + 1 + length].decode()
            at += length + 2
            continue
        at += -at % 4
        (number,) = struct.unpack_from("=I", data, at)
        at += 4
        if kind == "u":
            yield code, number
        else:
            yield code, data[at : at + number].decode()
            at += number + 1
