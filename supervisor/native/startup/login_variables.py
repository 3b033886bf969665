"""The variables of the user's login: what programs of the desktop and terminals have, and a stripped process lacks."""

import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache

PATIENCE_S = 1.0
"""How long the system may take to tell. No login shell is asked: it runs what the user wrote, and may take any time."""

HOME = "USERPROFILE" if sys.platform == "win32" else "HOME"

_QUOTED = re.compile(r"\\(?:([abefnrtv\\'\"$`?])|x([0-9A-Fa-f]{2})|([0-7]{3}))", re.ASCII)
_CONTROLS = {"a": 7, "b": 8, "e": 27, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11}


@cache
def _told() -> Mapping[str, str]:
    return _ask_system()


def login_variables(given: Mapping[str, str] = os.environ) -> Mapping[str, str]:
    """Return the variables of this user's login. Returns none if the system does not tell them in time.

    Returns none as well if `given` has another home folder than the login: such a process is kept apart on purpose.
    """
    told = _told()
    own = given.get(HOME) or _home_in_database()
    theirs = told.get(HOME) or _home_in_database()
    return told if _same_path(own, theirs) else {}


def _same_path(one: str, other: str) -> bool:
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def _run(command: Sequence[str], variables: Mapping[str, str]) -> str:
    """Return what a command prints; empty if it fails, or is not done in time."""
    try:
        done = subprocess.run(
            command,
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return "" if done.returncode else done.stdout.decode("utf-8", "surrogateescape")


def parse_environment(text: str) -> dict[str, str]:
    """Return the variables that `systemctl show-environment` prints, one on each line, quoted as for a shell."""
    found = {}
    # Values may have other line ends of Unicode, which are not quoted.
    for line in text.split("\n"):
        name, equals, value = line.partition("=")
        if name and equals:
            found[name] = _unquote(value)
    return found


def _unquote(value: str) -> str:
    for begin, end in (("$'", "'"), ('"', '"')):
        if value.startswith(begin) and value.endswith(end) and len(value) >= len(begin) + len(end):
            raw = _QUOTED.sub(_unescape, value[len(begin) : -len(end)])
            # Escaped bytes may be parts of a character.
            return raw.encode("utf-8", "surrogateescape").decode("utf-8", "surrogateescape")
    return value


def _unescape(found: "re.Match[str]") -> str:
    letter, two, three = found.groups()
    if letter is not None:
        return chr(_CONTROLS[letter]) if letter in _CONTROLS else letter
    return bytes([int(two, 16) if two else int(three, 8) & 255]).decode("utf-8", "surrogateescape")


if sys.platform == "win32":

    def _home_in_database() -> str:
        return os.path.expanduser("~")  # noqa: PTH111 (text)

    def _ask_system() -> Mapping[str, str]:
        from ..windows import user_variables

        try:
            return user_variables.of_this_user()
        except OSError:
            return {}

else:

    def _home_in_database() -> str:
        import pwd

        try:
            return pwd.getpwuid(os.getuid()).pw_dir
        except KeyError:
            return ""

    if sys.platform == "darwin":
        NAMES = (
            *("PATH", "TMPDIR", "LANG", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME"),
            *("GODOT_SUPERVISOR_HOME", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "SSL_CERT_FILE"),
            *("SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_CONFIG_FILE"),
            *("PIP_CERT", "UV_INDEX_URL", "UV_DEFAULT_INDEX", "UV_INDEX", "UV_CACHE_DIR", "UV_PYTHON"),
        )
        """The variables that are asked for: launchd tells only one at a time."""

        def _ask_system() -> Mapping[str, str]:
            import time

            found, end = {}, time.monotonic() + PATIENCE_S
            for name in NAMES:
                if time.monotonic() < end and (value := _run(("/bin/launchctl", "getenv", name), os.environ)):
                    found[name] = value.removesuffix("\n")
            return found

    else:

        def _ask_system() -> Mapping[str, str]:
            """Ask the service manager of the user, by its socket that only the user and root may open."""
            from ..facts import user_runtime_folder

            folder = user_runtime_folder()
            if folder is None or not os.path.exists(f"{folder}/systemd/private"):  # noqa: PTH110 (text)
                return {}
            variables = {"PATH": os.environ.get("PATH", os.defpath), "XDG_RUNTIME_DIR": folder, "LC_ALL": "C"}
            return parse_environment(_run(("systemctl", "--user", "show-environment"), variables))
