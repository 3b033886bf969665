"""A blocking client. Cheap to import: every command-line query pays for it."""

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Self

from ..errors import (
    Cancelled,
    DaemonNotRunning,
    Fault,
    InvalidParams,
    InvalidRequest,
    ParseError,
    ProtocolUnsupported,
    SupervisorError,
)
from ..native.facts import SYSTEM
from ..wire import framing, jsonrpc
from .dial import dial
from .endpoint import START_HINT, Endpoint
from .stream import Stream, Told
from .timeouts import FOREVER, CallTimeout, StreamTimeout, Wait

PROTOCOL = 1
ACCEPT_TIMEOUT_S = 2.0
CANCEL_PATIENCE_S = 30.0
"""A start that is undone ends what it has started: `stop_timeout_s`, and the kill after it."""

LONGEST_WAIT_S = 0.5 if SYSTEM == "windows" else FOREVER
"""Ctrl-C does not end a wait for a socket on Windows: it is heard between two of them."""


class Withdrawn(Enum):
    """What became of a request whose client no longer wanted it."""

    UNDONE = "undone"
    DONE = "done"
    GOES_ON = "goes on"


Report = Callable[[Mapping[str, Any]], object]


class RemoteError(SupervisorError):
    """The daemon's answer is an error. Every attribute is what the daemon sent."""

    def __init__(self, error: Mapping[str, Any]) -> None:
        """Take over a JSON-RPC error object, whatever of it is there."""
        data = error.get("data")
        said = dict(data) if isinstance(data, dict) else {}
        code, fault, hint, after = (said.pop(name, None) for name in ("code", "fault", "hint", "retry_after_ms"))
        retryable, safe_to_retry = (said.pop(name, None) is True for name in ("retryable", "safe_to_retry"))
        super().__init__(
            str(error.get("message", "")),
            hint=hint if isinstance(hint, str) else None,
            retry_after_ms=after if isinstance(after, int) else None,
            data=said,
        )
        # Class variables everywhere else in the tree; here they are what this one reply says.
        vars(self).update(
            code=code if isinstance(code, str) else SupervisorError.code,
            fault=Fault(fault) if fault in [*Fault] else Fault.DAEMON,
            retryable=retryable,
            safe_to_retry=safe_to_retry,
            rpc_code=error.get("code", SupervisorError.rpc_code),
        )


