"""Conversion between JSON objects and frozen dataclasses, driven by the type hints of the dataclass.

Hints may be str, int, float, bool, StrEnum, Literal, a dataclass, X | None, tuple[X, ...], Mapping[str, X], and
Annotated with `Range` or `Length`. Each class is examined once.
"""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from enum import StrEnum
from functools import cache
from operator import attrgetter
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from ..errors import InvalidParams

T = TypeVar("T")


class Range(NamedTuple):
    """Bounds of a number, both included."""

    low: float
    high: float


class Length(NamedTuple):
    """Bounds of a text's length in characters, both included."""

    low: int
    high: int


DEFAULT_LENGTH = Length(0, 4096)
_FINITE = Range(-1.7976931348623157e308, 1.7976931348623157e308)
_KEY_LENGTH = Length(1, 128)


class _Reader(NamedTuple):
    """How one value is checked and returned. `read` takes it and the path of its field. `expected` is for errors."""

    expected: str
    read: Callable[[Any, str], Any]


_Writer = Callable[[Any], Any]


def once(examine: Callable[[type[Any]], T]) -> Callable[[type[Any]], T]:
    """Cache a function of classes. The cast is for mypy, which takes the hash of a class for that of its instances."""
    return cast("Callable[[type[Any]], T]", cache(examine))


def decode(cls: type[T], value: object) -> T:
    """Return the dataclass that a JSON object stands for. Unknown fields are ignored.

    Raises:
        InvalidParams: a field is missing or wrong. The error names its path, what was expected and what was found.
    """
    return cast("T", _object_reader(cls).read(value, ""))


def encode(instance: object) -> dict[str, Any]:
    """Return the JSON-ready object of a dataclass, every field included."""
    return object_writer(type(instance))(instance)


def prepare(cls: type[Any]) -> None:
    """Examine a class now, so that a hint that cannot be read is found when the daemon starts.

    Raises:
        TypeError: this module does not know a hint.
    """
    _object_reader(cls)


def _mismatch(path: str, expected: str, value: object) -> InvalidParams:
    return InvalidParams(path, f"expected {expected}, got {_described(value)}")


