"""Bytes to lines and back: one JSON value a line, UTF-8, LF."""

import json

from ..errors import ParseError

FRAME_LIMIT = 1024 * 1024

# What we send are trees; a circle would still end, as a RecursionError.
to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


class LineDecoder:
    """Cuts a stream into lines, in time linear to its bytes and memory bounded by `limit` and one chunk."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()
        self._spent = False

    def feed(self, data: bytes) -> list[bytes]:
        """The lines that these bytes complete, without their LF or CRLF.

        Raises:
            ParseError: a line is longer than `limit`. Raised once; from then on input is dropped, because nobody can
                tell where the next frame begins: close the connection.
        """
        if self._spent:
            return []
        *ends, rest = data.split(b"\n")
        lines = [self._complete(end) for end in ends]
        self._keep(rest)
        return lines

    def _complete(self, end: bytes) -> bytes:
        if self._tail:
            self._keep(end)
            end = bytes(self._tail)
            self._tail.clear()
        elif len(end) > self._limit:
            self._give_up()
        return end[:-1] if end.endswith(b"\r") else end

    def _keep(self, part: bytes) -> None:
        if len(self._tail) + len(part) > self._limit:
            self._give_up()
        self._tail += part

    def _give_up(self) -> None:
        self._spent = True
        self._tail.clear()
        raise ParseError(f"a line is longer than {self._limit} bytes")


def encode(message: object) -> bytes:
    """One frame. Text that is no Unicode (undecodable bytes of a command line) arrives with question marks.

    Raises:
        TypeError: the message is not JSON-ready.
        ValueError: it is longer than a frame may be, or has a number that JSON has not.
        RecursionError: it contains itself.
    """
    return frame_of(to_text(message))


def frame_of(text: str) -> bytes:
    """One frame with this JSON in it.

    Raises:
        ValueError: it is longer than a frame may be.
    """
    frame = text.encode("utf-8", "replace")
    if len(frame) > FRAME_LIMIT:
        raise ValueError(f"{len(frame)} bytes are longer than a frame may be")
    return frame + b"\n"
