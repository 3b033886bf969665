"""Finds advice for a failed installation in the output of pip or uv."""

import re
import sys
from collections.abc import Collection, Iterable

from ...core.pep440 import matches
from ...kinds.versions import release_number
from .installer_output import versions_offered

VERSIONS_SHOWN = 20
"""How many of the existing versions a hint names, the newest ones."""

PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY", "PIP_PROXY")
"""Variables that give installers a proxy. All but the last also count in lower case."""

_PIP_OTHER_PYTHON = re.compile(
    r"Ignored the following versions that require a different python version: (?P<ignored>.+)", re.IGNORECASE
)
_PIP_VERSION = re.compile(r"(?P<version>\S+) Requires-Python (?P<needs>[^;]+)")
_PIP_THIS_PYTHON = re.compile(
    r"Package '(?P<package>[^']+)' requires a different Python: \S+ not in '(?P<needs>[^']+)'"
)
_UV_OTHER_PYTHON = re.compile(
    r"does not satisfy Python(?P<needs>[<>=!~][^\s]*).{0,20}? and (?P<package>\S+?)[<>=!~,\s]"
)
_UV_THIS_PYTHON = re.compile(r"Because (?P<package>[\w.-]+)==\S+ requires Python (?P<needs>[<>=!~]\S*) and")

INDEX_HINT = "check that the package index can be reached; the daemon's PIP_* and UV_* variables choose the index"
"""The hint where an installer gives no reason that is known."""

_FILE_MISSING = re.compile(
    r"Could not open requirements file: \[Errno 2\][^:]*: '(?P<file>[^']+)'|(?i:file not found): `(?P<uv>[^`]+)`"
)
_FULL = "the disk is full: make room, also in the folder for temporary files"
_HINTS_BY_WORDS = {
    "ensurepip": "this Python cannot make environments: install its venv package (python3-venv), or uv",
    "No space left on device": _FULL,
    "os error 28": _FULL,
    "(constraint)": "a constraint in the user's pip settings excludes it: see `pip config list` and PIP_CONSTRAINT",
}
"""Words in an installer's output, and the hint that they call for."""


def hint_for(package: str, version: str, said: str, versions: Collection[str], variables: Collection[str]) -> str:
    """Return what a user can do next about an installation that failed.

    `said` is the installers' output. `versions` are those on offer, `variables` the names of the variables that the
    installer was given.
    """
    needs = _needs_python(package, version, said)
    if needs is not None:
        own = ".".join(map(str, sys.version_info[:3]))
        return f"{needs}, this daemon runs on {own}: install godot-supervisor with such a Python"
    if versions:
        return "available versions: " + ", ".join(list(versions)[-VERSIONS_SHOWN:])
    for words, hint in _HINTS_BY_WORDS.items():
        if words in said:
            return hint
    proxies = [name for name in variables if name.upper() in PROXIES]
    if proxies:
        # Without retries, pip does not report that a proxy does not answer.
        return f"check that the proxy answers: the daemon was started with {', '.join(sorted(proxies))}"
    return _no_version_for_this_python(package, said) or _file_missing(said) or INDEX_HINT


def _no_version_for_this_python(package: str, said: str) -> str | None:
    """Return a hint if pip found versions of a package, but only for other Pythons. Returns None otherwise."""
    ignored = [each for line in _PIP_OTHER_PYTHON.finditer(said) for each in _PIP_VERSION.finditer(line["ignored"])]
    if not ignored or "from versions: none" not in said:
        return None
    needs = ", ".join(dict.fromkeys(each["needs"].strip() for each in ignored))
    ours = ".".join(map(str, sys.version_info[:3]))
    return f"no version of {package} is for this Python ({ours}): they need {needs}"


def _file_missing(said: str) -> str | None:
    """Return a hint on a file that the user's settings name and that does not exist. Returns None if there is none."""
    missing = _FILE_MISSING.search(said)
    if missing is None:
        return None
    file = missing["file"] or missing["uv"]
    return f"{file} is not there, and the user's settings name it: see PIP_CONSTRAINT, UV_CONSTRAINT, `pip config list`"


def is_missing(package: str, version: str, said: str) -> bool:
    """Return whether uv says that there is no such version. Then uv has not named the versions that exist."""
    text = " ".join(said.split())
    return re.search(rf"there is no version of {_pattern(package)}=={re.escape(version)}\b", text) is not None


def versions_named(package: str, lines: Iterable[str]) -> list[str]:
    """Return the versions that pip or uv has named, on offer or chosen, oldest first."""
    said = list(lines)
    chosen = re.compile(rf" \+ {_pattern(package)}==(\S+)")
    named = [*versions_offered(package, "\n".join(said)), *(found[1] for line in said if (found := chosen.match(line)))]
    return sorted(dict.fromkeys(named), key=lambda version: release_number(version) or ())


def _pattern(package: str) -> str:
    """Return a regular expression for every spelling of a package's name (PEP 503)."""
    return "(?i:" + "[-_.]+".join(map(re.escape, re.split(r"[-_.]+", package))) + ")"


def _needs_python(package: str, version: str, said: str) -> str | None:
    """Return which package needs which Python, None if the output does not say."""
    text = " ".join(said.split())
    for pattern in (_PIP_THIS_PYTHON, _UV_THIS_PYTHON, _UV_OTHER_PYTHON):
        if found := pattern.search(text):
            what = f"{package} {version}" if _same_package(found["package"], package) else found["package"]
            return f"{what} needs Python {found['needs'].rstrip('.,')}"
    for line in _PIP_OTHER_PYTHON.finditer(said):
        for ignored in _PIP_VERSION.finditer(line["ignored"]):
            if matches(version, ignored["version"]):
                return f"{package} {version} needs Python {ignored['needs'].strip()}"
    return None


def _same_package(one: str, other: str) -> bool:
    return re.sub(r"[-_.]+", "-", one).lower() == re.sub(r"[-_.]+", "-", other).lower()
