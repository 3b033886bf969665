"""The errors with which the daemon answers a request."""

from .base import Fault, SupervisorError


class ParseError(SupervisorError):
    """The bytes are not a JSON value, or are longer than a frame may be."""

    code = "PARSE_ERROR"
    fault = Fault.CALLER
    rpc_code = -32700


class InvalidRequest(SupervisorError):
    """The JSON value is not a JSON-RPC 2.0 request."""

    code = "INVALID_REQUEST"
    fault = Fault.CALLER
    rpc_code = -32600


class MethodNotFound(SupervisorError):
    """This version of the daemon has no such method."""

    code = "METHOD_NOT_FOUND"
    fault = Fault.CALLER
    rpc_code = -32601


class InvalidParams(SupervisorError):
    """A field is missing, has the wrong type, or has a value that is not possible; `data.field` names it."""

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
    """Another operation holds the server; this request has changed nothing."""

    code = "BUSY"
    fault = Fault.CALLER
    retryable = True


class EditorBusy(SupervisorError):
    """Another call runs on the editor, or the editor has said that it is busy; the call was not executed."""

    code = "EDITOR_BUSY"
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
    """There is no server, editor or request with this id."""

    code = "NOT_FOUND"
    fault = Fault.CALLER


class EditorGone(SupervisorError):
    """The editor's process has ended, or its pid now belongs to another process."""

    code = "EDITOR_GONE"
    fault = Fault.CALLER


class NotOurs(SupervisorError):
    """There is no proof that the daemon may act on this process."""

    code = "NOT_OURS"
    fault = Fault.CALLER


class PortsExhausted(SupervisorError):
    """Every port set of the kind is taken; `data.occupants` lists the processes that hold the ports."""

    code = "PORTS_EXHAUSTED"
    fault = Fault.ENVIRONMENT
    retryable = True


class StartFailed(SupervisorError):
    """The server did not become ready; `data.exit` is its exit status, `data.log_tail` the end of its log."""

    code = "START_FAILED"
    fault = Fault.SERVER
    retryable = True


class InstallFailed(SupervisorError):
    """The private environment could not be built; `data.output` has the last lines of the installer."""

    code = "INSTALL_FAILED"
    fault = Fault.ENVIRONMENT
    retryable = True


class StopFailed(SupervisorError):
    """A process of the server is still alive, or its ports are still held."""

    code = "STOP_FAILED"
    fault = Fault.SERVER
    retryable = True


class VersionConflict(SupervisorError):
    """The requested version cannot run beside the running server, or not for this editor."""

    code = "VERSION_CONFLICT"
    fault = Fault.CALLER


class KindUnknown(SupervisorError):
    """There is no kind of this name."""

    code = "KIND_UNKNOWN"
    fault = Fault.CALLER


class ConfigInvalid(SupervisorError):
    """The daemon cannot use config.toml as it is."""

    code = "CONFIG_INVALID"
    fault = Fault.CALLER


class StateNotWritable(SupervisorError):
    """The registry cannot be written; the daemon has not started or stopped anything."""

    code = "STATE_NOT_WRITABLE"
    fault = Fault.ENVIRONMENT
    retryable = True


class SystemExhausted(SupervisorError):
    """The system cannot give the daemon another thread; the daemon has not begun the operation."""

    code = "SYSTEM_EXHAUSTED"
    fault = Fault.ENVIRONMENT
    retryable = True


class ShuttingDown(SupervisorError):
    """The daemon is shutting down and takes no new work."""

    code = "SHUTTING_DOWN"
    retryable = True


class Internal(SupervisorError):
    """A defect of the daemon; `data.log` points to the entry with the traceback."""

    code = "INTERNAL"
    safe_to_retry = False
    rpc_code = -32603
