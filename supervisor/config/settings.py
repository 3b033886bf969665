"""The settings in config.toml, as frozen objects. `Config.source` says where each value comes from."""

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any

from ..errors import ConfigInvalid, allowed_names, quoted
from ..values import frozen
from .file import read_document, refusal


class Source(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


KINDS_MAX = 1000

CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("debug", "info", "warning", "error", "critical"),
    "event_loop": ("auto", "selector", "proactor"),
    "discover": ("watch", "observe", "off"),
}
"""The values that are possible for keys of `[daemon]`."""

VARIABLES: Mapping[str, str] = {
    "log_level": "GODOT_SUPERVISOR_LOG_LEVEL",
    "event_loop": "GODOT_SUPERVISOR_EVENT_LOOP",
}
"""The environment variables that win over keys of the file."""


@frozen
class Config:
    """The settings.

    `environments` is None if private environments lie in this home's own folder. `kinds` are the tables `[kinds.*]` as
    written: the catalogue of kinds checks them.
    """

    log_level: str = "info"
    event_loop: str = "auto"
    discover: str = "watch"
    environments: Path | None = None
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, key: str) -> Source:
        """Return the source of a full key, such as "daemon.log_level" or "kinds.godot-ai.version"."""
        return self.sources.get(key, Source.DEFAULT)


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read the settings. Without a file, every key has its default.

    Raises:
        ConfigInvalid: the file cannot be read, other users could have written it, or a key or variable is invalid.
    """
    document = read_document(path)
    _check_keys(document, ("daemon", "kinds"), "", path)
    daemon = _table(document, "daemon", "daemon", path)
    _check_keys(daemon, (*CHOICES, "environments"), "daemon.", path)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for key in daemon:
        values[key] = (
            _environments_folder(daemon[key], path) if key == "environments" else _choice(key, daemon[key], path)
        )
        sources[f"daemon.{key}"] = Source.FILE
    for key, variable in VARIABLES.items():
        if environment.get(variable):
            values[key] = _choice_of_variable(key, variable, environment[variable])
            sources[f"daemon.{key}"] = Source.ENVIRONMENT
    tables = _table(document, "kinds", "kinds", path)
    if len(tables) > KINDS_MAX:
        raise refusal(path, "kinds", f"more than {KINDS_MAX} kinds", "define fewer kinds")
    kinds = {name: _table(tables, name, f"kinds.{name}", path) for name in tables}
    sources |= {f"kinds.{name}.{key}": Source.FILE for name, table in kinds.items() for key in table}
    return Config(**values, kinds=kinds, sources=sources)


@contextlib.contextmanager
def naming_file(file: Path) -> Iterator[None]:
    """Add the file's path to every `ConfigInvalid` raised inside, because a kind does not know its file."""
    try:
        yield
    except ConfigInvalid as error:
        data = {**error.data, "file": str(file)}
        raise ConfigInvalid(f"{file}: {error.message}", hint=error.hint, data=data) from error


def _check_keys(table: Mapping[str, Any], allowed: tuple[str, ...], prefix: str, path: Path) -> None:
    for key in table:
        if key not in allowed:
            raise refusal(path, prefix + key, "no such key", allowed_names(key, allowed))


def _table(parent: Mapping[str, Any], key: str, full: str, path: Path) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise refusal(path, full, "not a table", f"write [{full}]")
    return value


def _choice(key: str, value: Any, path: Path) -> str:
    if not isinstance(value, str) or value not in CHOICES[key]:
        raise refusal(
            path, f"daemon.{key}", f"{quoted(value)} is not a valid value", "one of " + ", ".join(CHOICES[key])
        )
    return value


def _choice_of_variable(key: str, variable: str, value: str) -> str:
    if value not in CHOICES[key]:
        options = ", ".join(CHOICES[key])
        raise ConfigInvalid(
            f"{variable}: {quoted(value)} is not a valid value", hint=f"one of {options}", data={"variable": variable}
        )
    return value


def _environments_folder(value: Any, path: Path) -> Path:
    fix = "write an absolute path, or one that begins with ~"
    if not isinstance(value, str) or not value or "\0" in value:
        raise refusal(path, "daemon.environments", f"{quoted(value)} is not a path", fix)
    try:
        folder = Path(value).expanduser()
    except RuntimeError as error:
        raise refusal(path, "daemon.environments", str(error), fix) from error
    if not folder.is_absolute():
        raise refusal(path, "daemon.environments", f"{quoted(value)} is not absolute", fix)
    return folder
