"""The JSON text of results. Clients ask often and little changes, so texts of lasting objects (`LASTING`) are kept."""

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, get_args, get_origin, get_type_hints

from .fields import object_writer, once, without_none, writer_of
from .framing import to_text

LASTING = "LASTING"
"""The name of a class attribute that marks the classes of lasting objects: deeply frozen, and sent again and again.

The value is the number of instances whose text is kept, the latest ones.
"""


def json_of(instance: object) -> str:
    """Return the JSON text of a dataclass, equal to that of `fields.encode`. For a lasting object it is made once.

    Raises:
        TypeError, ValueError, RecursionError: as `json.dumps` does.
    """
    return _object_text_writer(type(instance))(instance)


def _text_writer(hint: Any) -> Callable[[Any], str]:
    """Return the writer of values of this hint.

    Only values that contain lasting objects are put together from parts. All others are faster in one go, in C.
    """
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
    """Return a writer that keeps the texts of the latest instances, at most so many."""
    # Looked up by identity, which is a hundred times cheaper than equality. The instance is kept beside its text, so
    # that its id is not used again.
    kept: dict[int, tuple[Any, str]] = {}

    def write_once(instance: Any) -> str:
        known = kept.get(id(instance))
        if known is None:
            if len(kept) >= most:
                del kept[next(iter(kept))]
            known = kept[id(instance)] = (instance, write(instance))
        return known[1]

    return write_once
