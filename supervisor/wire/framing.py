"""Frames of the protocol: one JSON value on each line, in UTF-8, ended by LF."""

import json

from ..errors import ParseError

FRAME_LIMIT = 1024 * 1024

# Messages are trees, so circles are not looked for. A circle would still end, with a RecursionError.
to_text = json.JSONEncoder(ensure_ascii=False, allow_nan=False, check_circular=False, separators=(",", ":")).encode


class LineDecoder:
    """Cuts a stream into lines, in time linear to its bytes and memory bounded by `limit` and one chunk."""

    def __init__(self, limit: int = FRAME_LIMIT) -> None:
        self._limit = limit
        self._tail = bytearray()
        self._spent = False

    def feed(self, data: bytes) -> list[bytes]:
        """Return the lines that these bytes complete, without their LF or CRLF.

        Raises:
            ParseError: a line is longer than `limit`. Raised once; later input is dropped, because the beginning of the
                next frame is unknown. Close the connection.
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


def frame_message(message: object) -> bytes:
    """Return a message as one frame. Undecodable bytes in its texts (of a command line) become question marks.

    Raises:
        TypeError: the message is not JSON-ready.
        ValueError: the message is too long for a frame, or has a number that JSON does not have.
        RecursionError: the message contains itself.
    """
    return frame_text(to_text(message))


def frame_text(text: str) -> bytes:
    """Return this JSON text as one frame.

    Raises:
        ValueError: the text is too long for a frame.
    """
    frame = text.encode("utf-8", "replace")
    if len(frame) > FRAME_LIMIT:
        raise ValueError(f"{len(frame)} bytes are too long for a frame")
    return frame + b"\n"
