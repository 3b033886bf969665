"""Cuts the client's input into lines. A line that is too long is dropped, and the next one is read."""

import re

from ..values import ClientSaid, ClientSaidTooMuch, Event, Id

LIMIT = 16 * 1024 * 1024
ENDS = 512
"""Bytes kept of the beginning and the end of a line that is too long, to find the id in them."""

_ID = rb'"id"\s*:\s*(?:"([^"\\]{0,256})"|(-?[0-9]{1,18}))'
_FIRST = rb'\s*\{(?:\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*"\s*,)*\s*' + _ID
_LAST = _ID + rb'(?:\s*,\s*"(?:jsonrpc|method)"\s*:\s*"[^"\\]*")*\s*\}\s*\Z'


class LineCutter:
    """Takes input in pieces, and returns events. Time is linear to the bytes, memory bounded by the limit."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._line = bytearray()
        self._dropped = False
        self._head = b""

    def feed(self, data: bytes) -> list[Event]:
        """Return the lines that these bytes complete."""
        *ends, rest = data.split(b"\n")
        events: list[Event] = []
        for end in ends:
            self._keep(end)
            events += self._complete()
        self._keep(rest)
        return events

    def _keep(self, part: bytes) -> None:
        self._line += part
        if len(self._line) > self._limit:
            if not self._dropped:
                self._dropped, self._head = True, bytes(self._line[:ENDS])
            # The end of a line that is dropped may have its id.
            del self._line[: len(self._line) - ENDS]

    def _complete(self) -> list[Event]:
        line, self._line = self._line, bytearray()
        if self._dropped:
            self._dropped = False
            return [ClientSaidTooMuch(self._limit, _id_in(self._head, bytes(line)))]
        if line.endswith(b"\r"):
            del line[-1]
        # An empty line is no message, and no error either: some programs end each message with two line breaks.
        return [ClientSaid(line)] if line.strip() else []


def _id_in(head: bytes, tail: bytes) -> Id | None:
    found = re.match(_FIRST, head) or re.search(_LAST, tail)
    if found is None:
        return None
    return found[1].decode(errors="replace") if found[2] is None else int(found[2])
