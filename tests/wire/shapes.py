"""Type hints of messages as JSON Schema, so that clients know what `wire.fields` reads and writes."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, is_dataclass
from dataclasses import fields as fields_of
from enum import StrEnum
from inspect import cleandoc
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from supervisor.wire.fields import _KEY_LENGTH, DEFAULT_LENGTH, Length, encode
from supervisor.wire.jsonrpc import ID_LENGTH, Id
from supervisor.wire.messages import common
from supervisor.wire.messages.daemon import EXPLAINED_PORTS, PortsExplain
from supervisor.wire.messages.servers import ServerAdopt, ServerEnsure

Schema = dict[str, Any]
Shape = Schema | bool
"""A schema. `True` is a schema too, which fits any value."""

NULL: Schema = {"type": "null"}
NO_NUL = "^[^\\u0000]*$"
SCALARS = {bool: "boolean", int: "integer", float: "number", NoneType: "null"}


def ref(name: str) -> Schema:
    """Return a reference to a definition."""
    return {"$ref": f"#/$defs/{name}"}


def given(field: str) -> Schema:
    """Return a schema for objects that have the field, and not as null."""
    return {"required": [field], "properties": {field: {"not": NULL}}}


# The demands of a `__post_init__` beyond the hints.
BEYOND_HINTS: Mapping[type[Any], Schema] = {
    ServerEnsure: {"not": {"allOf": [given("editor"), given("owner")]}},
    ServerAdopt: {"oneOf": [given("pid"), given("port")]},
    PortsExplain: {
        "oneOf": [given("kind"), given("ports")],
        "properties": {"ports": {"minItems": 1, "maxItems": EXPLAINED_PORTS}},
    },
}


class Shapes:
    """The schemas of type hints. Classes become definitions, collected in `found` and referred to by name.

    `read`: the daemon reads it, and `wire.fields` bounds what the hints leave open.
    """

    def __init__(self, *, read: bool) -> None:
        self.found: dict[str, Schema] = {}
        self._read = read

    def of(self, hint: Any) -> Shape:
        """Return the schema of a hint.

        Raises:
            TypeError: this module does not know the hint.
        """
        if hint in NAMED:
            name, shape = NAMED[hint]
            self.found[name] = shape
            return ref(name)
        generic = self._generic.get(get_origin(hint))
        return generic(self, *get_args(hint)) if generic else self._plain(hint)

    def _plain(self, hint: Any) -> Shape:
        if hint is Any:
            return True
        if hint is str:
            return text(DEFAULT_LENGTH) if self._read else {"type": "string"}
        if hint in SCALARS:
            return {"type": SCALARS[hint]}
        if isinstance(hint, type) and issubclass(hint, StrEnum):
            return {"enum": [*hint]}
        if isinstance(hint, type) and (is_dataclass(hint) or hasattr(hint, "_fields")):
            return self._defined(hint)
        raise TypeError(f"no schema for {hint!r}")

    def _defined(self, cls: type[Any]) -> Schema:
        if cls.__name__ not in self.found:
            # An empty entry keeps the place, so that the class stands before the classes that it refers to.
            self.found[cls.__name__] = {}
            self.found[cls.__name__] = self._object(cls)
        return ref(cls.__name__)

    def _object(self, cls: type[Any]) -> Schema:
        hints, defaults = get_type_hints(cls, include_extras=True), _defaults(cls)
        shape: Schema = {
            "description": cleandoc(cls.__doc__ or ""),
            "type": "object",
            "properties": {name: self._field(hint, defaults.get(name, MISSING)) for name, hint in hints.items()},
        }
        required = [name for name in hints if name not in defaults]
        return _merged({**shape, "required": required} if required else shape, BEYOND_HINTS.get(cls, {}))

    def _field(self, hint: Any, default: Any) -> Shape:
        shape = self.of(hint)
        if default is MISSING or isinstance(shape, bool):
            return shape
        return {**shape, "default": encode(default) if is_dataclass(default) else default}

    def _one_of(self, *hints: Any) -> Schema:
        """Return several types in one schema if that means the same, because it reads better."""
        shapes = [self.of(each) for each in hints]
        if len(shapes) == 2 and shapes[1] == NULL and isinstance(shapes[0], dict) and "type" in shapes[0]:
            return {**shapes[0], "type": [shapes[0]["type"], "null"]}
        return {"anyOf": shapes}

    def _array(self, hint: Any, _ellipsis: Any) -> Schema:
        return {"type": "array", "items": self.of(hint)}

    def _mapping(self, _key: Any, hint: Any) -> Schema:
        keys = {"propertyNames": text(_KEY_LENGTH)} if self._read else {}
        return {"type": "object", **keys, "additionalProperties": self.of(hint)}

    _generic: Mapping[Any, Callable[..., Schema]] = {
        Annotated: lambda _self, hint, bounds: _bounded(hint, bounds),
        Union: _one_of,
        UnionType: _one_of,
        Literal: lambda _self, *choices: {"enum": [*choices]},
        tuple: _array,
        Mapping: _mapping,
    }


def text(length: Length) -> Schema:
    """Return the schema of a text for the daemon: without NUL. (Nor lone surrogates, which are no Unicode.)"""
    return {"type": "string", "minLength": length.low, "maxLength": length.high, "pattern": NO_NUL}


def _bounded(hint: Any, bounds: Any) -> Schema:
    if isinstance(bounds, Length):
        return text(bounds)
    return {"type": SCALARS[hint], "minimum": bounds.low, "maximum": bounds.high}


NAMED: Mapping[Any, tuple[str, Schema]] = {
    common.Name: ("Name", _bounded(*get_args(common.Name))),
    common.Path: ("Path", _bounded(*get_args(common.Path))),
    common.Pid: ("Pid", _bounded(*get_args(common.Pid))),
    common.Port: ("Port", _bounded(*get_args(common.Port))),
    Id: (
        "Id",
        {"description": "The client's own name for a request.", "type": ["string", "integer"], "maxLength": ID_LENGTH},
    ),
}
"""Types that deserve a definition of their own, beside the classes."""


def _defaults(cls: type[Any]) -> dict[str, Any]:
    if not is_dataclass(cls):
        return {}
    return {field.name: field.default for field in fields_of(cls) if field.default is not MISSING}


def _merged(shape: Schema, more: Schema) -> Schema:
    refined = more.get("properties", {})
    properties = {
        name: {**each, **refined[name]} if name in refined else each for name, each in shape["properties"].items()
    }
    return {**shape, **more, "properties": properties}
