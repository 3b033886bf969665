"""Makes a class a value: a frozen dataclass that is cheap to define, because there are 160 of them (ADR 9)."""

from dataclasses import dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def frozen(cls: type[T]) -> type[T]:
    """Return the class as a frozen, slotted dataclass. All of them share one `__eq__`, `__hash__` and `__repr__`."""
    for method in (__eq__, __hash__, __repr__):
        if method.__name__ not in vars(cls):
            setattr(cls, method.__name__, method)
    return dataclass(frozen=True, slots=True, eq=False, repr=False)(cls)


def _compared(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, each.name) for each in fields(self) if each.compare])


def __eq__(self: Any, other: object) -> bool:  # noqa: N807 (`frozen` makes it a method)
    return _compared(self) == _compared(other) if type(self) is type(other) else NotImplemented


def __hash__(self: Any) -> int:  # noqa: N807 (the same)
    return hash(_compared(self))


def __repr__(self: Any) -> str:  # noqa: N807 (the same)
    shown = [f"{each.name}={getattr(self, each.name)!r}" for each in fields(self) if each.repr]
    return f"{type(self).__qualname__}({', '.join(shown)})"
