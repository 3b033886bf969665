"""Selects a user's pip and uv settings that say where packages come from; only those reach an installation (ADR 11).

Settings that say where packages go, or whether they are installed, would leave a private environment empty. A setting
that is not listed here is not passed on, so a setting of a later installer cannot redirect packages either.
"""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...errors import InstallFailed
from ...native.shared import settings_folders
from ...native.startup import search_path


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PIP_SOURCES = _words(
    """
    index-url pypi-url extra-index-url no-index find-links
    proxy cert client-cert trusted-host keyring-provider use-feature use-deprecated
    timeout default-timeout retries resume-retries cache-dir no-cache-dir
    constraint build-constraint only-binary no-binary prefer-binary uploaded-prior-to
    """
)
"""The options of pip that pass. The last line is a user's policy about which packages are allowed."""

UV_SOURCES = _words(
    """
    index index-url default-index extra-index-url no-index find-links index-strategy torch-backend
    keyring-provider credentials-dir allow-insecure-host insecure-host native-tls system-certs
    http-proxy https-proxy no-proxy offline
    http-timeout request-timeout http-connect-timeout http-retries lock-timeout compile-bytecode-timeout
    cache-dir no-cache link-mode concurrent-downloads concurrent-builds concurrent-installs
    s3-endpoint-url gcs-endpoint-url azure-endpoint-url
    constraint constraint-dependencies build-constraint build-constraint-dependencies
    exclude-newer exclude-newer-package only-binary
    no-binary no-binary-package no-build no-build-package malware-check
    """
)
"""The settings of uv that pass, as keys of uv.toml and, with UV_ in front, as variables."""

_UV_CREDENTIALS = re.compile(r"UV_INDEX_\w+_(?:USERNAME|PASSWORD)")
_LINKS_INTO_THE_CACHE = "symlink"
"""The link mode of uv that does not pass, because cleaning the cache would break the environment."""