def _described(value: object) -> str:
    """Describe a value without the text of strings, because a string may be a secret in the wrong place."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return f"a string of {len(value)} characters"
        case int() | float():
            return f"the number {value}" if abs(value) < 2**64 else "a huge number"
        case _:
            return "an array" if isinstance(value, list) else "an object"


@once
def _object_reader(cls: type[Any]) -> _Reader:
    hints = get_type_hints(cls, include_extras=True)
    plan = tuple(
        (field.name, _reader(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(cls)
    )

    def read(value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            raise _mismatch(path or "params", "an object", value)
        found = {}
        for name, reader, required in plan:
            place = f"{path}.{name}" if path else name
            if name in value:
                found[name] = reader.read(value[name], place)
            elif required:
                raise InvalidParams(place, f"missing; expected {reader.expected}")
        return cls(**found)

    return _Reader("an object", read)


def _reader(hint: Any) -> _Reader:
    generic = _GENERIC_READERS.get(get_origin(hint))
    if generic:
        return generic(*get_args(hint))
    if hint in _SCALAR_READERS:
        return _SCALAR_READERS[hint](None)
    if isinstance(hint, type) and is_dataclass(hint):
        return _object_reader(hint)
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return _enum(hint)
    raise TypeError(f"no way to read {hint!r} from JSON")


def _boolean(_bounds: None) -> _Reader:
    def read(value: Any, path: str) -> bool:
        if isinstance(value, bool):
            return value
        raise _mismatch(path, "true or false", value)

    return _Reader("true or false", read)


def _whole(bounds: Range | None) -> _Reader:
    expected = f"a whole number from {bounds.low} to {bounds.high}" if bounds else "a whole number"
    low, high = bounds or (float("-inf"), float("inf"))

    def read(value: Any, path: str) -> int:
        if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high:
            return value
        # JSON has one kind of number. GDScript reads each as a float, and may write 1 as 1.0.
        if isinstance(value, float) and value.is_integer() and low <= value <= high:
            return int(value)
        raise _mismatch(path, expected, value)

    return _Reader(expected, read)


def _number(bounds: Range | None) -> _Reader:
    expected = f"a number from {bounds.low:g} to {bounds.high:g}" if bounds else "a number"
    low, high = bounds or _FINITE

    def read(value: Any, path: str) -> float:
        # Compared before the conversion, because an integer can be too large for a float.
        if isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high:
            return float(value)
        raise _mismatch(path, expected, value)

    return _Reader(expected, read)


def _text(bounds: Length | None) -> _Reader:
    low, high = bounds or DEFAULT_LENGTH
    expected = f"a string of {low} to {high} characters"

    def read(value: Any, path: str) -> str:
        if not isinstance(value, str) or not low <= len(value) <= high:
            raise _mismatch(path, expected, value)
        # Neither can be part of a path, a name or an argument, and both make system calls that take one fail.
        if "\0" in value or (not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value)):
            raise InvalidParams(path, "has a NUL character or a lone surrogate")
        return value

    return _Reader(expected, read)


def _bounded(hint: Any, bounds: Any) -> _Reader:
    return _SCALAR_READERS[hint](bounds)


def _optional(*hints: Any) -> _Reader:
    inner = _reader(without_none(hints))
    return _Reader(f"{inner.expected}, or null", lambda value, path: None if value is None else inner.read(value, path))


def without_none(hints: tuple[Any, ...]) -> Any:
    """Return `X` of the arguments of `X | None`."""
    (hint,) = (each for each in hints if each is not NoneType)
    return hint


def _literal(*choices: str) -> _Reader:
    expected = "one of " + ", ".join(choices)

    def read(value: Any, path: str) -> str:
        if isinstance(value, str) and value in choices:
            return value
        raise _mismatch(path, expected, value)

    return _Reader(expected, read)


def _enum(cls: type[StrEnum]) -> _Reader:
    names = _literal(*cls)
    return _Reader(names.expected, lambda value, path: cls(names.read(value, path)))


def _array(hint: Any, _ellipsis: Any) -> _Reader:
    item = _reader(hint)

    def read(value: Any, path: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise _mismatch(path, "an array", value)
        return tuple(item.read(each, f"{path}[{index}]") for index, each in enumerate(value))

    return _Reader("an array", read)


def _mapping(_key: Any, hint: Any) -> _Reader:
    item, key = _reader(hint), _text(_KEY_LENGTH)

    def read(value: Any, path: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise _mismatch(path, "an object", value)
        return {key.read(name, f"{path}, a key"): item.read(each, f"{path}.{name}") for name, each in value.items()}

    return _Reader("an object", read)


_SCALAR_READERS: dict[Any, Callable[[Any], _Reader]] = {bool: _boolean, int: _whole, float: _number, str: _text}
_GENERIC_READERS: dict[Any, Callable[..., _Reader]] = {
    Annotated: _bounded,
    Union: _optional,
    UnionType: _optional,
    Literal: _literal,
    tuple: _array,
    Mapping: _mapping,
}


@once
def object_writer(cls: type[Any]) -> Callable[[Any], dict[str, Any]]:
    """Return the function that turns instances of a dataclass into JSON-ready objects."""
    hints = get_type_hints(cls)
    names = tuple(field.name for field in fields(cls))
    converted = tuple((name, writer) for name in names if (writer := writer_of(hints[name])))
    # attrgetter reads all fields at once, in C, but returns a tuple only for two names or more: `__class__` is read
    # twice behind the fields, and `zip` leaves both out.
    values: Callable[[Any], tuple[Any, ...]] = attrgetter(*names, "__class__", "__class__")

    def write(instance: Any) -> dict[str, Any]:
        found = dict(zip(names, values(instance), strict=False))
        for name, writer in converted:
            found[name] = writer(found[name])
        return found

    return write


def writer_of(hint: Any) -> _Writer | None:
    """Return the function that makes a value of this hint JSON-ready, or None if such values are JSON-ready."""
    origin, arguments = get_origin(hint), get_args(hint)
    if isinstance(hint, type) and is_dataclass(hint):
        return object_writer(hint)
    if origin in (Union, UnionType):
        inner = [writer_of(each) for each in arguments if each is not NoneType]
        return _optional_writer(inner[0]) if len(inner) == 1 else None
    if origin is tuple:
        return _array_writer(writer_of(arguments[0]))
    if origin is Mapping:
        return _mapping_writer(writer_of(arguments[1]))
    return None


def _optional_writer(inner: _Writer | None) -> _Writer | None:
    if inner is None:
        return None
    return lambda value: None if value is None else inner(value)


def _array_writer(item: _Writer | None) -> _Writer:
    if item is None:
        return list
    return lambda values: [item(each) for each in values]


def _mapping_writer(item: _Writer | None) -> _Writer:
    if item is None:
        return dict
    return lambda values: {key: item(each) for key, each in values.items()}
