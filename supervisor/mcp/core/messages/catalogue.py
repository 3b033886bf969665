"""The catalogue of what a server has said of itself, by which a client is answered while the server is away."""

from collections.abc import Mapping
from typing import Any

LIST_KEYS: Mapping[str, str] = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resourceTemplates",
}
"""Method that asks for a list -> the key of the items in its result."""

LIST_CAPABILITIES: Mapping[str, str] = {
    "tools/list": "tools",
    "prompts/list": "prompts",
    "resources/list": "resources",
    "resources/templates/list": "resources",
}
"""Method that asks for a list -> the capability of a server that has the list."""

CHANGE_NOTIFICATIONS: Mapping[str, str] = {
    "tools/list": "notifications/tools/list_changed",
    "prompts/list": "notifications/prompts/list_changed",
    "resources/list": "notifications/resources/list_changed",
    "resources/templates/list": "notifications/resources/list_changed",
}
"""Method that asks for a list -> the notification that the list has changed."""

SCHEMA = 1
"""The form of the JSON. A catalogue of another form is not read."""

LEGACY, MODERN = "legacy", "modern"

LEGACY_VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""The versions that begin with `initialize`, the oldest first."""


class EraCatalogue:
    """What a server has said in one era of the protocol.

    `hello` is the result of `initialize` or `server/discover`. `refused`: the server does not speak this era. `lists`
    has the items of all pages, by the method that asks for the list.
    """

    def __init__(self, hello: dict[str, Any] | None = None, *, refused: bool = False) -> None:
        self.hello = hello
        self.refused = refused
        self.lists: dict[str, list[Any]] = {}

    @property
    def capabilities(self) -> Mapping[str, Any]:
        """Return the capabilities that the server has declared."""
        found = (self.hello or {}).get("capabilities")
        return found if isinstance(found, dict) else {}

    def has_list(self, method: str) -> bool:
        """Return whether the server has the list that this method asks for."""
        return LIST_CAPABILITIES[method] in self.capabilities

    def list_result(self, method: str) -> dict[str, Any] | None:
        """Return the result of a list request, all pages as one. Returns None if the list is not known."""
        items = self.lists.get(method)
        if items is None:
            return None
        extra = {
            key: value for key, value in (self.hello or {}).items() if key in ("resultType", "ttlMs", "cacheScope")
        }
        return {**extra, LIST_KEYS[method]: items}

    def tool(self, name: str) -> Mapping[str, Any]:
        """Return a tool as the server lists it. Returns an empty mapping if the tool is not known."""
        tools = self.lists.get("tools/list", ())
        return next((tool for tool in tools if isinstance(tool, dict) and tool.get("name") == name), {})

    def may_repeat(self, name: str) -> bool:
        """Return whether a tool says that a second call of it does nothing more."""
        hints = self.tool(name).get("annotations")
        return isinstance(hints, dict) and (hints.get("readOnlyHint") is True or hints.get("idempotentHint") is True)

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON."""
        return {"hello": self.hello, "refused": self.refused, "lists": self.lists}

    @classmethod
    def from_json(cls, found: Any) -> "EraCatalogue":
        """Return the catalogue in the JSON. Parts of another shape are left out."""
        if not isinstance(found, dict):
            return cls()
        hello = found.get("hello")
        usable = isinstance(hello, dict) and isinstance(hello.get("capabilities"), dict)
        era = cls(hello if usable else None, refused=found.get("refused") is True)
        lists = found.get("lists")
        if isinstance(lists, dict):
            era.lists = {name: items for name, items in lists.items() if name in LIST_KEYS and isinstance(items, list)}
        return era


class Catalogue:
    """What a server of one kind and version has said, in both eras."""

    def __init__(self, version: str | None = None) -> None:
        self.version = version
        self.eras = {LEGACY: EraCatalogue(), MODERN: EraCatalogue()}

    def to_json(self) -> dict[str, Any]:
        """Return the content as JSON."""
        eras = {name: era.to_json() for name, era in self.eras.items()}
        return {"schema": SCHEMA, "version": self.version, "eras": eras}

    @classmethod
    def from_json(cls, found: Any) -> "Catalogue | None":
        """Return the catalogue in the JSON. Returns None if there is none, or one of another schema."""
        if not isinstance(found, dict) or found.get("schema") != SCHEMA or not isinstance(found.get("eras"), dict):
            return None
        version = found.get("version")
        catalogue = cls(version if isinstance(version, str) else None)
        catalogue.eras = {name: EraCatalogue.from_json(found["eras"].get(name)) for name in catalogue.eras}
        return catalogue


def with_list_changed(hello: Mapping[str, Any]) -> dict[str, Any]:
    """Return `hello` with `listChanged` for each list: lists may change, because the server may be replaced."""
    capabilities = hello.get("capabilities")
    known = capabilities if isinstance(capabilities, dict) else {}
    lists = {"tools", "prompts", "resources"}
    changed = {
        name: {**value, "listChanged": True} if name in lists and isinstance(value, dict) else value
        for name, value in known.items()
    }
    return {**hello, "capabilities": changed}


def negotiate_version(asked: object, spoken: object) -> object:
    """Return the version of the protocol to tell a client of the legacy era.

    `asked` is what the client asks for, `spoken` what the server has answered. The asked version is returned if it is
    not newer than the spoken one, because a server that speaks a version speaks the older ones. Else the spoken one.
    """
    if asked in LEGACY_VERSIONS and spoken in LEGACY_VERSIONS:
        at_most = LEGACY_VERSIONS.index(str(spoken))
        return asked if LEGACY_VERSIONS.index(str(asked)) <= at_most else spoken
    return spoken
