"""What the rows of a registry are made of: each value is checked when it is read."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

T = TypeVar("T")


def ports_in(row: Any) -> Mapping[str, int]:
    """Return ports by name.

    Raises:
        TypeError: it is none.
    """
    return {text(name): integer(port) for name, port in row.items()}


def perhaps(read: Callable[[Any], T], value: Any) -> T | None:
    """Return null as it is, anything else as `read` takes it.

    Raises:
        TypeError: it is none.
    """
    return None if value is None else read(value)


def text(value: Any) -> str:
    """Return a text.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def seconds(value: Any) -> float:
    """Return a finite number.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


def integer(value: Any) -> int:
    """Return a whole number.

    Raises:
        TypeError: it is none.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value
