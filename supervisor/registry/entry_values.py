"""Values in a registry, checked while they are read."""

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..core.model import ProcessIdentity

T = TypeVar("T")


def identity_entry(identity: ProcessIdentity | None) -> dict[str, Any] | None:
    """Return the entry of a process, None for None."""
    return None if identity is None else {"pid": identity.pid, "start_token": identity.start_token}


def read_identity(entry: Any) -> ProcessIdentity:
    """Return the process in an entry.

    Raises:
        KeyError, TypeError: the entry is damaged.
    """
    return ProcessIdentity(as_integer(entry["pid"]), as_text(entry["start_token"]))


def as_ports(value: Any) -> Mapping[str, int]:
    """Return the value, which must be an object with a port for each name.

    Raises:
        AttributeError, TypeError: the value is something else.
    """
    return {as_text(name): as_integer(port) for name, port in value.items()}


def optional(read: Callable[[Any], T], value: Any) -> T | None:
    """Return None for null, any other value as `read` returns it.

    Raises:
        TypeError: `read` refused the value.
    """
    return None if value is None else read(value)


def as_text(value: Any) -> str:
    """Return the value, which must be a text.

    Raises:
        TypeError: the value is something else.
    """
    if not isinstance(value, str):
        raise TypeError(f"expected text, got {value!r}")
    return value


def as_seconds(value: Any) -> float:
    """Return the value as seconds. It must be a finite number.

    Raises:
        TypeError: the value is something else.
    """
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"expected a number, got {value!r}")
    return float(value)


def as_integer(value: Any) -> int:
    """Return the value, which must be a whole number.

    Raises:
        TypeError: the value is something else.
    """
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(f"expected a whole number, got {value!r}")
    return value
