"""The commands `config path`, `show`, `validate` and `reload`."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import click

from ...config.settings import CHOICES, Config, Source
from ...kinds.catalog import Catalog
from ...kinds.kind import Kind, PortRange
from ...native.facts import Folders, folders
from .. import options, output, remote
from ..context import other_files, recipes
from ..deadline import Deadline
from ..formatting import number, printable, table
from ..text.recipe_changes import recipe_changes_text

NOT_SHOWN = "(not shown)"

Setting = Mapping[str, Any]


@click.group
def config() -> None:
    """Show, check or reload the settings."""


@config.command
@options.as_json
def path(*, as_json: bool) -> None:
    """Print the path of config.toml, even if the file does not exist."""
    where = folders()
    daemon = other_files.ask_running_daemon(where)
    if as_json:
        output.document({"file": str(where.config), "exists": where.config.exists(), **_daemon_file(where, daemon)})
    else:
        output.line(str(where.config))
        other_files.warn(where, daemon)


@config.command
@click.argument("kind", required=False)
@click.option("--changed", is_flag=True, help="Only settings from the file or the environment.")
@options.as_json
def show(*, kind: str | None, changed: bool, as_json: bool) -> None:
    """Show every setting, or those of KIND, and its source.

    The source is the file, the environment, or the default. Works without a daemon.
    """
    where = folders()
    daemon = other_files.ask_running_daemon(where)
    config_here, catalog = recipes.read_config(where)
    prefix = "" if kind is None else f"kinds.{catalog.get(kind).name}."
    found = [
        row
        for row in settings(where, config_here, catalog)
        if row["key"].startswith(prefix) and not (changed and row["source"] == Source.DEFAULT.value)
    ]
    if as_json:
        output.document({"file": str(where.config), "settings": found, **_daemon_file(where, daemon)})
        return
    # The longest column comes last, because it shrinks first.
    rows = [(row["key"], row["source"], _text(row["value"])) for row in found]
    for text in table(("KEY", "SOURCE", "VALUE"), rows):
        output.line(text)
    other_files.warn(where, daemon)


@config.command
@options.as_json
def validate(*, as_json: bool) -> None:
    """Check config.toml.

    Works without a daemon.
    """
    from ...daemon import event_loop

    where = folders()
    event_loop.choose_loop(recipes.read_config(where)[0])
    exists = where.config.exists()
    daemon = other_files.ask_running_daemon(where)
    if as_json:
        output.document({"file": str(where.config), "exists": exists, "valid": True, **_daemon_file(where, daemon)})
    else:
        output.line(f"{where.config}: " + ("valid" if exists else "no such file, every setting has its default"))
        other_files.warn(where, daemon)


@config.command
@options.as_json
@options.timeout
def reload(*, as_json: bool, deadline: Deadline) -> None:
    """Make the daemon read config.toml again."""
    where = folders()
    answer = remote.query("daemon.reload", deadline=deadline)
    if as_json:
        output.document(answer)
        return
    file = answer.get("config")
    output.line(f"reloaded: {printable(file)}" if file else "reloaded")
    other_files.warn(where, answer)
    if answer["waiting"]:
        output.line(f"changed, but used only after a restart of the daemon: {', '.join(answer['waiting'])}")
        output.line("to restart it now: godot-supervisor restart --daemon")
    for row in answer.get("outdated", ()):
        output.line(recipe_changes_text(row["server"], row["changes"]))
    for row in answer.get("unusable", ()):
        output.line(printable(f"warning: kind {row['kind']} cannot be started: {row['reason']}"))


def _daemon_file(where: Folders, daemon: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the fields of a JSON document for the file that the daemon reads. Empty if it is this shell's file."""
    other = other_files.other_config_file(where, daemon)
    return {} if other is None else {"daemon_file": other}


def settings(where: Folders, config: Config, catalog: Catalog) -> Iterator[Setting]:
    """Yield every key with its value, JSON-ready, and its source."""
    for key in CHOICES:
        yield _setting(f"daemon.{key}", getattr(config, key), config)
    yield _setting("daemon.environments", str(config.environments or where.environments), config)
    for name in catalog.names():
        for key, value in _of_kind(catalog.get(name), config):
            yield _setting(f"kinds.{name}.{key}", value, config)


def _setting(key: str, value: Any, config: Config) -> Setting:
    return {"key": key, "value": value, "source": config.source(key).value}


def _of_kind(kind: Kind, config: Config) -> Iterator[tuple[str, Any]]:
    for field in fields(kind):
        value = getattr(kind, field.name)
        if field.name == "env" and config.source(f"kinds.{kind.name}.env") is not Source.DEFAULT:
            # A value of the user may be a secret. The values of a built-in recipe are public.
            yield field.name, dict.fromkeys(value, NOT_SHOWN)
        elif field.name != "name":
            yield field.name, _plain(value)


def _plain(value: Any) -> Any:
    """Return the value as JSON, close to its form in config.toml."""
    if isinstance(value, PortRange):
        return f"{value.low}-{value.high}"
    if is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(each) for name, each in asdict(value).items() if each not in (None, ())}
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    return value


def _text(value: Any) -> str:
    """Return the value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name} = {_nested(each)}" for name, each in value.items())
    if isinstance(value, list):
        return " ".join(_nested(each) for each in value)
    if isinstance(value, float):
        return number(value)
    return "" if value is None else str(value)


def _nested(value: Any) -> str:
    return f"{{ {_text(value)} }}" if isinstance(value, dict) else _text(value)
