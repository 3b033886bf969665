"""The HTTP headers of requests in both eras, without the bearer."""

import functools
from collections.abc import Iterator, Mapping
from typing import Any

from ..events_and_actions import Headers
from .arguments import argument_at
from .message import Message

ACCEPT = ("Accept", "application/json, text/event-stream")
CONTENT = ("Content-Type", "application/json")
VERSION = "MCP-Protocol-Version"

META_VERSION = "io.modelcontextprotocol/protocolVersion"
META_CLIENT = "io.modelcontextprotocol/clientInfo"
META_CAPABILITIES = "io.modelcontextprotocol/clientCapabilities"

MODERN_VERSION = "2026-07-28"

_NAME_PARAM = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}


@functools.lru_cache(maxsize=16)
def legacy(session: str | None, version: str | None) -> Headers:
    """Return the headers of a request in a session. `session` is its id; a session that opens has no id or version."""
    known = (("Mcp-Session-Id", session), (VERSION, version))
    return (ACCEPT, CONTENT, *((name, value) for name, value in known if value is not None and is_plain(value)))


def modern(message: Message, tool: Mapping[str, Any]) -> Headers:
    """Return the headers of a stateless request.

    `tool` is the called tool as the server lists it, or an empty mapping.
    """
    # A request without a version is sent as one of this era, so that the server says what is missing.
    found = [ACCEPT, CONTENT, (VERSION, header_value(str(message.meta.get(META_VERSION, MODERN_VERSION))))]
    found.append(("Mcp-Method", header_value(message.method or "")))
    name = message.params.get(_NAME_PARAM.get(message.method or "", ""))
    if isinstance(name, str):
        found.append(("Mcp-Name", header_value(name)))
    for path, header in parameter_headers(tool.get("inputSchema")):
        value = argument_at(message, path)
        if isinstance(value, str | int):
            found.append((f"Mcp-Param-{header}", header_value(_value_text(value))))
    return tuple(found)


def is_modern(message: Message) -> bool:
    """Return whether a request says that it is one of the modern era."""
    return isinstance(message.meta.get(META_VERSION), str)


def is_plain(text: str) -> bool:
    """Return whether a header can carry a text as it is."""
    return text.isascii() and (text.isprintable() or not text)


def modern_list(method: str, meta: Mapping[str, Any]) -> Headers:
    """Return the headers of a stateless request for a list."""
    return (ACCEPT, CONTENT, (VERSION, header_value(str(meta.get(META_VERSION, "")))), ("Mcp-Method", method))


def parameter_headers(schema: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Yield the arguments that a schema wants as headers: the path of each, and the end of the header's name."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    for name, inner in properties.items() if isinstance(properties, dict) else ():
        header = inner.get("x-mcp-header") if isinstance(inner, dict) else None
        if isinstance(header, str) and header.replace("-", "").replace("_", "").isalnum() and header.isascii():
            yield (*path, name), header
        yield from parameter_headers(inner, (*path, name))


def header_value(text: str) -> str:
    """Return a text as the value of a header: as it is where HTTP can carry it, else in base64."""
    if text == text.strip() and is_plain(text) and not (text.startswith("=?base64?") and text.endswith("?=")):
        return text
    from base64 import b64encode

    return f"=?base64?{b64encode(text.encode('utf-8', 'replace')).decode()}?="


def _value_text(value: str | int) -> str:
    """Return an argument as JSON writes it, and a string without quotes."""
    return str(value).lower() if isinstance(value, bool) else str(value)
