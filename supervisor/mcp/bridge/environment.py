"""The environment of a daemon that a bridge starts. AI clients hand secrets to their servers, or almost nothing."""

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
"""Variables of a user's login that the daemon, its installers and its servers need."""


def for_daemon(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables that a daemon may inherit from an AI client."""
    return {
        name: value
        for name, value in environment.items()
        if any(fnmatchcase(name.upper(), pattern) for pattern in ALLOWED)
    }
