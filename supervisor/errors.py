"""One tree of errors. Each class carries its stable wire code, whose fault it is, and what the caller can do next."""

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any, ClassVar, Self


class Fault(StrEnum):
    """Who has to change something before the same call can succeed."""

    CALLER = "caller"
    ENVIRONMENT = "environment"
    SERVER = "server"
    DAEMON = "daemon"


QUOTED_MAX = 100


def quoted(value: object) -> str:
    """Return a value as an error may quote it: on one line, and not at any length."""
    text = repr(value)
    return text if len(text) <= QUOTED_MAX else f"{text[: QUOTED_MAX - 3]}..."


def allowed_names(wrong: str, allowed: Iterable[str]) -> str:
    """Return the hint for a name that is none of those allowed: the nearest one first."""
    # Late: only who has mistyped something pays for it.
    import difflib

    names = list(allowed)
    near = difflib.get_close_matches(wrong, names, n=1) if len(wrong) <= QUOTED_MAX else []
    return "".join(f"did you mean {name}? " for name in near) + "allowed: " + ", ".join(names)


class SupervisorError(Exception):
    """Base of everything that may reach a user or the wire.

    `retryable`: the same call may succeed later. `safe_to_retry`: repeating it cannot do anything twice.
    `data` holds further JSON-ready fields; it never holds a secret.
    """

    code: ClassVar[str] = "INTERNAL"
    fault: ClassVar[Fault] = Fault.DAEMON
    retryable: ClassVar[bool] = False
    safe_to_retry: ClassVar[bool] = True
    rpc_code: ClassVar[int] = -32000

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        retry_after_ms: int | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.retry_after_ms = retry_after_ms
        self.data = dict(data or {})

    def __copy__(self) -> Self:
        """The same error without its traceback, whose frames hold whoever it was raised to."""
        twin = type(self).__new__(type(self), *self.args)
        twin.__dict__.update(self.__dict__)
        return twin

    def to_wire(self) -> dict[str, Any]:
        """The JSON-RPC error object."""
        return {
            "code": self.rpc_code,
            "message": self.message,
            "data": {
                **self.data,
                "code": self.code,
                "fault": self.fault.value,
                "retryable": self.retryable,
                "safe_to_retry": self.safe_to_retry,
                "retry_after_ms": self.retry_after_ms,
                "hint": self.hint,
            },
        }


class ParseError(SupervisorError):
    """The bytes are no JSON value, or longer than a frame may be."""

    code = "PARSE_ERROR"
    fault = Fault.CALLER
    rpc_code = -32700


class InvalidRequest(SupervisorError):
    """JSON, but no JSON-RPC 2.0 request."""

    code = "INVALID_REQUEST"
    fault = Fault.CALLER
    rpc_code = -32600


class MethodNotFound(SupervisorError):
    """No such verb in this version of the daemon."""

    code = "METHOD_NOT_FOUND"
    fault = Fault.CALLER
    rpc_code = -32601


class InvalidParams(SupervisorError):
    """A field is missing, has the wrong type, or names something that cannot be."""

    code = "INVALID_PARAMS"
    fault = Fault.CALLER
    rpc_code = -32602

    def __init__(self, field: str, problem: str, *, hint: str | None = None) -> None:
        super().__init__(f"{field}: {problem}", hint=hint, data={"field": field})
        self.field = field


class Unauthorized(SupervisorError):
    """The token or the peer's user is wrong."""

    code = "UNAUTHORIZED"
    fault = Fault.CALLER


class ProtocolUnsupported(SupervisorError):
    """Client and daemon share no protocol version."""

    code = "PROTOCOL_UNSUPPORTED"
    fault = Fault.CALLER


class Busy(SupervisorError):
    """Another operation holds the server; nothing was done."""

    code = "BUSY"
    fault = Fault.CALLER
    retryable = True


class TimedOut(SupervisorError):
    """The operation did not end before its deadline."""

    code = "TIMEOUT"
    fault = Fault.ENVIRONMENT
    retryable = True
    safe_to_retry = False


class Cancelled(SupervisorError):
    """The operation was cancelled before its point of no return."""

    code = "CANCELLED"
    fault = Fault.CALLER
    retryable = True


class NotFound(SupervisorError):
    """No server, editor or request of that id."""

    code = "NOT_FOUND"
    fault = Fault.CALLER