class Client:
    """One connection, one call at a time. Use it in a `with` statement, or close it."""

    def __init__(self, connection: socket.socket) -> None:
        """Speak over a connected socket, which is the client's from now on."""
        self._socket = connection
        self._decoder = framing.LineDecoder()
        self._lines: deque[bytes] = deque()
        self._calls = 0
        self._streams: dict[int, deque[Told]] = {}
        self.daemon: Mapping[str, Any] = {}
        """The daemon's answer to `hello`."""

    @classmethod
    def connect(cls, endpoint: Endpoint, timeout_s: float = 2.0) -> Self:
        """Connect by the first transport that works, and say hello.

        Raises:
            DaemonNotRunning: nobody answers there, or somebody else.
            ProtocolUnsupported: we speak none of the daemon's versions.
            RemoteError: the daemon turned us away.
        """
        if not endpoint.protocol.min <= PROTOCOL <= endpoint.protocol.max:
            raise ProtocolUnsupported(
                f"the daemon ({endpoint.version}) speaks another protocol", hint="godot-supervisor restart --daemon"
            )
        deadline = time.monotonic() + timeout_s
        client = cls(dial(endpoint, deadline))
        try:
            client._greet(endpoint, max(0.001, deadline - time.monotonic()))
        except BaseException:
            client.close()
            raise
        return client

    def call(
        self,
        method: str,
        params: Mapping[str, Any] | None = None,
        *,
        on_accepted: Report | None = None,
        on_progress: Report | None = None,
        accept_timeout_s: float = ACCEPT_TIMEOUT_S,
        timeout_s: float | None = None,
    ) -> Any:
        """Ask, and wait for the answer.

        Args:
            method: a verb.
            params: its params, JSON-ready.
            on_accepted: called with the params of `accepted`.
            on_progress: called with the params of each `progress`.
            accept_timeout_s: how long until `accepted`, or the answer to a read.
            timeout_s: bounds the whole call; None: as long as the daemon says.

        Returns:
            The result, as JSON.

        Raises:
            RemoteError: the daemon answered with an error.
            AcceptTimeout, ResponseTimeout, DisconnectedBeforeAccept, DisconnectedAfterAccept: no answer.
            InvalidParams: the params are too long for a frame.
        """
        _, answer = self._ask(method, params or {}, on_accepted, on_progress, accept_timeout_s, timeout_s)
        return answer

    def stream(
        self, method: str, params: Mapping[str, Any] | None = None, *, accept_timeout_s: float = ACCEPT_TIMEOUT_S
    ) -> Stream:
        """Ask for what goes on after its answer. Other calls may be made on the connection meanwhile.

        Args:
            method: `events.subscribe`, or `logs.read` with `follow`.
            params: its params, JSON-ready.
            accept_timeout_s: how long until the answer.

        Raises:
            RemoteError, AcceptTimeout, DisconnectedBeforeAccept, InvalidParams: as `call`.
        """
        identifier, answer = self._ask(method, params or {}, None, None, accept_timeout_s, None)

        def wait(until: float) -> None:
            told = self._receive(method, StreamTimeout(until))
            if isinstance(told, jsonrpc.Notification):
                self._keep(told)

        # What came in one piece with the answer is read after it, so nothing has been missed.
        kept = self._streams[identifier] = deque()
        return Stream(answer, kept, wait=wait, catch_up=lambda: self.call("ping"))

    def withdraw(self, request: str, timeout_s: float) -> Withdrawn:
        """Say that the mutation whose call was interrupted is no longer wanted, and hear what comes of it.

        Args:
            request: the `request` id that it was given.
            timeout_s: how long an undoing may take.

        Raises:
            RemoteError: it has failed meanwhile.
            AcceptTimeout, ResponseTimeout, DisconnectedBeforeAccept, DisconnectedAfterAccept: nobody tells.
        """
        interrupted = self._calls
        patience = CallTimeout(time.monotonic(), accept_timeout_s=timeout_s)
        cancel = self._send("request.cancel", {"request": request}, patience)
        while True:
            match self._receive("request.cancel", patience):
                case jsonrpc.Success(answered, _) if answered == interrupted:
                    return Withdrawn.DONE
                case jsonrpc.Failure(answered, error) if answered == interrupted:
                    problem = RemoteError(error)
                    if problem.code == Cancelled.code:
                        return Withdrawn.UNDONE
                    raise problem
                case jsonrpc.Success(answered, result) if answered == cancel and result.get("goes_on"):
                    return Withdrawn.GOES_ON
                case jsonrpc.Failure(answered, error) if answered == cancel:
                    raise RemoteError(error)

    def has_ended(self) -> bool:
        """Whether the daemon has closed the connection. What it may still say is passed over."""
        try:
            self._socket.settimeout(0)
            return not self._socket.recv(65536)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """End the connection. Harmless when repeated."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _ask(
        self,
        method: str,
        params: Mapping[str, Any],
        on_accepted: Report | None,
        on_progress: Report | None,
        accept_timeout_s: float,
        timeout_s: float | None,
    ) -> tuple[int, Any]:
        patience = CallTimeout(
            time.monotonic(), accept_timeout_s=accept_timeout_s, timeout_s=timeout_s, named="request" in params
        )
        identifier = self._send(method, params, patience)
        while True:
            match self._receive(method, patience):
                case jsonrpc.Success(answered, result) if answered == identifier:
                    return identifier, result
                # Without an id the daemon could not tell which: one call at a time, so it is this one.
                case jsonrpc.Failure(answered, error) if answered in (identifier, None):
                    raise RemoteError(error)
                case jsonrpc.Notification("accepted", told) if told.get("id") == identifier:
                    patience.accepted(time.monotonic(), _seconds(told.get("deadline_s")))
                    _report(on_accepted, told)
                case jsonrpc.Notification("progress", told) if told.get("id") == identifier:
                    patience.progress(time.monotonic(), told.get("stage", ""))
                    _report(on_progress, told)
                case jsonrpc.Notification() as told:
                    self._keep(told)

    def _keep(self, told: jsonrpc.Notification) -> None:
        """Put a notification where its stream finds it. One with no id, or null, is for all of them."""
        for identifier, kept in self._streams.items():
            if told.params.get("id") in (None, identifier):
                kept.append(told)

    def _greet(self, endpoint: Endpoint, timeout_s: float) -> None:
        introduction = {"name": "godot-supervisor", "version": endpoint.version}
        params = {"protocol": PROTOCOL, "token": endpoint.token, "client": introduction}
        try:
            self.daemon = self.call("hello", params, accept_timeout_s=timeout_s)
        except RemoteError as problem:
            # The token is the endpoint's own: who does not know it is not who wrote the endpoint.
            if problem.code != "UNAUTHORIZED":
                raise
            raise _stale() from problem
        except SupervisorError as problem:
            raise DaemonNotRunning(f"no daemon at the endpoint: {problem.message}", hint=START_HINT) from problem
        if not isinstance(self.daemon, dict) or self.daemon.get("instance_id") != endpoint.instance_id:
            raise _stale()

    def _send(self, method: str, params: Mapping[str, Any], patience: CallTimeout) -> int:
        self._calls += 1
        try:
            frame = framing.encode(jsonrpc.request(self._calls, method, dict(params)))
        except ValueError as problem:
            raise InvalidParams("params", str(problem)) from problem
        try:
            self._socket.settimeout(_left(patience))
            self._socket.sendall(frame)
        except TimeoutError:
            # Half a frame may have gone out: nothing can follow it.
            self.close()
            raise patience.timed_out(method) from None
        except OSError:
            # The daemon has closed; why it did may still be there to be read, and if not, reading says so.
            return self._calls
        return self._calls

    def _receive(self, method: str, wait: Wait) -> jsonrpc.Success | jsonrpc.Failure | jsonrpc.Notification:
        try:
            while not self._lines:
                data = self._read(wait)
                if not data:
                    raise ConnectionResetError
                self._lines.extend(self._decoder.feed(data))
            return jsonrpc.parse_reply(self._lines.popleft())
        except TimeoutError:
            raise wait.timed_out(method) from None
        except (OSError, ParseError, InvalidRequest) as problem:
            self.close()
            raise wait.disconnected(method) from problem

    def _read(self, wait: Wait) -> bytes:
        while True:
            pause = min(_left(wait), LONGEST_WAIT_S)
            self._socket.settimeout(pause if pause < FOREVER else None)
            try:
                return self._socket.recv(65536)
            except TimeoutError:
                # Only a pause: when time is really up, `_left` says so.
                continue


def _left(wait: Wait) -> float:
    left = wait.deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _report(listener: Report | None, told: Mapping[str, Any]) -> None:
    if listener is not None:
        listener(told)


def _stale() -> DaemonNotRunning:
    return DaemonNotRunning("the endpoint file is stale: another daemon answers there", hint=START_HINT)
