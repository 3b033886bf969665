"""Checks the values in a registry while they are read."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def ports_in(row: Any) -> Mapping[str, int]:
    """Return ports by name.

    Raises:
        TypeError: the value is not such a table.
    """
    return {text(name): integer(port) for name, port in row.items()}


def perhaps(read: Callable[[Any], T], value: Any) -> T | None:
    """Return None for null, any other value as `read` returns it.

    Raises:
        TypeError: `read` refused the value.
    """
    return None if value is None else read(value)


def text(value: Any) -> str:
    """Return a text.

    Raises:
        TypeError: the value is not a text.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def seconds(value: Any) -> float:
    """Return a finite number.

    Raises:
        TypeError: the value is not a finite number.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


def integer(value: Any) -> int:
    """Return a whole number.

    Raises:
        TypeError: the value is not a whole number.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value