class EditorGone(SupervisorError):
    """The editor's process has ended, or its pid belongs to another process now."""

    code = "EDITOR_GONE"
    fault = Fault.CALLER


class NotOurs(SupervisorError):
    """There is no proof that we may act on this process."""

    code = "NOT_OURS"
    fault = Fault.CALLER


class PortsExhausted(SupervisorError):
    """Every port set of the kind is taken; `data.occupants` lists by whom."""

    code = "PORTS_EXHAUSTED"
    fault = Fault.ENVIRONMENT
    retryable = True


class StartFailed(SupervisorError):
    """The server did not become ready; `data` has exit status and log tail."""

    code = "START_FAILED"
    fault = Fault.SERVER
    retryable = True


class InstallFailed(SupervisorError):
    """The private environment could not be made; `data.output` has the installer's last lines."""

    code = "INSTALL_FAILED"
    fault = Fault.ENVIRONMENT
    retryable = True


class StopFailed(SupervisorError):
    """Something of the server's tree is still alive, or its ports are still held."""

    code = "STOP_FAILED"
    fault = Fault.SERVER
    retryable = True


class VersionConflict(SupervisorError):
    """The version asked for cannot be served beside what runs, or for this editor."""

    code = "VERSION_CONFLICT"
    fault = Fault.CALLER


class KindUnknown(SupervisorError):
    """No recipe of that name."""

    code = "KIND_UNKNOWN"
    fault = Fault.CALLER


class ConfigInvalid(SupervisorError):
    """config.toml cannot be used as it stands."""

    code = "CONFIG_INVALID"
    fault = Fault.CALLER


class StateNotWritable(SupervisorError):
    """The registry cannot be written; nothing was started or stopped."""

    code = "STATE_NOT_WRITABLE"
    fault = Fault.ENVIRONMENT
    retryable = True


class SystemExhausted(SupervisorError):
    """The system has no thread for the daemon now; what needed one was not begun."""

    code = "SYSTEM_EXHAUSTED"
    fault = Fault.ENVIRONMENT
    retryable = True


class ShuttingDown(SupervisorError):
    """The daemon is on its way out and takes no new work."""

    code = "SHUTTING_DOWN"
    retryable = True


class Internal(SupervisorError):
    """A defect of the daemon; `data.log` points to the entry with the traceback."""

    code = "INTERNAL"
    safe_to_retry = False
    rpc_code = -32603


class PlatformUnsupported(SupervisorError):
    """This operating system has no wing in `native/`."""

    code = "PLATFORM_UNSUPPORTED"
    fault = Fault.ENVIRONMENT


class ServiceRefused(SupervisorError):
    """Client side: the system's service manager is not there, or refused; `data.output` has what it said."""

    code = "SERVICE_REFUSED"
    fault = Fault.ENVIRONMENT


class DaemonNotRunning(SupervisorError):
    """Client side: nobody answers at the endpoint."""

    code = "DAEMON_NOT_RUNNING"
    fault = Fault.CALLER
    retryable = True


class DaemonUnreachable(SupervisorError):
    """Client side: a daemon runs, and what it published is not there, damaged, or not to be trusted; `data.pid`."""

    code = "DAEMON_UNREACHABLE"
    fault = Fault.ENVIRONMENT
    retryable = True


class OutputRefused(SupervisorError):
    """Client side: what was done could not be printed: a full disk."""

    code = "OUTPUT_REFUSED"
    fault = Fault.ENVIRONMENT
    safe_to_retry = False


class DisconnectedBeforeAccept(SupervisorError):
    """Client side: the connection ended before `accepted`; the operation may not have begun."""

    code = "DISCONNECTED_BEFORE_ACCEPT"
    retryable = True
    safe_to_retry = False


class DisconnectedAfterAccept(SupervisorError):
    """Client side: the connection ended after `accepted`; the operation may still complete."""

    code = "DISCONNECTED_AFTER_ACCEPT"
    retryable = True
    safe_to_retry = False


class AcceptTimeout(SupervisorError):
    """Client side: no `accepted` and no error in time."""

    code = "ACCEPT_TIMEOUT"
    retryable = True
    safe_to_retry = False


class ResponseTimeout(SupervisorError):
    """Client side: accepted, but no result before the deadline."""

    code = "RESPONSE_TIMEOUT"
    retryable = True
    safe_to_retry = False
