"""tests/data/transcript.jsonl: one line for each message and each event around the daemon."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.transcript.stage import Line

FILE = Path(__file__).resolve().parents[1] / "data" / "transcript.jsonl"
COMMAND = "python -m tests.transcript"

LATER = "a field of a later release"
NAMES_ARE_DATA = frozenset({"ports", "details"})
"""Objects whose fields are not part of the protocol."""


def read() -> list[Line]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def write(lines: Sequence[Line]) -> None:
    FILE.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")


def of(connection: str, lines: Sequence[Line]) -> list[Line]:
    """Return the messages of one connection."""
    return [line for line in lines if line.get("connection") == connection]


def from_later(value: Any, field: str = "") -> Any:
    """Return a message as a later release would send it, with further fields in every object of the protocol."""
    if isinstance(value, list):
        return [from_later(each, field) for each in value]
    if not isinstance(value, dict):
        return value
    more = {} if field in NAMES_ARE_DATA else {LATER: {"of": ["any", "kind"]}}
    return {**{name: from_later(each, name) for name, each in value.items()}, **more}
