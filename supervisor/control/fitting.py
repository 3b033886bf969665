"""Lists that are cut so that they fit into a frame."""

from collections.abc import Sequence
from typing import TypeVar

from ..wire import json_text

T = TypeVar("T")


def as_many_as_fit(messages: Sequence[T], room: int) -> tuple[T, ...]:
    """Return as many of the first messages as fit into `room` bytes of JSON, with a comma after each."""
    for number, message in enumerate(messages):
        room -= _size_of(json_text.json_of(message)) + 1
        if room < 0:
            return tuple(messages[:number])
    return tuple(messages)


def _size_of(json: str) -> int:
    return len(json) if json.isascii() else len(json.encode(errors="replace"))
