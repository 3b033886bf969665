"""Values in a JSON answer: finding them by the path in a recipe, and comparing them with expected values."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

_STEP = re.compile(r"((?:\\.|[^.\\])+)(\.|$)", re.DOTALL)


class Missing:
    """The class of `MISSING`, which stands for a value that an answer does not have."""


MISSING: Final = Missing()


def path_of(text: str) -> tuple[str, ...]:
    r"""Return the steps of a dotted path: keys of objects, or numbers of list items. `\.` is a dot within a key.

    Raises:
        ValueError: a step is empty, or a backslash stands at the end.
    """
    steps, at = [], 0
    while True:
        step = _STEP.match(text, at)
        if step is None:
            raise ValueError(f"{text!r} is no path of keys")
        steps.append(re.sub(r"\\(.)", r"\1", step[1], flags=re.DOTALL))
        at = step.end()
        if not step[2]:
            return tuple(steps)


def value_at(answer: object, path: str) -> object:
    """Return the value at a path, or `MISSING`."""
    for step in path_of(path):
        if isinstance(answer, Mapping) and step in answer:
            answer = answer[step]
        elif isinstance(answer, list) and step.isdecimal() and int(step) < len(answer):
            answer = answer[int(step)]
        else:
            return MISSING
    return answer


def equal(expected: object, actual: object) -> bool:
    """Return whether two JSON values are equal. `true` is not 1; 2 and 2.0 are the same number."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    if isinstance(expected, list) and isinstance(actual, list):
        return len(expected) == len(actual) and all(map(equal, expected, actual))
    if isinstance(expected, Mapping) and isinstance(actual, Mapping):
        return expected.keys() == actual.keys() and all(equal(value, actual[key]) for key, value in expected.items())
    return expected == actual


def flattened(table: Mapping[str, Any]) -> dict[str, Any]:
    """Return a table of expected values with its sub-tables as dotted paths.

    Raises:
        ValueError: a key is no path, or JSON has no such value. The text says which.
    """
    values: dict[str, Any] = {}
    for key, value in table.items():
        path_of(key)
        if isinstance(value, Mapping):
            values.update({f"{key}.{below}": inner for below, inner in flattened(value).items()})
        elif _is_json(value):
            values[key] = value
        else:
            raise ValueError(f"{key}: an answer in JSON never has {value!r}")
    return values


def _is_json(value: object) -> bool:
    if isinstance(value, str):
        return "\0" not in value
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Sequence):
        return all(map(_is_json, value))
    if isinstance(value, Mapping):
        return all(map(_is_json, value.values()))
    return isinstance(value, int)
