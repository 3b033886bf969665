"""A kind: the checked recipe of a server, and the expansion of its templates for one launch."""

import re
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from ..core.model import Topology
from ..errors import ConfigInvalid
from ..native.facts import login_folders
from ..native.startup import search_path
from ..values import frozen

NEVER_INHERITED = (
    "VIRTUAL_ENV",
    "GODOT_SUPERVISOR_SERVER_ID",
    "GODOT_SUPERVISOR_PROJECT",
    "GODOT_SUPERVISOR_HOME",
)
"""Variables that concern the daemon itself, or that would lead a server out of its private environment.

CPython's own variables are not inherited either, because the user set them for other programs, and they change or break
the Python of a private environment.
"""

PORT_MAX = 65535

ANSWER_TIMEOUT_S = 2.0
"""Seconds for one answer, unless `ready.timeout_s` says otherwise."""

_PORTS = re.compile(r"([0-9]{1,5})(?:-([0-9]{1,5}))?")
_TOKEN = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@frozen
class PortRange:
    """A range of ports, both ends included. The ranges of one kind are equally long and move together."""

    low: int
    high: int

    @classmethod
    def parse(cls, text: str) -> "PortRange":
        """Read "8100-8119", or "8100" for a single port.

        Raises:
            ValueError: the text is not a rising range of port numbers.
        """
        found = _PORTS.fullmatch(text)
        low, high = (int(found[1]), int(found[2] or found[1])) if found else (0, 0)
        if not 1 <= low <= high <= PORT_MAX:
            raise ValueError(f"{text!r} is not a rising range of ports between 1 and {PORT_MAX}")
        return cls(low, high)

    @property
    def numbers(self) -> range:
        """The ports of the range, in rising order."""
        return range(self.low, self.high + 1)


@frozen
class IdentifyRule:
    """How to ask a running server who it is. `match`, `null`, `version` and `leases` name values of the JSON answer.

    A name is a path: "info.name" is the key `name` of the object `info` (see `answer_values.py`). `null` names values
    that must be present and null, which TOML cannot write. `bearer` names the secret for the Authorization header.
    Without `match` every answer with a status of 200 to 299 is accepted, and proves nothing. `versions` is the range of
    server versions that can be asked; `leases_versions` is the range of those that grant leases. None stands for all
    versions.
    """

    http: str
    port: str
    match: Mapping[str, object] = field(default_factory=dict)
    version: str | None = None
    leases: str | None = None
    bearer: str | None = None
    versions: str | None = None
    leases_versions: str | None = None
    null: tuple[str, ...] = ()


@frozen
class ReadyRule:
    """When a server counts as started, apart from its identification.

    `tcp` are the names of the ports that it must listen on. With `http` it must also answer there, with one of `status`
    (empty stands for 200 to 299), within `timeout_s` seconds.
    """

    tcp: tuple[str, ...]
    http: str | None = None
    port: str | None = None
    status: tuple[int, ...] = ()
    timeout_s: float = ANSWER_TIMEOUT_S


@frozen
class SessionRoute:
    """The route on which a server reports its editor sessions. `count` names a list or number of the JSON answer."""

    http: str
    port: str
    count: str


@frozen
class PinRule:
    """How a tool call of an AI client names the editor that it is for.

    `argument` is the argument of tools that names the session of an editor. A tool named in `exempt` is for no editor.
    The server lists its sessions as the structured result of `tool` with `arguments`, or as the JSON text of
    `resource`: a list under the key `sessions`. `id`, `project` and `pid` are the keys of one session: its id, the path
    of the project, and the process of the editor (None if the list has none). `active` is the key that is true for the
    session whose editor resources are read from. An error result with the text `unknown` says that the server does not
    know the session.
    """

    argument: str
    sessions: str
    id: str
    project: str
    pid: str | None = None
    active: str | None = None
    tool: str | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)
    resource: str | None = None
    unknown: str | None = None
    exempt: tuple[str, ...] = ()


@frozen
class Addon:
    """The place of an addon's version: a file in the project, in the form of Godot's ConfigFile."""

    file: str
    section: str
    key: str


@frozen
class Secret:
    """A secret that a server gets in an environment variable.

    `format` is `token` (43 URL-safe characters) or `hex` (64 lower hex digits). `recorded_as` is its key in the record
    that the server keeps for its own user only. `versions` is the range of server versions that take the secret, or
    None for all.
    """

    variable: str
    format: str
    recorded_as: str | None = None
    versions: str | None = None


