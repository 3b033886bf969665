"""Encodes and decodes the registry, which has a schema version. Pure.

Unknown keys are skipped. An unreadable entry is an error. It must not count as a missing one, because its server would
be lost.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..core.model import (
    RELOCATED_KEPT,
    Editor,
    Lease,
    Occupant,
    Origin,
    Ownership,
    PassedOverPort,
    ProcessIdentity,
    ServerFailure,
    ServerRecord,
    ServerState,
    State,
    StickyPorts,
    VersionChoice,
    VersionSource,
)
from .launches import ended_row, read_ended, read_recipe, recipe_row
from .values import integer, perhaps, ports_in, seconds, text

SCHEMA = 1

T = TypeVar("T")

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class UnreadableError(Exception):
    """These bytes are not a registry of a known schema."""


class Encoder:
    """Encodes one state after another. An entry is encoded again only if its frozen object was replaced."""

    def __init__(self, homes: Callable[[], tuple[str, ...]] = tuple) -> None:
        """`homes` returns the ids of the homes whose launch tokens these servers may carry; called for every write."""
        self._homes = homes
        self._rows: dict[tuple[str, str], tuple[object, str]] = {}

    def encode(self, state: State) -> bytes:
        """Return the registry as it is written to the disk."""
        before, self._rows = self._rows, {}
        servers = self._encoded(before, "server", {row.id: row for row in state.servers.values()}, _server)
        editors = self._encoded(before, "editor", {row.id: row for row in state.editors.values()}, _editor)
        ended = self._encoded(before, "ended", {row.id: row for row in state.ended}, ended_row)
        sticky = _json([{"kind": s.kind, "project": s.project, "ports": dict(s.ports)} for s in state.sticky])
        lists = f'"editors":[{editors}],"servers":[{servers}],"sticky":{sticky},"ended":[{ended}]'
        homes = f'"homes":{_json(named)},' if (named := self._homes()) else ""
        return f'{{"schema":{SCHEMA},{homes}{lists}}}'.encode()

    def _encoded(
        self,
        before: Mapping[tuple[str, str], tuple[object, str]],
        list_name: str,
        rows: Mapping[str, T],
        encode_row: Callable[[T], object],
    ) -> str:
        for name, row in rows.items():
            key = (list_name, name)
            known = before.get(key)
            self._rows[key] = known if known is not None and known[0] is row else (row, _json(encode_row(row)))
        return ",".join([self._rows[list_name, name][1] for name in rows])


def encode(state: State) -> bytes:
    """Return the registry as it is written to the disk."""
    return Encoder().encode(state)


def decode(data: bytes) -> State:
    """Return the state in these bytes. Monotonic times are read as 0, because that clock has started anew.

    Raises:
        UnreadableError: the bytes are incomplete, not a registry, or of a later schema.
    """
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise UnreadableError(f"schema {document['schema']!r}; this version reads {SCHEMA}")
        editors = [_read_editor(row) for row in document["editors"]]
        servers = [_read_server(row) for row in document["servers"]]
        sticky = tuple(
            StickyPorts(text(row["kind"]), text(row["project"]), ports_in(row["ports"])) for row in document["sticky"]
        )
        ended = tuple(read_ended(row) for row in document.get("ended", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    return State({editor.id: editor for editor in editors}, {record.id: record for record in servers}, sticky, ended)


def homes_of(data: bytes) -> tuple[str, ...]:
    """Return the ids of the homes that wrote these bytes; none in a registry of an earlier release.

    Raises:
        UnreadableError: the bytes are not a registry.
    """
    try:
        return tuple(text(home) for home in json.loads(data).get("homes", ()))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _identity(identity: ProcessIdentity | None) -> dict[str, Any] | None:
    return None if identity is None else {"pid": identity.pid, "start_token": identity.start_token}


def _read_identity(row: Any) -> ProcessIdentity | None:
    return None if row is None else _read_certain_identity(row)


def _read_certain_identity(row: Any) -> ProcessIdentity:
    return ProcessIdentity(integer(row["pid"]), text(row["start_token"]))


def _editor(editor: Editor) -> dict[str, Any]:
    return {
        "id": editor.id,
        "process": _identity(editor.process),
        "project": editor.project,
        "started_at": editor.started_at,
        "engine": editor.engine,
        "engine_version": editor.engine_version,
        "name": editor.name,
    }


def _read_editor(row: Any) -> Editor:
    return Editor(
        id=text(row["id"]),
        process=_read_certain_identity(row["process"]),
        project=perhaps(text, row.get("project")),
        started_at=perhaps(seconds, row.get("started_at")),
        engine=perhaps(text, row.get("engine")),
        engine_version=perhaps(text, row.get("engine_version")),
        name=perhaps(text, row.get("name")),
    )


def _server(record: ServerRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "kind": record.kind,
        "version": record.version,
        "project": record.project,
        "state": record.state.value,
        "origin": record.origin.value,
        "launch": record.launch,
        "ports": dict(record.ports),
        "since": record.since,
        "process": _identity(record.process),
        "root": _identity(record.root),
        "owners": [
            {"editor": owner.editor, "process": _identity(owner.process), "leaving": owner.leaving}
            for owner in record.owners
        ],
        "leases": [{"id": lease.id, "holder": lease.holder, "ttl_s": lease.ttl_s} for lease in record.leases],
        "ever_owned": record.ever_owned,
        "owners_unknown": record.owners_unknown,
        "until_stopped": record.until_stopped,
        "named": record.stop_requested,
        "foreign": record.foreign,
        "other_home": record.other_home,
        "restarts": record.restarts,
        "relocated": [_occupied(occupied) for occupied in record.relocated],
        "relocated_more": record.relocated_more,
        "failure": _failure(record.failure),
        "log": record.log,
        "url": record.url,
        "connect": list(record.connect),
        "chosen": _chosen(record.chosen),
        "recipe": recipe_row(record.recipe),
        "by_client": record.by_client,
    }


def _read_server(row: Any) -> ServerRecord:
    # An earlier release kept all of them, which could be hundreds.
    relocated = row.get("relocated", ())
    return ServerRecord(
        id=text(row["id"]),
        kind=text(row["kind"]),
        version=perhaps(text, row.get("version")),
        project=perhaps(text, row.get("project")),
        state=ServerState(row["state"]),
        origin=Origin(row["origin"]),
        launch=text(row["launch"]),
        ports=ports_in(row["ports"]),
        since=seconds(row["since"]),
        process=_read_identity(row.get("process")),
        root=_read_identity(row.get("root")),
        owners=tuple(
            Ownership(
                text(owner["editor"]),
                _read_certain_identity(owner["process"]),
                leaving_since=0.0 if owner.get("leaving") else None,
            )
            for owner in row.get("owners", ())
        ),
        leases=tuple(
            Lease(text(lease["id"]), text(lease["holder"]), seconds(lease["ttl_s"]), 0.0)
            for lease in row.get("leases", ())
        ),
        ever_owned=bool(row.get("ever_owned")),
        owners_unknown=bool(row.get("owners_unknown")),
        until_stopped=bool(row.get("until_stopped", _requested_without_owner(row))),
        stop_requested=bool(row.get("named")),
        foreign=bool(row.get("foreign")),
        other_home=perhaps(text, row.get("other_home")),
        restarts=integer(row.get("restarts", 0)),
        relocated=tuple(_read_occupied(occupied) for occupied in relocated[:RELOCATED_KEPT]),
        relocated_more=integer(row.get("relocated_more", 0)) + len(relocated[RELOCATED_KEPT:]),
        failure=_read_failure(row.get("failure")),
        log=perhaps(text, row.get("log")),
        url=perhaps(text, row.get("url")),
        connect=tuple(text(word) for word in row.get("connect", ())),
        chosen=perhaps(_read_chosen, row.get("chosen")),
        recipe=read_recipe(row.get("recipe")),
        by_client=bool(row.get("by_client")),
    )


def _requested_without_owner(row: Any) -> bool:
    """Return whether an entry of an earlier release stands for a request without an owner: it never had one."""
    found = Origin(row["origin"]) in (Origin.DISCOVERED, Origin.EXTERNAL)
    return not (row.get("ever_owned") or row.get("owners_unknown") or found)


def _chosen(chosen: VersionChoice | None) -> dict[str, Any] | None:
    if chosen is None:
        return None
    texts = {"source": chosen.source.value, "why": chosen.why, "project": chosen.project, "engine": chosen.engine}
    rest = {"passed_over": chosen.passed_over, "beside": chosen.beside}
    # Leave out empty fields: most entries have none of them, and the registry is written often.
    return {name: text for name, text in (texts | rest).items() if text is not None}


def _read_chosen(row: Any) -> VersionChoice:
    further = (perhaps(text, row.get(name)) for name in ("project", "engine", "passed_over", "beside"))
    return VersionChoice(VersionSource(row["source"]), text(row["why"]), *further)


def _occupied(occupied: PassedOverPort) -> dict[str, Any]:
    who = occupied.occupant
    occupant = who and {
        "process": _identity(who.identity),
        "command": list(who.brief),
        "user": who.user,
        "since": who.since,
    }
    return {"port": occupied.port, "reason": occupied.reason, "occupant": occupant}


def _read_occupied(row: Any) -> PassedOverPort:
    who = row.get("occupant")
    occupant = (
        None
        if who is None
        else Occupant(
            _read_identity(who.get("process")),
            tuple(text(word) for word in who.get("command", ())),
            perhaps(text, who.get("user")),
            perhaps(seconds, who.get("since")),
        )
    )
    return PassedOverPort(integer(row["port"]), occupant, text(row["reason"]))


def _failure(failure: ServerFailure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "code": failure.code,
        "message": failure.message,
        "exit": failure.exit,
        "log_tail": list(failure.log_tail),
    }


def _read_failure(row: Any) -> ServerFailure | None:
    if row is None:
        return None
    tail = tuple(text(line) for line in row.get("log_tail", ()))
    return ServerFailure(text(row["code"]), text(row["message"]), perhaps(integer, row.get("exit")), tail)
