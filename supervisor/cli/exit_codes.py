"""The exit codes of the command line, and the table from error codes to them."""

from collections.abc import Mapping

DONE = 0
FAILED = 1
USAGE = 2
DAEMON_NOT_RUNNING = 3
NOT_FOUND = 4
REFUSED = 5
TIMEOUT = 6
INCOMPATIBLE = 7
BUSY = 8

# As shells do: 128 plus the number of SIGINT.
INTERRUPTED = 130

EXIT_CODES: Mapping[str, int] = {
    "INVALID_PARAMS": USAGE,
    "DAEMON_NOT_RUNNING": DAEMON_NOT_RUNNING,
    "SHUTTING_DOWN": DAEMON_NOT_RUNNING,
    "NOT_FOUND": NOT_FOUND,
    "KIND_UNKNOWN": NOT_FOUND,
    "EDITOR_GONE": NOT_FOUND,
    "NOT_OURS": REFUSED,
    "CLIENT_ENTRY_NOT_OURS": REFUSED,
    "CLIENT_SCOPE_MISSING": USAGE,
    "UNAUTHORIZED": REFUSED,
    "TIMEOUT": TIMEOUT,
    "ACCEPT_TIMEOUT": TIMEOUT,
    "RESPONSE_TIMEOUT": TIMEOUT,
    "PROTOCOL_UNSUPPORTED": INCOMPATIBLE,
    "METHOD_NOT_FOUND": INCOMPATIBLE,
    "VERSION_CONFLICT": INCOMPATIBLE,
    "BUSY": BUSY,
}


def exit_code(error_code: str) -> int:
    """Return the exit code for an error code. Codes that are not in the table get FAILED."""
    return EXIT_CODES.get(error_code, FAILED)
