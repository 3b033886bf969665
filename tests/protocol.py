"""Compares messages of the protocol with docs/protocol.schema.json."""

import json
import socket
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from supervisor.client.client import Client
from supervisor.client.connection import DaemonConnection, Message
from supervisor.client.stream import Stream
from supervisor.client.timeouts import Timeout
from supervisor.wire import jsonrpc

DOCS = Path(__file__).resolve().parent.parent / "docs"
SCHEMA = DOCS / "protocol.schema.json"
COMMANDS = DOCS / "commands.schema.json"
COMMANDS_ID = "urn:godot-supervisor:commands:1"


def check(method: str, result: object) -> None:
    """Check an answer of a method. Raises AssertionError with the difference."""
    _check(f"{method}.result", result)


def check_frame(frame: Mapping[str, Any]) -> None:
    """Check a frame of the protocol; `check` compares the result in it."""
    _check(_envelope(frame), frame)


class CheckedConnection(DaemonConnection):
    """A connection whose notifications and errors are compared with the schema."""

    def receive(self, method: str, timeout: Timeout) -> Message:
        message = super().receive(method, timeout)
        if isinstance(message, jsonrpc.Notification):
            check_frame(jsonrpc.notification_envelope(*message))
        elif isinstance(message, jsonrpc.Failure):
            check_frame({"jsonrpc": "2.0", "id": message.id, "error": message.error})
        return message


class CheckedClient(Client):
    """The client library, whose received messages are all compared with the schema."""

    def __init__(self, connected: socket.socket) -> None:
        super().__init__(connected)
        self._connection = CheckedConnection(connected)

    def call(self, method: str, *arguments: Any, **options: Any) -> Any:
        answer = super().call(method, *arguments, **options)
        check(method, answer)
        return answer

    def stream(self, method: str, *arguments: Any, **options: Any) -> Stream:
        stream = super().stream(method, *arguments, **options)
        check(method, stream.answer)
        return stream


def check_document(command: str, document: object) -> None:
    """Check what a command prints with --json. Raises AssertionError with the difference."""
    problem = best_match(_commands().evolve(schema={"$ref": f"{COMMANDS_ID}#/$defs/{command}"}).iter_errors(document))
    assert problem is None, f"no document of {command}: {problem.json_path}: {problem.message}"


def fits(name: str, value: object) -> bool:
    """Check that this is an instance of a definition of the schema."""
    return bool(_validator(name).is_valid(value))


def _check(name: str, value: object) -> None:
    problem = best_match(_validator(name).iter_errors(value))
    assert problem is None, f"no {name}: {problem.json_path}: {problem.message}"


def _envelope(frame: Mapping[str, Any]) -> str:
    """Return the definition by name. Against all four, the message would only say that none fits."""
    if "method" in frame:
        return "Request" if "id" in frame else "Notification"
    return "Failure" if "error" in frame else "Success"


@cache
def _validator(name: str) -> Draft202012Validator:
    return _whole().evolve(schema={"$ref": f"#/$defs/{name}"})


@cache
def _commands() -> Draft202012Validator:
    protocol, commands = (json.loads(file.read_text(encoding="utf-8")) for file in (SCHEMA, COMMANDS))
    known: Registry[Any] = Registry().with_resources(
        (document["$id"], DRAFT202012.create_resource(document)) for document in (protocol, commands)
    )
    return Draft202012Validator(commands, registry=known)


@cache
def _whole() -> Draft202012Validator:
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))
