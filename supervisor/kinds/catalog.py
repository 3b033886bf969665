"""The catalogue of kinds: the built-in recipes with the user's tables laid over them, every key checked."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from ..core.model import Topology
from ..core.pep440 import canonical, parse
from ..errors import KindUnknown, quoted
from .command_rules import check_is_list, check_ports_are_passed, check_program
from .kind import Addon, Kind, PortRange, Secret, placeholders
from .query_routes import identify_of, pin_of, range_of, ready_of, sessions_of
from .table import Table, refuse
from .versions import VersionRange

NAME_MAX = 100

Tables = Mapping[str, Mapping[str, Any]]

_TIMES = ("grace_s", "linger_s", "stop_timeout_s", "ready_timeout_s", "idle_s", "health_interval_s")
_KEYS = tuple(field.name for field in fields(Kind) if field.name != "name")
_RESERVED = ("owner_pid", "server_id", "project", "version", "log_dir", "python", "config_dir")
_NAME = re.compile(r"[a-z0-9]([a-z0-9._-]*[a-z0-9])?")
_PORT_NAME = re.compile(r"[a-z][a-z0-9_]*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SCRUB = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\*?")
"""The name of a variable, or the beginning of names with a `*` behind it."""
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_EXACT_VERSION = re.compile(r"\d+(\.\d+)*([a-z0-9.+-]*[a-z0-9])?")
_INSIDE = re.compile(r"(?!.*(?:^|/)\.\.?(?:/|$))[^/\\:]+(?:/[^/\\:]+)*")
"""A relative path that cannot leave its folder: no `.` and `..`, no drive, no backslash."""

_ENTRY = re.compile(r"[^/\n](?:[^\n]*[^/\n])?/[^/\n]+")
"""Section and key with a `/` between them. The section may contain further ones."""


@dataclass(slots=True)
class Catalog:
    """All kinds by name. Kinds are frozen; `reload` replaces all of them at once."""

    kinds: Mapping[str, Kind]

    @classmethod
    def build(cls, tables: Tables) -> "Catalog":
        """Return the built-in kinds with the user's `[kinds.*]` tables laid over them, key by key, sub-tables included.

        Raises:
            ConfigInvalid: a key is wrong. The error names `kinds.NAME.KEY`, the problem, and the fix.
        """
        merged = dict(_built_in())
        for name, table in tables.items():
            if not _NAME.fullmatch(name) or len(name) > NAME_MAX:
                refuse(f"kinds.{name}", "no name for a kind", "use lower-case letters, digits, dots and hyphens")
            if not isinstance(table, Mapping):
                refuse(f"kinds.{name}", "not a table", f"write [kinds.{name}]")
            merged[name] = _overlay(merged.get(name, {}), table)
        return cls({name: _Recipe(name, table).kind() for name, table in merged.items()})

    def reload(self, tables: Tables) -> None:
        """Replace all kinds by those of other tables.

        Raises:
            ConfigInvalid: as in `build`; the old kinds stay.
        """
        self.kinds = Catalog.build(tables).kinds

    def get(self, name: str) -> Kind:
        """Return the kind of that name.

        Raises:
            KindUnknown: no kind has that name. The hint lists all names.
        """
        if name not in self.kinds:
            known = ", ".join(self.names())
            raise KindUnknown(
                f"no kind {name!r}", hint=f"known: {known}; config.toml adds kinds", data={"known": list(self.names())}
            )
        return self.kinds[name]

    def names(self) -> tuple[str, ...]:
        """Return all names, sorted."""
        return tuple(sorted(self.kinds))


def _built_in() -> dict[str, Mapping[str, Any]]:
    # A plain path, because importlib.resources imports tempfile, bz2 and lzma. Installers unpack every wheel.
    files = Path(__file__).with_name("recipes").glob("*.toml")
    return {file.stem: tomllib.loads(file.read_text(encoding="utf-8")) for file in files}


def _overlay(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Lay `above` over `below`. Sub-tables are merged one level deep, so [kinds.x.env] adds to a recipe's variables."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = {**old, **value} if isinstance(old, Mapping) and isinstance(value, Mapping) else value
    return merged


class _Recipe(Table):
    """The table of one kind, checked key by key."""

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        super().__init__(f"kinds.{name}", content, _KEYS)
        self.name = name
        self.package = self.text("package", _PACKAGE, "write the name of a package, without a version")
        self.topology = Topology(self.choice("topology", tuple(Topology), Topology.SHARED))
        self.ports = self._ports()
        self.record = self._template("record", "config_dir")
        self.secrets = self._secrets()

    def kind(self) -> Kind:
        command, env = self._command(), self._env()
        check_ports_are_passed(self.at("ports"), self.ports, command, env)
        kind = Kind(
            name=self.name,
            command=command,
            topology=self.topology,
            package=self.package,
            programs=self.words("programs", fix='write the names that it runs under, like ["my-server", "my_module"]'),
            version=self._version(),
            addon=self._addon(),
            engine=self._engine(),
            ports=self.ports,
            env=env,
            defaults=self.text_table("defaults", _VARIABLE),
            scrub=self.words("scrub", _SCRUB, 'write names of variables, or beginnings of names like "MY_SERVER_*"'),
            secrets=self.secrets,
            record=self.record,
            record_dir_variable=self.text("record_dir_variable", _VARIABLE, "write the name of a variable"),
            identify=identify_of(self, self.ports, self.secrets),
            ready=ready_of(self, self.ports),
            stdin=self.choice("stdin", ("closed", "open"), "closed"),
            gate=self.choice("gate", ("off", "serialize", "reject"), "off"),
            sessions=sessions_of(self, self.ports),
            url=self._template("url"),
            connect=self._argv("connect"),
            client_mark=self.text("client_mark", _VARIABLE, "write the name of a variable"),
            bridge_locks=self._bridge_locks(),
            connect_versions=range_of(self, "connect_versions"),
            pin=pin_of(self),
        )
        # The kind has the default of every time, which holds for the keys that the recipe leaves out.
        times: dict[str, Any] = {key: self.seconds(key, getattr(kind, key)) for key in _TIMES}
        return replace(kind, **times)

    def _bridge_locks(self) -> tuple[str, ...]:
        templates = self.words("bridge_locks", fix='write the files, like ["{runtime_dir}/mine/{http}.lock"]')
        for template in templates:
            self._check_placeholders(
                self.at("bridge_locks"), template, "runtime_dir", "temp_dir", "uid", "local_app_data"
            )
        return templates

    def _command(self) -> tuple[str, ...]:
        check_is_list(self.at("command"), self.content.get("command"))
        command = self._argv("command")
        if not command or not command[0]:
            refuse(self.at("command"), "nothing to run", 'write command = ["my-server", "--port", "{http}"]')
        check_program(self.at("command"), command[0])
        return command

    def _version(self) -> str | None:
        fix = 'pin an exact one like "4.3.1"'
        version = self.text("version")
        if version is None and self.package:
            refuse(self.at("version"), "missing; a package is installed in one version", fix)
        if version is not None and not _is_exact(version):
            refuse(self.at("version"), f"{quoted(version)} is not possible here", fix)
        return None if version is None else canonical(version)

    def _addon(self) -> Addon | None:
        if "addon" not in self.content:
            return None
        table = self.table("addon", ("file", "version"))
        file = table.text("file", _INSIDE, 'write a path within the project, like "addons/mine/plugin.cfg"')
        version = table.text("version", _ENTRY, 'write section and key, like "plugin/version"')
        if file is None or version is None:
            missing = "file" if file is None else "version"
            refuse(
                table.at(missing), "missing", 'write { file = "addons/mine/plugin.cfg", version = "plugin/version" }'
            )
        section, _, key = version.rpartition("/")
        return Addon(file=file, section=section, key=key)

    def _engine(self) -> dict[str, str]:
        versions = self.text_table("engine")
        for engines, version in versions.items():
            try:
                VersionRange.parse(engines)
            except ValueError as error:
                refuse(self.at("engine"), str(error), 'write engine = { "<4.7" = "3.2.5" }')
            if not _is_exact(version):
                refuse(
                    f'{self.at("engine")}."{engines}"',
                    f"{quoted(version)} is no version",
                    'pin an exact one like "3.2.5"',
                )
        return {engines: canonical(version) for engines, version in versions.items()}

    def _ports(self) -> dict[str, PortRange]:
        table = self.table("ports")
        ranges = {name: _port_range(table, name) for name in table.content}
        length = len(next(iter(ranges.values())).numbers) if ranges else 0
        taken: set[int] = set()
        for name, port_range in ranges.items():
            if len(port_range.numbers) != length:
                refuse(
                    table.at(name),
                    "not as long as the kind's other ranges",
                    "they move together: make them equally long",
                )
            shared = taken.intersection(port_range.numbers)
            if shared:
                refuse(table.at(name), f"overlaps at {min(shared)}", "give every port its own range")
            taken.update(port_range.numbers)
        return ranges

    def _env(self) -> dict[str, str]:
        variables = self.text_table("env", _VARIABLE)
        for name, template in variables.items():
            self._check_placeholders(f"{self.at('env')}.{name}", template, "owner_pid", "project")
        return variables

    def _secrets(self) -> tuple[Secret, ...]:
        table = self.table("secrets")
        found = []
        for variable in table.content:
            if not _VARIABLE.fullmatch(variable):
                refuse(table.at(variable), "no name of a variable", "use letters, digits and _")
            entry = table.table(variable, ("format", "recorded_as", "versions"))
            secret = Secret(
                variable=variable,
                format=entry.choice("format", ("token", "hex")),
                recorded_as=entry.text("recorded_as"),
                versions=range_of(entry, "versions"),
            )
            if secret.recorded_as and not self.record:
                refuse(entry.at("recorded_as"), "there is no record", f"set {self.at('record')}, or drop recorded_as")
            found.append(secret)
        return tuple(found)

    def _argv(self, key: str) -> tuple[str, ...]:
        words = self.words(key)
        for word in words:
            self._check_placeholders(self.at(key), word)
        return words

    def _template(self, key: str, *further: str) -> str | None:
        template = self.text(key)
        if template is not None:
            self._check_placeholders(self.at(key), template, *further)
        return template

    def _check_placeholders(self, key: str, template: str, *further: str) -> None:
        """Refuse a template with a placeholder that has no value there. `further` are possible in this key alone."""
        known = {*self.ports, "server_id", "version", "log_dir", *further}
        if self.topology is Topology.PER_EDITOR:
            known.add("project")
        if self.package:
            known.add("python")
        try:
            unknown = placeholders(template) - known
        except ValueError as error:
            refuse(key, str(error), "placeholders look like {http}")
        if unknown:
            name = min(unknown)
            fix = _NOT_HERE.get(name, "possible here: " + ", ".join(f"{{{name}}}" for name in sorted(known)))
            refuse(key, f"there is no {{{name}}} here", fix)


def _is_exact(version: str) -> bool:
    return parse(version) is not None or _EXACT_VERSION.fullmatch(version) is not None


_NOT_HERE = {
    "owner_pid": "a server may have no owner: hand it over in env, where the entry is then left out",
    "project": 'a shared server has no project: set topology = "per-editor", or use it in env',
    "python": "set package: only a kind with a package has an environment of its own",
    "config_dir": "only record can use it",
}
"""The fix for a placeholder that exists, but not in every key."""


def _port_range(table: Table, name: str) -> PortRange:
    if not _PORT_NAME.fullmatch(name) or name in _RESERVED:
        refuse(table.at(name), "not a valid name of a port", "use a-z, 0-9 and _, and no placeholder's name")
    value = table.content[name]
    if isinstance(value, bool) or not isinstance(value, int | str):
        refuse(table.at(name), f"{quoted(value)} is no range of ports", f'write {name} = "8100-8119" or {name} = 8100')
    try:
        return PortRange.parse(str(value))
    except ValueError as error:
        refuse(table.at(name), str(error), f'write {name} = "8100-8119" or {name} = 8100')
