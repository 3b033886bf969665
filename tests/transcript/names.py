"""Ids and times, which differ in each recording. Each of them is renamed, and none is left out."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KINDS: Mapping[str, str] = {
    "launch": r"\b[0-9a-f]{8}\b",
    "lease": r"\blease-[0-9a-f]{12}\b",
    "request": r"\br-\d+\b",
    "pid": r"(?<=\bpid )\d+\b",
}
PID_FIELDS = frozenset({"pid", "root_pid", "owner_pid"})
TIME_FIELDS = frozenset({"at", "ended", "mono", "since", "started_at"})
HOME = "/home/user"
"""The text that stands for the folder of a recording."""

RAW = re.compile("|".join(f"(?P<{kind}>{pattern})" for kind, pattern in KINDS.items()))
LABEL = re.compile(r"<(?:launch|lease|request|pid) \d+>")


class Names:
    """The ids and times of one recording. Two recordings of one story are equal once their names are neutral.

    An id becomes its kind and the number of its first appearance, and a time the seconds since the first of its field,
    in whole seconds.
    """

    def __init__(self, folder: Path | str = HOME) -> None:
        self._folder = str(folder)
        self._labels: dict[tuple[str, str], str] = {}
        self._raw: dict[str, str] = {}
        self._counts: dict[str, int] = {}
        self._zero: dict[str, float] = {}

    def neutral(self, value: Any, field: str = "") -> Any:
        """Return a value with neutral names."""
        match value:
            case Mapping():
                return {name: self.neutral(each, name) for name, each in value.items()}
            case list():
                return [self.neutral(each, field) for each in value]
            case str():
                return RAW.sub(self._replaced, self._at_home(value))
            case int() if field in PID_FIELDS:
                return self._label("pid", str(value))
            case int() | float() if field in TIME_FIELDS:
                return round(value - self._zero.setdefault(field, value))
        return value

    def own(self, then: "Names", value: Any, field: str = "") -> Any:
        """Return a message of another recording with the names of this one. New ids are taken over."""
        neutral = then.neutral(value, field)
        words = self._own(then, neutral, field)
        self.neutral(words, field)
        return words

    def _own(self, then: "Names", value: Any, field: str) -> Any:
        match value:
            case Mapping():
                return {name: self._own(then, each, name) for name, each in value.items()}
            case list():
                return [self._own(then, each, field) for each in value]
            case str():
                words = LABEL.sub(lambda found: self._raw.get(found[0]) or then._raw[found[0]], value)
                words = words.replace(HOME, self._folder)
                return int(words) if field in PID_FIELDS and words.isdecimal() else words
        return value

    def _at_home(self, text: str) -> str:
        if self._folder not in text:
            return text
        return text.replace(self._folder, HOME).replace(os.sep, "/")

    def _replaced(self, found: re.Match[str]) -> str:
        return self._label(found.lastgroup or "", found[0])

    def _label(self, kind: str, raw: str) -> str:
        if (kind, raw) not in self._labels:
            self._counts[kind] = self._counts.get(kind, 0) + 1
            label = self._labels[kind, raw] = f"<{kind} {self._counts[kind]}>"
            self._raw[label] = raw
        return self._labels[kind, raw]
