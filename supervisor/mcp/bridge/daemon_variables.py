"""Chooses the environment variables of a daemon that a bridge starts.

AI clients hand secrets to their servers in variables, or hand over almost none.
"""

from collections.abc import Mapping
from fnmatch import fnmatchcase

ALLOWED = (
    *("HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "XDG_*"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"),
    *("APPDATA", "COMSPEC", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATHEXT", "PROCESSOR_*", "PROGRAM*"),
    *("SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERDOMAIN", "USERNAME", "USERPROFILE", "WINDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("PIP_*", "UV_*", "PYTHON*", "VIRTUAL_ENV"),
    *("GODOT_SUPERVISOR_*", "GODOT_AI_CAPABILITY_DIR", "GODOT_AI_DISABLE_TELEMETRY", "UNITY_MCP_*"),
)
"""Patterns of the names of variables that the daemon, its installers and its servers need."""


def variables_for_daemon(variables: Mapping[str, str]) -> dict[str, str]:
    """Return those variables of an AI client that a daemon may inherit."""
    return {
        name: value
        for name, value in variables.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in ALLOWED)
    }
