"""The errors that the daemon never answers: a command, a client, or a daemon that cannot start raises them."""

from .base import Fault, SupervisorError


class PlatformUnsupported(SupervisorError):
    """This operating system has no platform in `native/`."""

    code = "PLATFORM_UNSUPPORTED"
    fault = Fault.ENVIRONMENT


class ServiceRefused(SupervisorError):
    """Client side: the system's service manager is missing or has refused; `data.output` has its output."""

    code = "SERVICE_REFUSED"
    fault = Fault.ENVIRONMENT


class DaemonNotRunning(SupervisorError):
    """Client side: no daemon answers at the endpoint."""

    code = "DAEMON_NOT_RUNNING"
    fault = Fault.CALLER
    retryable = True


class DaemonUnreachable(SupervisorError):
    """Client side: a daemon runs, but its endpoint file is missing, damaged or not trusted; `data.pid` is its pid."""

    code = "DAEMON_UNREACHABLE"
    fault = Fault.ENVIRONMENT
    retryable = True


class OutputRefused(SupervisorError):
    """Client side: the operation succeeded, but its result could not be printed (full disk)."""

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
    """Client side: the daemon sent neither `accepted` nor an error in time."""

    code = "ACCEPT_TIMEOUT"
    retryable = True
    safe_to_retry = False


class ResponseTimeout(SupervisorError):
    """Client side: the daemon accepted the request, but sent no result before the deadline."""

    code = "RESPONSE_TIMEOUT"
    retryable = True
    safe_to_retry = False


class ClientFileInvalid(SupervisorError):
    """A user's file cannot be understood, so it was not changed; `data` has `file`, and `line` if known."""

    code = "CLIENT_FILE_INVALID"
    fault = Fault.ENVIRONMENT


class ClientFileUnusable(SupervisorError):
    """A user's file cannot be read or replaced, so it was not changed; `data.file` names it."""

    code = "CLIENT_FILE_UNUSABLE"
    fault = Fault.ENVIRONMENT


class ClientFileChanged(SupervisorError):
    """Another program has changed a user's file while it was edited, so it was not changed here."""

    code = "CLIENT_FILE_CHANGED"
    fault = Fault.ENVIRONMENT
    retryable = True


class ClientEntryNotOurs(SupervisorError):
    """An AI client's file has an entry of this name that does not start the MCP bridge; it was not changed."""

    code = "CLIENT_ENTRY_NOT_OURS"
    fault = Fault.CALLER


class ClientScopeMissing(SupervisorError):
    """The AI client has no file for this scope."""

    code = "CLIENT_SCOPE_MISSING"
    fault = Fault.CALLER


class LauncherNotStable(SupervisorError):
    """The path of this program would not survive an upgrade, so no client's file may have it."""

    code = "LAUNCHER_NOT_STABLE"
    fault = Fault.CALLER
