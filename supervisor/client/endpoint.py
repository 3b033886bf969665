"""endpoint.json: how clients find the daemon. Cheap to import: every command-line query pays for it."""

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ..errors import DaemonNotRunning, ProtocolUnsupported, TimedOut
from ..native import private_files, trust
from ..native.facts import LOOPBACK

if TYPE_CHECKING:
    from pathlib import Path

SCHEMA = 1
WITHDRAWN_POLL_S = 0.05
LIMIT = 64 * 1024
"""Bytes. What we write has less than one thousand."""

START_HINT = "godot-supervisor start"

T = TypeVar("T")


class ProtocolRange(NamedTuple):
    """The versions that a daemon speaks, both included."""

    min: int
    max: int


class Endpoint(NamedTuple):
    """The daemon that wrote it, and its doors in the order in which to try them. The token stays out of reprs."""

    schema: int
    pid: int
    start_token: str
    instance_id: str
    version: str
    protocol: ProtocolRange
    token: str
    transports: tuple[Mapping[str, Any], ...]
    home: str | None = None
    """The home folder that it was published for; None: an earlier release did."""

    def __repr__(self) -> str:
        """Without the token."""
        return f"Endpoint(pid={self.pid}, instance_id={self.instance_id!r}, version={self.version!r})"


def read(path: "Path | str") -> Endpoint | None:
    """The endpoint that was published here; None: nobody did. Queries give the path as text: pathlib costs 5 ms.

    Raises:
        DaemonNotRunning: the file is there and makes no sense, or somebody else could have written it: whoever did
            would choose the process that gets our signals, and the program that we believe.
        ProtocolUnsupported: a later release wrote it.
    """
    try:
        text = private_files.patiently(lambda: trust.contents(path, LIMIT))
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable(path, f"cannot read {path}: {problem.strerror}", START_HINT) from problem
    except trust.DistrustedError as problem:
        hint = problem.fix if problem.foreign and problem.fix else START_HINT
        raise _unusable(path, f"the endpoint file is not to be trusted: {problem}", hint) from problem
    return decode(text)


def _unusable(path: "Path | str", problem: str, hint: str) -> DaemonNotRunning:
    return DaemonNotRunning(problem, hint=hint, data={"file": os.fspath(path)})


def publish(path: "Path", endpoint: Endpoint) -> None:
    """Write it, owner-only, in place of what is there; readers see the old file or the new one.

    Raises:
        OSError: the system refused.
    """
    draft = path.with_name(f"{path.name}.{endpoint.pid}.new")
    # What lies there is a dead daemon's, or somebody's trap.
    draft.unlink(missing_ok=True)
    with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
        file.write(encode(endpoint))
    private_files.replace(draft, path)


def withdraw(path: "Path", instance_id: str) -> None:
    """Remove what this instance published, and nobody else's.

    Raises:
        OSError: the system refused.
    """
    try:
        published = read(path)
    except (DaemonNotRunning, ProtocolUnsupported):
        return
    if published is not None and published.instance_id == instance_id:
        private_files.patiently(lambda: path.unlink(missing_ok=True))


def is_published(path: "Path | str", instance_id: str) -> bool:
    """Whether this instance's endpoint lies there. What makes no sense is nobody's."""
    try:
        found = read(path)
    except (DaemonNotRunning, ProtocolUnsupported):
        return False
    return found is not None and found.instance_id == instance_id


def wait_until_withdrawn(path: "Path | str", instance_id: str, deadline: float) -> None:
    """Wait until this instance is done: it takes its endpoint away last. `deadline`: on the monotonic clock.

    Raises:
        TimedOut: it is still at it.
    """
    while is_published(path, instance_id):
        if time.monotonic() >= deadline:
            raise TimedOut("the daemon was asked to stop and is still at it", hint="godot-supervisor logs")
        time.sleep(WITHDRAWN_POLL_S)


def encode(endpoint: Endpoint) -> bytes:
    """The contents of the file."""
    fields = {**endpoint._asdict(), "protocol": endpoint.protocol._asdict(), "transports": [*endpoint.transports]}
    if endpoint.home is None:
        del fields["home"]
    return json.dumps(fields).encode()


def decode(text: bytes) -> Endpoint:
    """The endpoint that these contents stand for. Unknown fields, and transports of unknown kinds, are skipped.

    Raises:
        DaemonNotRunning: they make no sense.
        ProtocolUnsupported: a later release wrote them.
    """
    try:
        found = json.loads(text)
        schema = _typed(found["schema"], int)
        if schema > SCHEMA:
            raise ProtocolUnsupported(
                f"a later release wrote the endpoint file (schema {schema})", hint="upgrade godot-supervisor"
            )
        protocol = found["protocol"]
        return Endpoint(
            schema=schema,
            pid=_typed(found["pid"], int),
            start_token=_typed(found["start_token"], str),
            instance_id=_typed(found["instance_id"], str),
            version=_typed(found["version"], str),
            protocol=ProtocolRange(_typed(protocol["min"], int), _typed(protocol["max"], int)),
            token=_typed(found["token"], str),
            transports=tuple(transport for transport in found["transports"] if _usable(transport)),
            home=None if found.get("home") is None else _typed(found["home"], str),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise DaemonNotRunning(
            "the endpoint file is damaged", hint=START_HINT, data={"problem": type(problem).__name__}
        ) from problem


class Present(NamedTuple):
    """What a daemon says of itself outside its home: see `native.presence`.

    `endpoint` is None while it starts or ends; `problem`: why its home cannot be used.
    """

    pid: int
    version: str
    endpoint: Endpoint | None
    problem: str | None = None

    def encode(self) -> bytes:
        """As it is sent."""
        said = None if self.endpoint is None else json.loads(encode(self.endpoint))
        return json.dumps(
            {"pid": self.pid, "version": self.version, "endpoint": said, "problem": self.problem}
        ).encode()


def decode_present(text: bytes) -> Present | None:
    """What these bytes say of the daemon that sent them; None: nothing that makes sense."""
    try:
        said = json.loads(text)
        published = None if said["endpoint"] is None else decode(json.dumps(said["endpoint"]).encode())
        problem = None if said["problem"] is None else _typed(said["problem"], str)
        return Present(_typed(said["pid"], int), _typed(said["version"], str), published, problem)
    except (ValueError, KeyError, TypeError, RecursionError, DaemonNotRunning):
        return None


def _usable(transport: Mapping[str, Any]) -> bool:
    if transport["kind"] == "unix":
        # A NUL at its beginning would name a socket that no folder guards; elsewhere it cannot be.
        path = _typed(transport["path"], str)
        return bool(os.fsencode(path)) and "\0" not in path
    if transport["kind"] == "tcp":
        # The token goes to this machine only, whatever the file says.
        return _typed(transport["host"], str) == LOOPBACK and 0 < _typed(transport["port"], int) <= 65535  # noqa: PLR2004
    return False


def _typed(value: Any, kind: type[T]) -> T:
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"expected {kind.__name__}")
    return value
