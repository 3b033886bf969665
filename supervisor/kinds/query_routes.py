"""The parts of a recipe that say how a running server is asked: `identify`, `ready`, `sessions` and `pin`.

A path is that of a URL in `http`; an answer path leads to a value of the JSON answer (`answer_values.py`).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import fields

from ..errors import quoted
from .answer_values import flattened, path_of
from .kind import ANSWER_TIMEOUT_S, IdentifyRule, PinRule, PortRange, ReadyRule, Secret, SessionRoute
from .table import Table, refuse
from .versions import VersionRange

Ranges = Mapping[str, PortRange]

STATUSES = range(100, 600)

_URL_PATH = re.compile(r"/[!-~]*")


def identify_of(recipe: Table, ports: Ranges, secrets: Collection[Secret]) -> IdentifyRule | None:
    """Return how a server is asked who it is, or None if it cannot be asked.

    Raises:
        ConfigInvalid: a key is wrong.
    """
    if "identify" not in recipe.content:
        return None
    table = recipe.table("identify", [field.name for field in fields(IdentifyRule)])
    path = _url_path(table)
    if path is None:
        refuse(table.at("http"), "missing", 'write http = "/health"')
    bearer = table.text("bearer")
    if bearer is not None and bearer not in [secret.variable for secret in secrets]:
        refuse(table.at("bearer"), f"this kind has no secret {quoted(bearer)}", f"set {recipe.at('secrets')}.{bearer}")
    nulls = table.words("null", fix='write null = ["error"]')
    for word in nulls:
        _check_answer_path(table.at("null"), word)
    return IdentifyRule(
        http=path,
        port=_route_port(recipe, table, ports),
        match=_match(table),
        version=_answer_path(table, "version"),
        leases=_answer_path(table, "leases"),
        bearer=bearer,
        versions=range_of(table, "versions"),
        leases_versions=range_of(table, "leases_versions"),
        null=nulls,
    )


def ready_of(recipe: Table, ports: Ranges) -> ReadyRule | None:
    """Return when a server counts as started, or None if its identification decides that.

    Raises:
        ConfigInvalid: a key is wrong.
    """
    if "ready" not in recipe.content:
        return None
    table = recipe.table("ready", ("http", "port", "status", "timeout_s", "tcp"))
    path = _url_path(table)
    tcp = _tcp_ports(recipe, table, ports)
    if path is None:
        for key in ("port", "status", "timeout_s"):
            if key in table.content:
                refuse(table.at(key), "nothing is asked without http", 'write http = "/health", or drop it')
        if "tcp" not in table.content:
            refuse(recipe.at("ready"), "neither http nor tcp", 'write ready = { http = "/health" } or { tcp = "http" }')
        return ReadyRule(tcp)
    port = _route_port(recipe, table, ports)
    return ReadyRule(
        tcp=tcp if port in tcp else (*tcp, port),
        http=path,
        port=port,
        status=_statuses(table),
        timeout_s=table.seconds("timeout_s", ANSWER_TIMEOUT_S),
    )


def sessions_of(recipe: Table, ports: Ranges) -> str | SessionRoute | None:
    """Return the port whose connections are the editor sessions, or the route that reports them.

    Raises:
        ConfigInvalid: a key is wrong.
    """
    table = recipe.table("sessions", ("tcp", "http", "port", "count"))
    path = _url_path(table, example="/api/sessions")
    if path is None:
        surplus = next((key for key in ("port", "count") if key in table.content), None)
        if surplus is not None:
            refuse(table.at(surplus), "there is no route", f"set {table.at('http')}, or drop {surplus}")
        return _port_of(recipe, table, "tcp", ports)
    if "tcp" in table.content:
        refuse(table.at("tcp"), "sessions are counted in one way", f"drop it, or {table.at('http')}")
    count = _answer_path(table, "count")
    if count is None:
        refuse(table.at("count"), "missing", "write the key of the answer that lists or counts the sessions")
    return SessionRoute(http=path, port=_route_port(recipe, table, ports), count=count)


def pin_of(recipe: Table) -> PinRule | None:
    """Return how a tool call names the editor that it is for, or None if it does not. `pin = false` switches it off.

    Raises:
        ConfigInvalid: a key is wrong.
    """
    if recipe.content.get("pin", False) is False:
        return None
    table = recipe.table("pin", ("argument", "exempt", "unknown", "list"))
    argument = table.text("argument")
    if argument is None:
        refuse(table.at("argument"), "missing", 'write the argument of tools that names an editor, like "session_id"')
    listed = table.table("list", ("tool", "arguments", "resource", "sessions", "id", "project", "pid", "active"))
    tool, resource = listed.text("tool"), listed.text("resource")
    if (tool is None) == (resource is None):
        refuse(
            table.at("list"),
            "neither tool nor resource, or both",
            'write { resource = "x://sessions" } or { tool = … }',
        )
    if tool is None and "arguments" in listed.content:
        refuse(listed.at("arguments"), "a resource has no arguments", f"set {listed.at('tool')}, or drop it")
    return PinRule(
        argument=argument,
        sessions=listed.text("sessions") or "sessions",
        id=listed.text("id") or argument,
        project=listed.text("project") or "project_path",
        pid=listed.text("pid"),
        active=listed.text("active"),
        tool=tool,
        arguments=listed.text_table("arguments"),
        resource=resource,
        unknown=table.text("unknown"),
        exempt=table.words("exempt", fix='write the names of tools, like ["session_list"]'),
    )


def range_of(table: Table, key: str) -> str | None:
    """Return a range of versions as it is written, or None if the key is missing.

    Raises:
        ConfigInvalid: the value is not a range of versions.
    """
    text = table.text(key)
    try:
        if text is not None:
            VersionRange.parse(text)
    except ValueError as error:
        refuse(table.at(key), str(error), f'write {key} = ">=4"')
    return text


def _url_path(table: Table, example: str = "/health") -> str | None:
    return table.text("http", _URL_PATH, f'write the path of a URL, like "{example}"')


def _match(table: Table) -> Mapping[str, object]:
    content = table.table("match").content
    try:
        return flattened(content)
    except ValueError as error:
        refuse(table.at("match"), str(error), 'write match = { name = "x", ok = true, "info.protocol" = 2 }')


def _answer_path(table: Table, key: str) -> str | None:
    path = table.text(key)
    if path is not None:
        _check_answer_path(table.at(key), path)
    return path


def _check_answer_path(key: str, path: str) -> None:
    try:
        path_of(path)
    except ValueError as error:
        refuse(key, str(error), r'write keys with dots between them, like "info.name"; a dot in a key is "\\."')


def _tcp_ports(recipe: Table, table: Table, ports: Ranges) -> tuple[str, ...]:
    """Return the names of the ports that a start waits for: one name, a list of names, or all."""
    given = table.content.get("tcp", list(ports))
    names = [given] if isinstance(given, str) else given
    if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
        refuse(
            table.at("tcp"), "neither a port's name nor a list of them", 'write tcp = "http" or tcp = ["http", "ws"]'
        )
    for name in names:
        _check_port(recipe, table, "tcp", name, ports)
    return tuple(names)


def _statuses(table: Table) -> tuple[int, ...]:
    given = table.content.get("status", [])
    statuses = given if isinstance(given, list) else [given]
    for status in statuses:
        if isinstance(status, bool) or not isinstance(status, int) or status not in STATUSES:
            refuse(
                table.at("status"),
                f"{quoted(status)} is not an HTTP status",
                "write status = 200 or status = [200, 401]",
            )
    return tuple(statuses)


def _route_port(recipe: Table, table: Table, ports: Ranges) -> str:
    """Return the name of the port that is asked: the one in the key `port`, else the kind's first."""
    port = _port_of(recipe, table, "port", ports) or next(iter(ports), None)
    if port is None:
        refuse(table.at("port"), "the kind has no ports", f"set {recipe.at('ports')}")
    return port


def _port_of(recipe: Table, table: Table, key: str, ports: Ranges) -> str | None:
    name = table.text(key)
    if name is not None:
        _check_port(recipe, table, key, name, ports)
    return name


def _check_port(recipe: Table, table: Table, key: str, name: str, ports: Ranges) -> None:
    if name not in ports:
        known = ", ".join(ports) or f"none yet, set {recipe.at('ports')}"
        refuse(table.at(key), f"the kind has no port {quoted(name)}", f"ports: {known}")
