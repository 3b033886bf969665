"""docs/protocol.schema.json, made from the messages. `python -m tests.wire.schema` writes the file.

Nothing at run time needs it, and it describes what no single room may import: the messages, and the files by which
clients find and start the daemon.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from supervisor import errors
from supervisor.client.endpoint import Endpoint
from supervisor.client.start_file import StartFile
from supervisor.wire.jsonrpc import METHOD_LENGTH
from supervisor.wire.messages.methods import METHODS
from supervisor.wire.messages.notifications import NOTIFICATIONS
from supervisor.wire.messages.session import PROTOCOL_MAX
from tests.wire.shapes import NULL, Schema, Shape, Shapes, ref

FILE = Path(__file__).resolve().parents[2] / "docs" / "protocol.schema.json"
COMMAND = "python -m tests.wire.schema"
WIDTH = 120


def _envelope(description: str, required: Iterable[str], **properties: Any) -> Schema:
    return {
        "description": description,
        "type": "object",
        "properties": {"jsonrpc": {"const": "2.0"}, **properties},
        "required": ["jsonrpc", *required],
    }


def _by_method(shapes: Mapping[str, Schema]) -> Iterator[Schema]:
    """Yield the rule for the params of each method. Unknown methods may have any: the answer is METHOD_NOT_FOUND."""
    for method, shape in shapes.items():
        needs = {"required": ["params"]} if "required" in shape or "oneOf" in shape else {}
        then = {"properties": {"params": ref(f"{method}.params")}, **needs}
        yield {"if": {"properties": {"method": {"const": method}}}, "then": then}


def _envelopes(calls: Mapping[str, Schema], notices: Mapping[str, Schema]) -> dict[str, Schema]:
    method = {"type": "string", "minLength": 1, "maxLength": METHOD_LENGTH}
    params = {"type": "object"}
    return {
        "Request": {
            **_envelope("Client to daemon.", ["id", "method"], id=ref("Id"), method=method, params=params),
            "allOf": [*_by_method(calls)],
        },
        "Success": _envelope(
            "Daemon to client: the answer. `<method>.result` says what the result is.",
            ["id", "result"],
            id=ref("Id"),
            result=True,
        ),
        "Failure": _envelope(
            "Daemon to client, in place of an answer. No id: the request's own could not be read.",
            ["id", "error"],
            id={"anyOf": [ref("Id"), NULL]},
            error=ref("Error"),
        ),
        "Notification": {
            **_envelope("Daemon to client. It has no id.", ["method", "params"], method=method, params=params),
            "not": {"required": ["id"]},
            "allOf": [*_by_method(notices)],
        },
    }


def error_classes(cls: type[errors.SupervisorError] = errors.SupervisorError) -> Iterator[type[errors.SupervisorError]]:
    """Return every error of `supervisor.errors`, in the order of that module."""
    for each in cls.__subclasses__():
        if each.__module__.startswith(f"{errors.__name__}."):
            yield each
            yield from error_classes(each)


def _errors() -> dict[str, Schema]:
    told = {
        "code": ref("ErrorCode"),
        "fault": {"description": errors.Fault.__doc__, "enum": [*errors.Fault]},
        "retryable": {"description": "The same call may succeed later.", "type": "boolean"},
        "safe_to_retry": {"description": "Repeating it cannot do anything twice.", "type": "boolean"},
        "retry_after_ms": {"type": ["integer", "null"], "minimum": 0},
        "hint": {"description": "What to do, for people.", "type": ["string", "null"]},
    }
    codes = [{"const": each.code, "description": each.__doc__} for each in error_classes()]
    running = {"method": {"type": "string"}, "request": {"type": ["string", "null"]}, "holder": {"type": "string"}}
    return {
        "Error": {
            "description": "The error object of JSON-RPC. `data.code` is the contract; `code` is only JSON-RPC's.",
            "type": "object",
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}, "data": ref("ErrorData")},
            "required": ["code", "message", "data"],
        },
        "ErrorCode": {"description": "The codes of this release.", "oneOf": codes},
        "ErrorData": {
            "description": "Whose fault it is, and what the caller can do next. Each code may add fields of its own.",
            "type": "object",
            "properties": told,
            "required": [*told],
            "if": {"properties": {"code": {"const": errors.Busy.code}}},
            "then": {
                "properties": {"running": ref("Running"), "requested": {"type": "string"}},
                "dependentRequired": {"running": ["requested"]},
            },
        },
        "Running": {
            "description": "The operation that is in the way of a request that was refused, and its requester.",
            "type": "object",
            "properties": {**running, "elapsed_ms": {"type": "integer", "minimum": 0}},
            "required": [*running, "elapsed_ms"],
        },
    }


def _endpoint(shapes: Shapes) -> dict[str, Schema]:
    """Return the schema of the discovery file, which is no message."""
    unix = {"properties": {"kind": {"const": "unix"}, "path": {"type": "string"}}, "required": ["path"]}
    port = {"type": "integer", "minimum": 1, "maximum": 65535}
    tcp = {
        "properties": {"kind": {"const": "tcp"}, "host": {"const": "127.0.0.1"}, "port": port},
        "required": ["host", "port"],
    }
    other = {"properties": {"kind": {"not": {"enum": ["unix", "tcp"]}}}}
    transport = {
        "description": "Addresses to connect to. Readers skip kinds that they do not know.",
        "type": "object",
        "properties": {"kind": {"type": "string"}},
        "required": ["kind"],
        "oneOf": [unix, tcp, other],
    }
    shapes.of(Endpoint)
    endpoint = shapes.found.pop(Endpoint.__name__)
    endpoint["properties"]["transports"]["items"] = ref("Transport")
    # Earlier releases did not write this field.
    endpoint["properties"]["home"] = {"type": "string"}
    endpoint["required"].remove("home")
    return {"endpoint.json": endpoint, "Transport": transport}


def _start_file(shapes: Shapes) -> dict[str, Schema]:
    """Return the schema of the file that says how to start the daemon, which is no message."""
    shapes.of(StartFile)
    return {"start.json": shapes.found.pop(StartFile.__name__)}


def document() -> Schema:
    """Return the whole schema. It fits any frame of the protocol; each part has its own name under `$defs`."""
    read, sent = Shapes(read=True), Shapes(read=False)
    aliases: dict[str, Shape] = {}
    for method, call in METHODS.items():
        aliases[f"{method}.params"] = read.of(call.params)
        aliases[f"{method}.result"] = sent.of(call.result)
    for method, cls in NOTIFICATIONS.items():
        aliases[f"{method}.params"] = sent.of(cls)
    calls = {method: read.found[call.params.__name__] for method, call in METHODS.items()}
    notices = {method: sent.found[cls.__name__] for method, cls in NOTIFICATIONS.items()}
    endpoint = {**_endpoint(sent), **_start_file(sent)}
    parts: list[Mapping[str, Shape]] = [
        _envelopes(calls, notices),
        aliases,
        read.found,
        sent.found,
        _errors(),
        endpoint,
    ]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:godot-supervisor:protocol:{PROTOCOL_MAX}",
        "title": f"Control protocol of godot-supervisor, version {PROTOCOL_MAX}",
        "description": "One frame. See protocol.md, beside this file. Readers ignore fields that are not here.",
        "anyOf": [ref(name) for name in ("Request", "Success", "Failure", "Notification")],
        "$defs": _united(parts),
    }


def _united(parts: Iterable[Mapping[str, Shape]]) -> dict[str, Shape]:
    """All definitions.

    Raises:
        ValueError: two different things have one name.
    """
    united: dict[str, Shape] = {}
    for part in parts:
        for name, shape in part.items():
            if united.setdefault(name, shape) != shape:
                raise ValueError(f"two definitions are called {name}")
    return united


def text() -> str:
    """Return the contents of the file."""
    return _laid_out(document()) + "\n"


def _laid_out(value: Any, indent: str = "", label: str = "") -> str:
    """Return JSON text in which each value that fits on a line stands on one line."""
    line = indent + label + json.dumps(value)
    if len(line) < WIDTH or not isinstance(value, dict | list):
        return line
    if isinstance(value, dict):
        parts = [_laid_out(each, f"{indent}  ", f"{json.dumps(name)}: ") for name, each in value.items()]
    else:
        parts = [_laid_out(each, f"{indent}  ") for each in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{indent}{label}{opening}\n" + ",\n".join(parts) + f"\n{indent}{closing}"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
