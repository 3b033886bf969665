"""Cuts the client's input into lines. A line that is too long is dropped, and the next one is read."""

import re

from ..events_and_actions import ClientSentLine, ClientSentTooLongLine, Event, Id

LINE_MAX = 16 * 1024 * 1024
"""Bytes of a line."""
EDGE_BYTES = 512
"""How much is kept of the beginning and of the end of a line that is too long, to find the id in them."""

_ID = rb'"id"\s*:\s*(?:"([^"\\]{0,256})"|(-?[0-9]{1,18}))'
_FIRST = rb'\s*\{(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,)*\s*' + _ID
_LAST = _ID + rb'(?:\s*,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*")*\s*\}\s*\Z'


class LineCutter:
    """Takes input in pieces, and returns an event for each line. Time is linear to the bytes; memory has the limit."""

    def __init__(self, limit: int = LINE_MAX) -> None:
        self._limit = limit
        self._line = bytearray()
        self._is_too_long = False
        self._head = b""

    def feed(self, data: bytes) -> list[Event]:
        """Return the events of the lines that these bytes complete. Empty lines are dropped."""
        *last_parts, rest = data.split(b"\n")
        events: list[Event] = []
        for part in last_parts:
            self._keep(part)
            events += self._complete()
        self._keep(rest)
        return events

    def _keep(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._limit:
            if not self._is_too_long:
                self._is_too_long, self._head = True, bytes(self._line[:EDGE_BYTES])
            # The end of a line that is dropped may have its id.
            del self._line[: len(self._line) - EDGE_BYTES]

    def _complete(self) -> list[Event]:
        """Take the end of a line. Returns its event, or an empty list for an empty line."""
        line, self._line = self._line, bytearray()
        if self._is_too_long:
            self._is_too_long = False
            return [ClientSentTooLongLine(self._limit, _id_in(self._head, bytes(line)))]
        if line.endswith(b"\r"):
            del line[-1]
        # An empty line is no message, and no error either: some programs end each message with two line breaks.
        return [ClientSentLine(line)] if line.strip() else []


def _id_in(head: bytes, tail: bytes) -> Id | None:
    """Return the id at the beginning or the end of a message. Returns None if it is in neither."""
    found = re.match(_FIRST, head) or re.search(_LAST, tail)
    if found is None:
        return None
    return found[1].decode(errors="replace") if found[2] is None else int(found[2])
