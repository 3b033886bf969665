"""The JSON text of results. Clients look often and little changes: lasting objects are written once."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from .fields import object_writer, once, without_none, writer_of
from .framing import to_text

LASTING = "LASTING"
"""A class with this attribute is frozen through and through, and its instances are shown again and again.

It says for how many of them, the latest, the text is kept.
"""


def json_of(instance: object) -> str:
    """The JSON text of a dataclass, as `encode` would have it. That of a lasting object is made once.

    Raises:
        TypeError, ValueError, RecursionError: as `json.dumps` does.
    """
    return _object_text_writer(type(instance))(instance)


def _text_writer(hint: Any) -> Callable[[Any], str]:
    """Only what has lasting objects in it is put together piece by piece: all else is quicker in C, in one go."""
    if isinstance(hint, type) and is_dataclass(hint):
        return _object_text_writer(hint)
    arguments = get_args(hint)
    if not any(_has_lasting(argument) for argument in arguments):
        writer = writer_of(hint)
        return to_text if writer is None else lambda value: to_text(writer(value))
    if get_origin(hint) is tuple:
        item = _text_writer(arguments[0])
        return lambda values: f"[{','.join([item(each) for each in values])}]"
    inner = _text_writer(without_none(arguments))
    return lambda value: "null" if value is None else inner(value)


@once
def _object_text_writer(cls: type[Any]) -> Callable[[Any], str]:
    kept: int = getattr(cls, LASTING, 0)
    hints = get_type_hints(cls)
    write = _writer_by_parts(cls, hints) if any(map(_has_lasting, hints.values())) else _writer_in_one_go(cls)
    return _each_once(write, kept) if kept else write


def _writer_in_one_go(cls: type[Any]) -> Callable[[Any], str]:
    write = object_writer(cls)
    return lambda instance: to_text(write(instance))


def _writer_by_parts(cls: type[Any], hints: Mapping[str, Any]) -> Callable[[Any], str]:
    parts = [(field.name, f'"{field.name}":', _text_writer(hints[field.name])) for field in fields(cls)]
    return lambda instance: f"{{{','.join([key + text(getattr(instance, name)) for name, key, text in parts])}}}"


def _has_lasting(hint: Any) -> bool:
    if isinstance(hint, type) and is_dataclass(hint):
        return bool(getattr(hint, LASTING, 0)) or any(_has_lasting(each) for each in get_type_hints(hint).values())
    return get_origin(hint) is not Mapping and any(_has_lasting(each) for each in get_args(hint))


def _each_once(write: Callable[[Any], str], most: int) -> Callable[[Any], str]:
    # By identity, which is a hundred times cheaper than equality; the instance is held, so its id is not used again.
    kept: dict[int, tuple[Any, str]] = {}

    def write_once(instance: Any) -> str:
        known = kept.get(id(instance))
        if known is None:
            if len(kept) >= most:
                del kept[next(iter(kept))]
            known = kept[id(instance)] = (instance, write(instance))
        return known[1]

    return write_once
