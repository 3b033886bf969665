"""Chooses the environment variables of a daemon that a bridge starts, and the home that such a daemon has.

AI clients hand secrets to their servers in variables, or hand over almost none.
"""

import os
import re
from collections.abc import Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...native.facts import Folders

ALLOWED = (
    *("HOME", "LANG", "LANGUAGE", "LC_*", "LOGNAME", "PATH", "SHELL", "TMPDIR", "TZ", "USER", "XDG_*"),
    *("DISPLAY", "WAYLAND_DISPLAY", "XAUTHORITY", "DBUS_SESSION_BUS_ADDRESS"),
    *("APPDATA", "COMSPEC", "HOMEDRIVE", "HOMEPATH", "LOCALAPPDATA", "NUMBER_OF_PROCESSORS", "OS", "PATHEXT"),
    *("COMMONPROGRAM*", "PROCESSOR_*", "PROGRAM*", "PUBLIC", "ALLUSERSPROFILE"),
    *("SYSTEMDRIVE", "SYSTEMROOT", "TEMP", "TMP", "USERDOMAIN", "USERNAME", "USERPROFILE", "WINDIR"),
    *("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"),
    *("PIP_*", "UV_*", "PYTHON*", "VIRTUAL_ENV"),
    *("GODOT_SUPERVISOR_*", "GODOT_AI_CAPABILITY_DIR", "GODOT_AI_DISABLE_TELEMETRY", "UNITY_MCP_*"),
)
"""Patterns of the names of variables that the daemon, its installers and its servers need."""

_SECRET = re.compile(r"KEY(?!RING)|TOKEN|SECRET|PASS(?!THROUGH)|PWD|CREDENTIAL|AUTH(?!ORITY)|COOKIE")
"""Parts of names of variables that may have a secret."""


def variables_for_daemon(variables: Mapping[str, str], login: Mapping[str, str]) -> dict[str, str]:
    """Return the variables for a daemon: those of an AI client that may be handed on, completed from the user's login.

    A variable whose name looks like that of a secret is not handed on.
    """
    kept = {name: value for name, value in variables.items() if _is_allowed(name)}
    known = {name.upper() for name in kept}
    return kept | {name: value for name, value in login.items() if _is_allowed(name) and name.upper() not in known}


def completed_variables() -> dict[str, str]:
    """Return the variables for a daemon that this process starts."""
    from ...native.startup.login_variables import login_variables

    return variables_for_daemon(os.environ, login_variables())


def folders_of_login(where: "Folders") -> "Folders":
    """Return the folders of the home that programs of the user's login use.

    That is `where`, unless no daemon has been there and only the login names another home: AI clients do not hand the
    variable on.
    """
    if where.moved or os.path.exists(where.endpoint_text):  # noqa: PTH110 (no pathlib in clients)
        return where
    from ...native.facts import HOME_VARIABLE, folders, is_absolute
    from ...native.startup.login_variables import login_variables

    home = login_variables().get(HOME_VARIABLE, "")
    return folders({HOME_VARIABLE: home}) if is_absolute(home) else where


def _is_allowed(name: str) -> bool:
    upper = name.upper()
    return any(fnmatchcase(upper, pattern) for pattern in ALLOWED) and _SECRET.search(upper) is None
