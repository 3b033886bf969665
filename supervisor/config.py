"""config.toml as frozen objects. Every value knows where it comes from."""

import contextlib
import os
import stat
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import field
from enum import StrEnum
from pathlib import Path
from typing import Any

from .errors import ConfigInvalid
from .frozen import frozen
from .native import private


class Source(StrEnum):
    """Where a value comes from."""

    DEFAULT = "default"
    FILE = "file"
    ENVIRONMENT = "environment"


CHOICES: Mapping[str, tuple[str, ...]] = {
    "log_level": ("debug", "info", "warning", "error", "critical"),
    "event_loop": ("auto", "selector", "proactor"),
    "discover": ("watch", "observe", "off"),
}
VARIABLES: Mapping[str, str] = {
    "log_level": "GODOT_SUPERVISOR_LOG_LEVEL",
    "event_loop": "GODOT_SUPERVISOR_EVENT_LOOP",
}


@frozen
class Config:
    """The settings. `environments` None: where this home's folders say. `kinds` is unchecked: see the catalogue."""

    log_level: str = "info"
    event_loop: str = "auto"
    discover: str = "watch"
    environments: Path | None = None
    kinds: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    sources: Mapping[str, Source] = field(default_factory=dict)

    def source(self, key: str) -> Source:
        """Where the value of a full key ("daemon.log_level", "kinds.godot-ai.version") comes from."""
        return self.sources.get(key, Source.DEFAULT)


def load(path: Path, environment: Mapping[str, str]) -> Config:
    """Read the settings. A file that is not there leaves every default.

    Raises:
        ConfigInvalid: it cannot be read, others could have written it, or a key or variable is not possible.
    """
    document = _parsed(path)
    _only(document, ("daemon", "kinds"), "", path)
    daemon = _table(document, "daemon", "daemon", path)
    _only(daemon, (*CHOICES, "environments"), "daemon.", path)
    values: dict[str, Any] = {}
    sources: dict[str, Source] = {}
    for key in daemon:
        values[key] = _environments(daemon[key], path) if key == "environments" else _chosen(key, daemon[key], path)
        sources[f"daemon.{key}"] = Source.FILE
    for key, variable in VARIABLES.items():
        if environment.get(variable):
            values[key] = _from_environment(key, variable, environment[variable])
            sources[f"daemon.{key}"] = Source.ENVIRONMENT
    tables = _table(document, "kinds", "kinds", path)
    kinds = {name: _table(tables, name, f"kinds.{name}", path) for name in tables}
    sources |= {f"kinds.{name}.{key}": Source.FILE for name, table in kinds.items() for key in table}
    return Config(**values, kinds=kinds, sources=sources)


@contextlib.contextmanager
def naming(file: Path) -> Iterator[None]:
    """A kind does not know the file that it was written in: while inside, what is wrong with one names it."""
    try:
        yield
    except ConfigInvalid as error:
        data = {**error.data, "file": str(file)}
        raise ConfigInvalid(f"{file}: {error.message}", hint=error.hint, data=data) from error


def _parsed(path: Path) -> dict[str, Any]:
    try:
        # A byte order mark is what Windows editors begin with.
        text = _read(path).decode("utf-8-sig")
        return tomllib.loads(text)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise _refusal(path, "", f"it cannot be read: {error.strerror}", "make it a file that you may read") from error
    except UnicodeDecodeError as error:
        raise _refusal(path, "", f"it is not UTF-8 at byte {error.start}", "save it as UTF-8") from error
    except tomllib.TOMLDecodeError as error:
        raise _refusal(path, "", f"it is no TOML: {error}", "mend that line") from error


def _read(path: Path) -> bytes:
    """The content, from a file that nobody else can have written."""
    # O_NONBLOCK, where it exists: a FIFO in its place must not hang the daemon.
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    try:
        info = os.fstat(handle)
        if not stat.S_ISREG(info.st_mode):
            raise _refusal(path, "", "it is no regular file", "put a file there, or nothing")
        _refuse_foreign(path, info)
        for folder in {path.parent, path.resolve().parent}:
            _refuse_foreign(folder, folder.stat())
        with open(handle, "rb", closefd=False) as file:
            return file.read()
    finally:
        os.close(handle)


def _refuse_foreign(path: Path, info: os.stat_result) -> None:
    """Whoever may write the settings says what the daemon runs."""
    trouble = private.distrust(path, info, written_by_hand=True)
    if trouble is not None:
        raise _refusal(path, "", *trouble)


def _refusal(path: Path, key: str, problem: str, fix: str) -> ConfigInvalid:
    where = f"{path}: {key}" if key else str(path)
    return ConfigInvalid(f"{where}: {problem}", hint=fix, data={"file": str(path), "key": key})


def _only(table: Mapping[str, Any], allowed: tuple[str, ...], prefix: str, path: Path) -> None:
    for key in table:
        if key not in allowed:
            raise _refusal(path, prefix + key, "no such key", "allowed: " + ", ".join(allowed))


def _table(parent: Mapping[str, Any], key: str, full: str, path: Path) -> dict[str, Any]:
    value = parent.get(key, {})
    if not isinstance(value, dict):
        raise _refusal(path, full, "not a table", f"write [{full}]")
    return value


def _chosen(key: str, value: Any, path: Path) -> str:
    if not isinstance(value, str) or value not in CHOICES[key]:
        raise _refusal(path, f"daemon.{key}", f"{value!r} is not possible here", "one of " + ", ".join(CHOICES[key]))
    return value


def _from_environment(key: str, variable: str, value: str) -> str:
    if value not in CHOICES[key]:
        options = ", ".join(CHOICES[key])
        raise ConfigInvalid(
            f"{variable}: {value!r} is not possible here", hint=f"one of {options}", data={"variable": variable}
        )
    return value


def _environments(value: Any, path: Path) -> Path:
    fix = "write an absolute path, or one that begins with ~"
    if not isinstance(value, str) or not value or "\0" in value:
        raise _refusal(path, "daemon.environments", f"{value!r} is no path", fix)
    try:
        folder = Path(value).expanduser()
    except RuntimeError as error:
        raise _refusal(path, "daemon.environments", str(error), fix) from error
    if not folder.is_absolute():
        raise _refusal(path, "daemon.environments", f"{value!r} is not absolute", fix)
    return folder
