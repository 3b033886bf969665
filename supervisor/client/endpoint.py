"""The file endpoint.json, by which clients find the daemon. Cheap to import: every command-line query pays for it."""

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
BYTES_MAX = 64 * 1024
"""A file that is longer is damaged. A file that this release writes has less than one thousand."""

START_HINT = "godot-supervisor start"

T = TypeVar("T")


class ProtocolRange(NamedTuple):
    """The versions that a daemon speaks, both included."""

    min: int
    max: int


class Endpoint(NamedTuple):
    """The daemon that wrote the file, and its transports in the order to try. The token stays out of reprs."""

    schema: int
    pid: int
    start_token: str
    instance_id: str
    version: str
    protocol: ProtocolRange
    token: str
    transports: tuple[Mapping[str, Any], ...]
    home: str | None = None
    """The home folder that the endpoint was published for. None if an earlier release published it."""

    def __repr__(self) -> str:
        """Return a text without the token."""
        return f"Endpoint(pid={self.pid}, instance_id={self.instance_id!r}, version={self.version!r})"


def read(path: "Path | str") -> Endpoint | None:
    """Return the endpoint in this file. Returns None if there is no file.

    Queries give the path as text, because pathlib costs 5 ms.

    Raises:
        DaemonNotRunning: the file is damaged, or another user could have written it. That user would choose the
            process that gets our signals, and the program that we trust.
        ProtocolUnsupported: a later release wrote the file.
    """
    try:
        text = private_files.retry_while_open(lambda: trust.contents(path, BYTES_MAX))
    except FileNotFoundError:
        return None
    except OSError as problem:
        raise _unusable_file(path, f"cannot read {path}: {problem.strerror}", START_HINT) from problem
    except trust.DistrustedError as problem:
        hint = problem.fix if problem.foreign and problem.fix else START_HINT
        raise _unusable_file(path, f"the endpoint file cannot be trusted: {problem}", hint) from problem
    return decode(text)


def _unusable_file(path: "Path | str", problem: str, hint: str) -> DaemonNotRunning:
    return DaemonNotRunning(problem, hint=hint, data={"file": os.fspath(path)})


def publish(path: "Path", endpoint: Endpoint) -> None:
    """Replace the file, readable by its owner only. Readers see the old file or the new one.

    Raises:
        OSError: the system refused.
    """
    draft = path.with_name(f"{path.name}.{endpoint.pid}.new")
    # A draft that already exists is a dead daemon's, or a trap of another user.
    draft.unlink(missing_ok=True)
    with os.fdopen(private_files.create(draft, fresh=True), "wb") as file:
        file.write(encode(endpoint))
    private_files.replace(draft, path)


def withdraw(path: "Path", instance_id: str) -> None:
    """Remove the file if this instance published it.

    Raises:
        OSError: the system refused.
    """
    try:
        published = read(path)
    except (DaemonNotRunning, ProtocolUnsupported):
        return
    if published is not None and published.instance_id == instance_id:
        private_files.retry_while_open(lambda: path.unlink(missing_ok=True))


def is_published(path: "Path | str", instance_id: str) -> bool:
    """Return whether this instance's endpoint is in the file. A damaged file is no instance's."""
    try:
        found = read(path)
    except (DaemonNotRunning, ProtocolUnsupported):
        return False
    return found is not None and found.instance_id == instance_id


def wait_until_withdrawn(path: "Path | str", instance_id: str, deadline: float) -> None:
    """Wait until this instance has ended, which removes its endpoint last. `deadline` is monotonic, seconds.

    Raises:
        TimedOut: the instance has not ended before the deadline.
    """
    while is_published(path, instance_id):
        if time.monotonic() >= deadline:
            raise still_stopping_error()
        time.sleep(WITHDRAWN_POLL_S)


def still_stopping_error() -> TimedOut:
    """Return the error for a daemon that has not stopped in time."""
    return TimedOut("the daemon was asked to stop and is still stopping", hint="godot-supervisor logs --daemon")


def encode(endpoint: Endpoint) -> bytes:
    """Return the contents of the file."""
    fields = {**endpoint._asdict(), "protocol": endpoint.protocol._asdict(), "transports": [*endpoint.transports]}
    if endpoint.home is None:
        del fields["home"]
    return json.dumps(fields).encode()


def decode(text: bytes) -> Endpoint:
    """Return the endpoint in these contents. Unknown fields, and transports of unknown kinds, are skipped.

    Raises:
        DaemonNotRunning: the contents are damaged.
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
            transports=tuple(transport for transport in found["transports"] if _can_be_used(transport)),
            home=None if found.get("home") is None else _typed(found["home"], str),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as problem:
        raise DaemonNotRunning(
            "the endpoint file is damaged", hint=START_HINT, data={"problem": type(problem).__name__}
        ) from problem


class PresenceReply(NamedTuple):
    """What a daemon answers through its presence, to a client that finds nothing in its home: see `native.presence`."""

    pid: int
    version: str
    endpoint: Endpoint | None
    """None while the daemon starts or ends."""
    problem: str | None = None
    """Why the daemon cannot use its home. None if it can."""

    def encode(self) -> bytes:
        """Return the bytes to send."""
        published = None if self.endpoint is None else json.loads(encode(self.endpoint))
        return json.dumps(
            {"pid": self.pid, "version": self.version, "endpoint": published, "problem": self.problem}
        ).encode()


def decode_presence_reply(text: bytes) -> PresenceReply | None:
    """Return the reply in these bytes. Returns None if they are damaged."""
    try:
        answer = json.loads(text)
        published = None if answer["endpoint"] is None else decode(json.dumps(answer["endpoint"]).encode())
        problem = None if answer["problem"] is None else _typed(answer["problem"], str)
        return PresenceReply(_typed(answer["pid"], int), _typed(answer["version"], str), published, problem)
    except (ValueError, KeyError, TypeError, RecursionError, DaemonNotRunning):
        return None


def _can_be_used(transport: Mapping[str, Any]) -> bool:
    """Return whether this client knows the transport, and may send the token over it.

    Raises:
        KeyError, TypeError: the transport is damaged.
    """
    if transport["kind"] == "unix":
        # A path that begins with NUL names an abstract socket, which no folder protects. No other path has a NUL.
        path = _typed(transport["path"], str)
        return bool(os.fsencode(path)) and "\0" not in path
    if transport["kind"] == "tcp":
        # The client sends the token to this machine only, even if the file names another host.
        return _typed(transport["host"], str) == LOOPBACK and 0 < _typed(transport["port"], int) <= 65535  # noqa: PLR2004
    return False


def _typed(value: Any, kind: type[T]) -> T:
    """Return the value if it is of this type. Otherwise raise TypeError."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"expected {kind.__name__}")
    return value
