"""Cuts a stream of server-sent events into the data of each event, in time linear to the bytes."""

RETRY_MAX_S = 30.0
"""The longest pause that a server can ask for. A call of a tool waits for it."""
DIGITS_MAX = 9

BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class TooLongError(Exception):
    """An event, or a body, is longer than allowed."""


class EventStream:
    """Takes a stream in pieces, and returns the data of events. Comments and names are dropped.

    `last_id` is the id of the last complete event that has one, and `retry_s` the pause that the server wants before
    another stream goes on after it.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._line = bytearray()
        self._data: bytearray | None = None
        self._after_cr = False
        self._is_first_line = True
        self._id: str | None = None
        """The id of the event that is not complete yet."""
        self.last_id: str | None = None
        self.retry_s: float | None = None

    def feed(self, piece: bytes | bytearray) -> list[bytearray]:
        """Return the data of the events that these bytes complete.

        Raises:
            TooLongError: an event is too long.
        """
        events: list[bytearray] = []
        # CR and LF of one line end may come in two pieces.
        position = 1 if self._after_cr and piece.startswith(b"\n") else 0
        self._after_cr = self._after_cr and not piece
        lf, cr = _find(piece, b"\n", position), _find(piece, b"\r", position)
        while (end := min(lf, cr)) < len(piece):
            self._keep(piece[position:end])
            events += self._end_line()
            position = end + 1
            if cr < lf:
                self._after_cr = position == len(piece)
                position += piece[position : position + 1] == b"\n"
                cr = _find(piece, b"\r", position)
            if lf < position:
                lf = _find(piece, b"\n", position)
        self._keep(piece[position:] if position else piece)
        return events

    def _keep(self, part: bytes | bytearray) -> None:
        """Add a part of a line to the line."""
        self._line += part
        if len(self._line) + len(self._data or b"") > self._limit:
            raise TooLongError

    def _end_line(self) -> list[bytearray]:
        """Take the end of a line. Returns the data of the event that an empty line completes, else an empty list."""
        line, self._line = self._line, bytearray()
        if self._is_first_line:
            self._is_first_line = False
            if line.startswith(BYTE_ORDER_MARK):
                del line[: len(BYTE_ORDER_MARK)]
        if not line:
            data, self._data = self._data, None
            self.last_id, self._id = self.last_id if self._id is None else self._id, None
            return [] if data is None else [data]
        if line.startswith(b"data:"):
            del line[: 6 if line[5:6] == b" " else 5]
            if self._data is None:
                self._data = line
            else:
                self._data += b"\n" + line
        elif line.startswith(b"id:") or line == b"id":
            # An empty id says that the stream cannot go on after this event.
            self._id = line[3:].strip().decode(errors="replace")
        elif line.startswith(b"retry:"):
            digits = line[6:].strip()
            if digits.isdigit():
                self.retry_s = min(int(digits[:DIGITS_MAX]) / 1000, RETRY_MAX_S)
        return []


def _find(piece: bytes | bytearray, what: bytes, start: int) -> int:
    """Return the first position of `what` from `start` on. Returns the length of the piece if there is none."""
    found = piece.find(what, start)
    return len(piece) if found < 0 else found
