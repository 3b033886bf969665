"""tests/data/transcript.jsonl: one line for each thing that was said or happened."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.transcript.stage import Line

FILE = Path(__file__).resolve().parents[1] / "data" / "transcript.jsonl"
COMMAND = "python -m tests.transcript"

LATER = "a field of a later release"
NAMES_ARE_DATA = frozenset({"ports", "details"})
"""Objects whose fields are no part of the protocol."""


def read() -> list[Line]:
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def write(lines: Sequence[Line]) -> None:
    FILE.write_text("".join(f"{json.dumps(line, ensure_ascii=False)}\n" for line in lines), encoding="utf-8")


def of(connection: str, lines: Sequence[Line]) -> list[Line]:
    """What was said on one connection."""
    return [line for line in lines if line.get("connection") == connection]


def from_later(value: Any, field: str = "") -> Any:
    """As a later release would say it: with more fields, wherever fields have a meaning."""
    if isinstance(value, list):
        return [from_later(each, field) for each in value]
    if not isinstance(value, dict):
        return value
    more = {} if field in NAMES_ARE_DATA else {LATER: {"of": ["any", "kind"]}}
    return {**{name: from_later(each, name) for name, each in value.items()}, **more}