@frozen
class Kind:
    """A kind of server. Times are seconds.

    `engine` maps a range of engine versions ("<4.7") to the newest server version for it.
    `addon`: a project with this addon wants the server in the addon's version, on the first ports of the ranges.
    `defaults` are variables that the server gets unless the user has set them.
    `sessions` is the port whose connections are the editor sessions, or the route that reports them.
    `record` is the server's own record: the file in which it keeps its secrets. If the variable that
    `record_dir_variable` names is set, the record lies in that folder instead.
    `connect_versions` is the range of server versions that have the bridge of `connect`, or None for all.
    `ready` None: a server is ready when it listens on all its ports and `identify` matches.
    `stdin` is "closed" or "open": the input of a server is empty, or never ends.
    `gate` says what becomes of a tool call while another client's call runs on the same editor: it runs ("off"), waits
    for a short time ("serialize"), or is refused ("reject").
    `client_mark` is the variable with which a bridge marks a server that it starts itself. `bridge_locks` are the files
    that bridges lock during such a start.
    """

    name: str
    command: tuple[str, ...]
    topology: Topology = Topology.SHARED
    package: str | None = None
    programs: tuple[str, ...] = ()
    version: str | None = None
    addon: Addon | None = None
    engine: Mapping[str, str] = field(default_factory=dict)
    ports: Mapping[str, PortRange] = field(default_factory=dict)
    env: Mapping[str, str] = field(default_factory=dict)
    defaults: Mapping[str, str] = field(default_factory=dict)
    scrub: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = ()
    record: str | None = None
    record_dir_variable: str | None = None
    identify: IdentifyRule | None = None
    ready: ReadyRule | None = None
    stdin: str = "closed"
    gate: str = "off"
    sessions: str | SessionRoute | None = None
    url: str | None = None
    connect: tuple[str, ...] = ()
    client_mark: str | None = None
    bridge_locks: tuple[str, ...] = ()
    connect_versions: str | None = None
    pin: PinRule | None = None
    grace_s: float = 5.0
    linger_s: float = 15.0
    stop_timeout_s: float = 10.0
    ready_timeout_s: float = 30.0
    idle_s: float = 0.0
    health_interval_s: float = 0.0


def placeholders(template: str) -> frozenset[str]:
    """Return the names of a template's placeholders.

    Raises:
        ValueError: a brace stands alone.
    """
    names = set()
    for token in _TOKEN.finditer(template):
        if token[0] in {"{", "}"}:
            raise ValueError(f"a lone {token[0]} in {template!r}: write {token[0] * 2} for the character itself")
        if token[1] is not None:
            names.add(token[1])
    return frozenset(names)


def expand(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its placeholders replaced; `{{` and `}}` become braces.

    Raises:
        ConfigInvalid: a placeholder has no value.
    """

    def value(token: re.Match[str]) -> str:
        name = token[1]
        if name is None:
            return token[0][0]
        if name not in values:
            raise ConfigInvalid(
                f"{template!r}: {{{name}}} has no value here", hint="known here: " + ", ".join(sorted(values))
            )
        return values[name]

    return _TOKEN.sub(value, template)


def launch_command(kind: Kind, values: Mapping[str, str]) -> tuple[str, ...]:
    """Return the argv of one launch.

    Raises:
        ConfigInvalid: a placeholder has no value.
    """
    return tuple(expand(word, values) for word in kind.command)


def mentions_ports(kind: Kind) -> bool:
    """Return whether a launch passes any port to the server. True for a kind without ports."""
    templates = (*kind.command, *kind.env.values())
    return not kind.ports or any(not placeholders(each).isdisjoint(kind.ports) for each in templates)


def launch_environment(
    kind: Kind, base: Mapping[str, str], values: Mapping[str, str], secrets: Mapping[str, str]
) -> dict[str, str]:
    """Return the environment of one launch.

    It consists of the kind's defaults, then `base` without what must not be inherited, then the kind's `env`, then the
    secrets. Of two values for one name, the later one counts.

    An entry of `env` whose placeholder has no value, or an empty one, is left out, because a server would take an empty
    variable for an owner called "".
    """
    dropped = (*NEVER_INHERITED, *kind.scrub, *kind.env, *(secret.variable for secret in kind.secrets))
    exact = frozenset(entry for entry in dropped if not entry.endswith("*"))
    prefixes = tuple(entry[:-1] for entry in dropped if entry.endswith("*"))
    inherited = {
        name: value
        for name, value in base.items()
        if name not in exact and not name.startswith(prefixes) and not search_path.is_python_variable(name)
    }
    own = {
        name: expand(template, values)
        for name, template in kind.env.items()
        if all(values.get(wanted) for wanted in placeholders(template))
    }
    return {**kind.defaults, **inherited, **own, **secrets}


def bridge_locks(kind: Kind, ports: Mapping[str, int], environment: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files that the kind's bridges lock for these ports, without those whose folder is unknown."""
    values = {name: str(port) for name, port in ports.items()} | login_folders(environment)
    known = (template for template in kind.bridge_locks if placeholders(template) <= values.keys())
    return tuple(Path(expand(template, values)) for template in known)
