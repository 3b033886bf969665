"""A blocking client of the daemon. Cheap to import: every command-line query pays for it."""

import socket
import time
from collections import deque
from collections.abc import Callable
from enum import Enum
from typing import Any, Self

from ..errors import Cancelled, DaemonNotRunning, Fault, ProtocolUnsupported, SupervisorError
from ..wire import jsonrpc
from .connection import DaemonConnection
from .dial import dial
from .endpoint import START_HINT, Endpoint
from .json_object import JsonObject
from .stream import Notice, Stream
from .timeouts import CallTimeout, StreamTimeout

PROTOCOL = 1
ACCEPT_TIMEOUT_S = 2.0
CANCEL_TIMEOUT_S = 30.0
"""How long cancelling may take. A start that is cancelled ends its process: `stop_timeout_s`, and the kill after it."""


class CancelOutcome(Enum):
    """The effect of a `request.cancel` on the request that it names."""

    UNDONE = "undone"
    ALREADY_DONE = "already done"
    CONTINUES = "continues"


Callback = Callable[[JsonObject], object]
"""Called with the params of a notification."""


class RemoteError(SupervisorError):
    """An error that the daemon answered with. Every attribute has the value that the daemon sent."""

    def __init__(self, error: JsonObject) -> None:
        """Take over the fields of a JSON-RPC error object; missing and malformed ones get defaults."""
        data = error.get("data")
        received = dict(data) if isinstance(data, dict) else {}
        code, fault, hint, after = (received.pop(name, None) for name in ("code", "fault", "hint", "retry_after_ms"))
        retryable, safe_to_retry = (received.pop(name, None) is True for name in ("retryable", "safe_to_retry"))
        super().__init__(
            str(error.get("message", "")),
            hint=hint if isinstance(hint, str) else None,
            retry_after_ms=after if isinstance(after, int) else None,
            data=received,
        )
        # Class variables in every other error class; here they depend on this one reply.
        vars(self).update(
            code=code if isinstance(code, str) else SupervisorError.code,
            fault=Fault(fault) if fault in [*Fault] else Fault.DAEMON,
            retryable=retryable,
            safe_to_retry=safe_to_retry,
            rpc_code=error.get("code", SupervisorError.rpc_code),
        )