_OTHER_PYTHON = ("VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
_PATH_OPTIONS = ("find-links", "index-url", "extra-index-url", "cache-dir")
"""Options whose values may be paths, relative to the folder of their file."""

_TRUE = ("1", "true", "t", "yes", "y", "on")

UV_FILE = "uv.toml"
ETC = Path("/etc")


def variables_for(variables: Mapping[str, str], temporary: Path, *, uv: bool) -> dict[str, str]:
    """Return the variables of an installer. A settings file for uv is written into `temporary`.

    Raises:
        InstallFailed: a file with the user's settings cannot be read.
        OSError: the settings file for uv cannot be written.
    """
    chosen = _for_uv(variables, temporary) if uv else _for_pip(variables)
    return {**without_settings(variables), **chosen}


def without_settings(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the variables without those that configure an installer or a Python."""
    return {name: value for name, value in variables.items() if not _configures(name)}


def _configures(name: str) -> bool:
    """Return whether a variable configures an installer, or the Python that runs it."""
    upper = name.upper()
    return upper.startswith(("PIP_", "UV_", "_PIP_")) or upper in _OTHER_PYTHON or search_path.is_python_variable(upper)


def _for_pip(variables: Mapping[str, str]) -> dict[str, str]:
    """Return the settings of pip that pass, from files and variables, as variables. pip itself then reads no file."""
    settings: dict[str, str] = {}
    sections = _pip_sections(variables)
    for section in ("global", "install"):
        settings.update(sections.get(section, {}))
    settings.update(_options_in(variables, "PIP_"))
    passed = {name: value for name, value in settings.items() if name in PIP_SOURCES and value}
    return {f"PIP_{name.upper().replace('-', '_')}": value for name, value in passed.items()} | {
        "PIP_CONFIG_FILE": os.devnull
    }


def _pip_sections(variables: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Return the settings in pip's files, by section. A later file overrides an earlier one."""
    import configparser

    sections: dict[str, dict[str, str]] = {}
    for path in pip_files(variables):
        parser = configparser.RawConfigParser()
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                parser.read_file(file)
        except FileNotFoundError:
            continue
        except (OSError, configparser.Error) as error:
            raise _unreadable("pip", path, error) from error
        for section in parser.sections():
            named = {name.lower().replace("_", "-").removeprefix("--"): value for name, value in parser.items(section)}
            sections.setdefault(section, {}).update(named)
    return sections


def pip_files(variables: Mapping[str, str]) -> list[Path]:
    """Return the files that pip reads, the strongest last: pip.pypa.io/en/stable/topics/configuration."""
    chosen = variables.get("PIP_CONFIG_FILE")
    if chosen == os.devnull:
        return []
    of_system, of_user = settings_folders.pip_files(variables)
    if chosen:
        # If the file that PIP_CONFIG_FILE names exists, pip reads it instead of the user's other files.
        return [*of_system, *([] if Path(chosen).exists() else of_user), Path(chosen)]
    return [*of_system, *of_user]


def _for_uv(variables: Mapping[str, str], temporary: Path) -> dict[str, str]:
    """Return the settings of uv that pass, as variables. uv gets those from files in a file in `temporary`."""
    named = _options_in(variables, "UV_")
    passed = {name: value for name, value in named.items() if name in UV_SOURCES and value}
    if passed.get("link-mode") == _LINKS_INTO_THE_CACHE:
        del passed["link-mode"]
    result = {f"UV_{name.upper().replace('-', '_')}": value for name, value in passed.items()}
    result |= {name: value for name, value in variables.items() if _UV_CREDENTIALS.fullmatch(name)}
    settings = {} if named.get("no-config", "").lower() in _TRUE else _uv_settings(variables)
    if not settings:
        return {**result, "UV_NO_CONFIG": "1"}
    file = temporary / UV_FILE
    file.write_text("".join(f"{name} = {_toml(value)}\n" for name, value in settings.items()), encoding="utf-8")
    return {**result, "UV_CONFIG_FILE": str(file)}


def _uv_settings(variables: Mapping[str, str]) -> dict[str, Any]:
    """Return the settings in uv's files that pass. An earlier file overrides a later one, and lists are joined."""
    import tomllib

    found: dict[str, Any] = {}
    for path in uv_files(variables):
        try:
            content = tomllib.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if isinstance(error, FileNotFoundError) and not variables.get("UV_CONFIG_FILE"):
                continue
            raise _unreadable("uv", path, error) from error
        for name, value in _passing(content, path.parent).items():
            if isinstance(value, list) and isinstance(found.get(name), list):
                found[name] = [*found[name], *value]
            elif isinstance(value, dict) and isinstance(found.get(name), dict):
                found[name] = {**value, **found[name]}
            else:
                found.setdefault(name, value)
    return found


def uv_files(variables: Mapping[str, str]) -> list[Path]:
    """Return the files that uv reads for a user, the strongest first: docs.astral.sh/uv.

    Project files above the folder of environments are left out, because no project is being installed.
    """
    chosen = variables.get("UV_CONFIG_FILE")
    if chosen:
        return [Path(chosen)]
    of_system, of_user = settings_folders.uv_files(variables)
    return [of_user, *[path for path in of_system if path.is_file()][:1]]


def _passing(table: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return the settings of a table of uv.toml that pass, with absolute paths."""
    passed: dict[str, Any] = {}
    for name, value in table.items():
        if name == "pip" and isinstance(value, dict):
            if inner := _passing(value, folder):
                passed[name] = inner
        elif name == "index" and isinstance(value, list):
            passed[name] = [_index(each, folder) for each in value]
        elif name in UV_SOURCES and not (name == "link-mode" and value == _LINKS_INTO_THE_CACHE):
            passed[name] = _absolute(value, folder) if name in _PATH_OPTIONS else value
    return passed


def _index(index: Any, folder: Path) -> Any:
    """Return a table of `[[index]]` with an absolute path, if its URL is a path."""
    return {**index, "url": _absolute(index["url"], folder)} if isinstance(index, dict) and "url" in index else index


def _absolute(value: Any, folder: Path) -> Any:
    """Return a value, or a list of values; a relative path becomes absolute. URLs and the like stay as they are."""
    if isinstance(value, list):
        return [_absolute(one, folder) for one in value]
    if not isinstance(value, str) or ":" in value or value.startswith("~"):
        return value
    return str(folder / value)


def _options_in(variables: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Return the values of the variables with a prefix, by the option that each sets: `index-url` for PIP_INDEX_URL."""
    return {
        name[len(prefix) :].lower().replace("_", "-"): value
        for name, value in variables.items()
        if name.startswith(prefix)
    }


def _toml(value: Any) -> str:
    """Return a value as TOML text."""
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(str(name))} = {_toml(one)}" for name, one in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return str(value)


def _unreadable(tool: str, path: Path, error: Exception) -> InstallFailed:
    return InstallFailed(
        f"the settings of {tool} cannot be read: {path}: {error}",
        hint=f"mend {path}: {tool} itself cannot read it either",
    )