class Client:
    """One connection to the daemon, one call at a time. Use it in a `with` statement, or close it."""

    def __init__(self, connected: socket.socket) -> None:
        """Use a connected socket, which belongs to the client from now on."""
        self._connection = DaemonConnection(connected)
        self._last_id = 0
        self._streams: dict[int, deque[Notice]] = {}
        self.daemon: JsonObject = {}
        """The daemon's answer to `hello`."""

    @classmethod
    def connect(cls, endpoint: Endpoint, timeout_s: float = 2.0) -> Self:
        """Connect by the first transport that works, and say hello.

        Raises:
            DaemonNotRunning: no program answers at the endpoint, or another program than this daemon.
            ProtocolUnsupported: the daemon speaks none of this client's protocol versions.
            RemoteError: the daemon refused the connection.
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
        params: JsonObject | None = None,
        *,
        on_accepted: Callback | None = None,
        on_progress: Callback | None = None,
        accept_timeout_s: float = ACCEPT_TIMEOUT_S,
        timeout_s: float | None = None,
    ) -> Any:
        """Call a method, and wait for the answer.

        Args:
            method: its name.
            params: its params, JSON-ready.
            on_accepted: called with the params of `accepted`.
            on_progress: called with the params of each `progress`.
            accept_timeout_s: how long to wait for `accepted`, or for the answer to a read.
            timeout_s: limits the whole call; None: the daemon's own deadline does.

        Returns:
            The result, as JSON.

        Raises:
            RemoteError: the daemon answered with an error.
            AcceptTimeout, ResponseTimeout, DisconnectedBeforeAccept, DisconnectedAfterAccept: no answer came.
            InvalidParams: the params are too long for a frame.
        """
        _, answer = self._call_with_id(method, params or {}, on_accepted, on_progress, accept_timeout_s, timeout_s)
        return answer

    def stream(
        self, method: str, params: JsonObject | None = None, *, accept_timeout_s: float = ACCEPT_TIMEOUT_S
    ) -> Stream:
        """Call a method whose answer is followed by notifications. The connection stays free for other calls.

        Args:
            method: `events.subscribe`, or `logs.read` with `follow`.
            params: its params, JSON-ready.
            accept_timeout_s: how long to wait for the answer.

        Raises:
            RemoteError, AcceptTimeout, DisconnectedBeforeAccept, InvalidParams: as `call`.
        """
        identifier, answer = self._call_with_id(method, params or {}, None, None, accept_timeout_s, None)

        def wait(until: float) -> None:
            message = self._connection.receive(method, StreamTimeout(until))
            if isinstance(message, jsonrpc.Notification):
                self._keep(message)

        # Notifications that arrived in one packet with the answer are parsed after it, so none was missed.
        kept = self._streams[identifier] = deque()
        return Stream(answer, kept, wait=wait, catch_up=lambda: self.call("ping"))

    def cancel(self, request: str, timeout_s: float) -> CancelOutcome:
        """Cancel the mutation whose call was interrupted, and return the effect.

        Args:
            request: the `request` id that the mutation was sent with.
            timeout_s: how long undoing it may take.

        Raises:
            RemoteError: the mutation had failed before.
            AcceptTimeout, ResponseTimeout, DisconnectedBeforeAccept, DisconnectedAfterAccept: no answer came.
        """
        interrupted = self._last_id
        timeout = CallTimeout(time.monotonic(), accept_timeout_s=timeout_s)
        cancel = self._send("request.cancel", {"request": request}, timeout)
        while True:
            match self._connection.receive("request.cancel", timeout):
                case jsonrpc.Success(answered, _) if answered == interrupted:
                    return CancelOutcome.ALREADY_DONE
                case jsonrpc.Failure(answered, error) if answered == interrupted:
                    problem = RemoteError(error)
                    if problem.code == Cancelled.code:
                        return CancelOutcome.UNDONE
                    raise problem
                case jsonrpc.Success(answered, result) if answered == cancel and result.get("goes_on"):
                    return CancelOutcome.CONTINUES
                case jsonrpc.Failure(answered, error) if answered == cancel:
                    raise RemoteError(error)

    def has_ended(self) -> bool:
        """Return whether the daemon has closed the connection. Messages that are still unread are discarded."""
        return self._connection.has_ended()

    def detach(self) -> socket.socket:
        """Return the socket, on which the daemon was greeted. The client is not used any more."""
        return self._connection.detach()

    def close(self) -> None:
        """Close the connection. Harmless when repeated."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def _call_with_id(
        self,
        method: str,
        params: JsonObject,
        on_accepted: Callback | None,
        on_progress: Callback | None,
        accept_timeout_s: float,
        timeout_s: float | None,
    ) -> tuple[int, Any]:
        """Call a method as `call` does, and return the id of the request, and the result."""
        timeout = CallTimeout(
            time.monotonic(), accept_timeout_s=accept_timeout_s, timeout_s=timeout_s, has_request_id="request" in params
        )
        identifier = self._send(method, params, timeout)
        while True:
            match self._connection.receive(method, timeout):
                case jsonrpc.Success(answered, result) if answered == identifier:
                    return identifier, result
                # An error without an id belongs to this call, because only one call runs at a time.
                case jsonrpc.Failure(answered, error) if answered in (identifier, None):
                    raise RemoteError(error)
                case jsonrpc.Notification("accepted", received) if received.get("id") == identifier:
                    timeout.note_accepted(time.monotonic(), _seconds(received.get("deadline_s")))
                    _pass_on(received, on_accepted)
                case jsonrpc.Notification("progress", received) if received.get("id") == identifier:
                    timeout.note_progress(time.monotonic(), received.get("stage", ""))
                    _pass_on(received, on_progress)
                case jsonrpc.Notification() as notification:
                    self._keep(notification)

    def _keep(self, notification: jsonrpc.Notification) -> None:
        """Queue a notification for its stream. Without an id, or with a null one, every stream gets it."""
        for identifier, kept in self._streams.items():
            if notification.params.get("id") in (None, identifier):
                kept.append(notification)

    def _greet(self, endpoint: Endpoint, timeout_s: float) -> None:
        """Say hello, and check that the daemon is the one that published the endpoint."""
        introduction = {"name": "godot-supervisor", "version": endpoint.version}
        params = {"protocol": PROTOCOL, "token": endpoint.token, "client": introduction}
        try:
            self.daemon = self.call("hello", params, accept_timeout_s=timeout_s)
        except RemoteError as problem:
            # The token comes from the endpoint, so a daemon that refuses it did not write the endpoint.
            if problem.code != "UNAUTHORIZED":
                raise
            raise _stale_endpoint_error() from problem
        except SupervisorError as problem:
            raise DaemonNotRunning(f"no daemon at the endpoint: {problem.message}", hint=START_HINT) from problem
        if not isinstance(self.daemon, dict) or self.daemon.get("instance_id") != endpoint.instance_id:
            raise _stale_endpoint_error()

    def _send(self, method: str, params: JsonObject, timeout: CallTimeout) -> int:
        """Send a request, and return its id."""
        self._last_id += 1
        self._connection.send(self._last_id, method, params, timeout)
        return self._last_id


def _seconds(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def _pass_on(params: JsonObject, callback: Callback | None) -> None:
    if callback is not None:
        callback(params)


def _stale_endpoint_error() -> DaemonNotRunning:
    return DaemonNotRunning("the endpoint file is stale: another daemon answers there", hint=START_HINT)
