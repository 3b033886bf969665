"""Encodes and decodes the registry, which has a schema version. Pure.

Unknown keys are skipped. An unreadable entry is an error, because its server would be lost if the entry counted as
missing. `X_entry` makes the entry of an X, and `read_X` reads it.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..core.model import (
    RELOCATED_KEPT,
    Lease,
    Occupant,
    Origin,
    Ownership,
    PassedOverPort,
    RegistryContents,
    ServerFailure,
    ServerRecord,
    ServerState,
    StickyPorts,
)
from .editors import editor_entry, read_editor
from .entry_values import as_integer, as_ports, as_seconds, as_text, identity_entry, optional, read_identity
from .launches import choice_entry, ended_entry, read_choice, read_ended, read_stamp, stamp_entry

SCHEMA = 1

T = TypeVar("T")

_json = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode


class UnreadableError(Exception):
    """These bytes are not a registry of a known schema."""


class Encoder:
    """Encodes one state after another. An entry is encoded again only if its frozen object was replaced."""

    def __init__(self, homes: Callable[[], tuple[str, ...]] = tuple) -> None:
        """Call `homes` at every write for the ids of the homes that the registry is written for; see `homes_of`."""
        self._homes = homes
        self._entries: dict[tuple[str, str], tuple[object, str]] = {}
        """By the name of a list and the id of an entry: the object, and its JSON text."""

    def encode(self, state: RegistryContents) -> bytes:
        """Return the registry as it is written to the disk."""
        before, self._entries = self._entries, {}
        servers = self._list_of(
            before, "server", {record.id: record for record in state.servers.values()}, _server_entry
        )
        editors = self._list_of(
            before, "editor", {editor.id: editor for editor in state.editors.values()}, editor_entry
        )
        ended = self._list_of(before, "ended", {launch.id: launch for launch in state.ended}, ended_entry)
        sticky = _json([{"kind": s.kind, "project": s.project, "ports": dict(s.ports)} for s in state.sticky])
        lists = f'"editors":[{editors}],"servers":[{servers}],"sticky":{sticky},"ended":[{ended}]'
        homes = f'"homes":{_json(named)},' if (named := self._homes()) else ""
        return f'{{"schema":{SCHEMA},{homes}{lists}}}'.encode()

    def _list_of(
        self,
        before: Mapping[tuple[str, str], tuple[object, str]],
        list_name: str,
        objects: Mapping[str, T],
        to_entry: Callable[[T], object],
    ) -> str:
        """Return the entries of a list as JSON, without its brackets. Encode only objects that are new."""
        for name, each in objects.items():
            key = (list_name, name)
            known = before.get(key)
            self._entries[key] = known if known is not None and known[0] is each else (each, _json(to_entry(each)))
        return ",".join([self._entries[list_name, name][1] for name in objects])


def encode(state: RegistryContents) -> bytes:
    """Return the registry as it is written to the disk."""
    return Encoder().encode(state)


def decode(data: bytes) -> RegistryContents:
    """Return the state in these bytes. Monotonic times are read as 0, because that clock has started anew.

    Raises:
        UnreadableError: the bytes are incomplete, not a registry, or of a later schema.
    """
    try:
        document = json.loads(data)
        if document["schema"] != SCHEMA:
            raise UnreadableError(f"schema {document['schema']!r}; this version reads {SCHEMA}")
        editors = {editor.id: editor for editor in map(read_editor, document["editors"])}
        servers = {record.id: record for record in map(_read_server, document["servers"])}
        sticky = tuple(
            StickyPorts(as_text(entry["kind"]), as_text(entry["project"]), as_ports(entry["ports"]))
            for entry in document["sticky"]
        )
        ended = tuple(read_ended(entry) for entry in document.get("ended", ()))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error
    return RegistryContents(editors, servers, sticky, ended)


def homes_of(data: bytes) -> tuple[str, ...]:
    """Return the ids of the homes that a registry was written for: its servers may carry their launch tokens.

    A registry of an earlier release names none.

    Raises:
        UnreadableError: the bytes are not a registry.
    """
    try:
        return tuple(as_text(home) for home in json.loads(data).get("homes", ()))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UnreadableError(f"{type(error).__name__}: {error}") from error


def _server_entry(record: ServerRecord) -> dict[str, Any]:
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
        "process": identity_entry(record.process),
        "root": identity_entry(record.root),
        "owners": [
            {"editor": owner.editor, "process": identity_entry(owner.process), "leaving": owner.leaving}
            for owner in record.owners
        ],
        "leases": [{"id": lease.id, "holder": lease.holder, "ttl_s": lease.ttl_s} for lease in record.leases],
        "ever_owned": record.ever_owned,
        "owners_unknown": record.owners_unknown,
        "until_stopped": record.until_stopped,
        # The key is older than the name of the field.
        "named": record.stop_requested,
        "foreign": record.foreign,
        "other_home": record.other_home,
        "restarts": record.restarts,
        "relocated": [_passed_over_entry(port) for port in record.relocated],
        "relocated_more": record.relocated_more,
        "failure": _failure_entry(record.failure),
        "log": record.log,
        "url": record.url,
        "connect": list(record.connect),
        "chosen": choice_entry(record.chosen),
        "recipe": stamp_entry(record.recipe),
        "by_client": record.started_by_bridge,
    }


def _read_server(entry: Any) -> ServerRecord:
    # An earlier release kept all passed-over ports, which could be hundreds.
    relocated = entry.get("relocated", ())
    return ServerRecord(
        id=as_text(entry["id"]),
        kind=as_text(entry["kind"]),
        version=optional(as_text, entry.get("version")),
        project=optional(as_text, entry.get("project")),
        state=ServerState(entry["state"]),
        origin=Origin(entry["origin"]),
        launch=as_text(entry["launch"]),
        ports=as_ports(entry["ports"]),
        since=as_seconds(entry["since"]),
        process=optional(read_identity, entry.get("process")),
        root=optional(read_identity, entry.get("root")),
        owners=tuple(
            Ownership(
                as_text(owner["editor"]),
                read_identity(owner["process"]),
                leaving_since=0.0 if owner.get("leaving") else None,
            )
            for owner in entry.get("owners", ())
        ),
        leases=tuple(
            Lease(as_text(lease["id"]), as_text(lease["holder"]), as_seconds(lease["ttl_s"]), 0.0)
            for lease in entry.get("leases", ())
        ),
        ever_owned=bool(entry.get("ever_owned")),
        owners_unknown=bool(entry.get("owners_unknown")),
        until_stopped=bool(entry.get("until_stopped", _requested_without_owner(entry))),
        stop_requested=bool(entry.get("named")),
        foreign=bool(entry.get("foreign")),
        other_home=optional(as_text, entry.get("other_home")),
        restarts=as_integer(entry.get("restarts", 0)),
        relocated=tuple(_read_passed_over(port) for port in relocated[:RELOCATED_KEPT]),
        relocated_more=as_integer(entry.get("relocated_more", 0)) + len(relocated[RELOCATED_KEPT:]),
        failure=_read_failure(entry.get("failure")),
        log=optional(as_text, entry.get("log")),
        url=optional(as_text, entry.get("url")),
        connect=tuple(as_text(word) for word in entry.get("connect", ())),
        chosen=optional(read_choice, entry.get("chosen")),
        recipe=read_stamp(entry.get("recipe")),
        started_by_bridge=bool(entry.get("by_client")),
    )


def _requested_without_owner(entry: Any) -> bool:
    """Return whether an entry of an earlier release stands for a request without an owner: it never had one."""
    found = Origin(entry["origin"]) in (Origin.DISCOVERED, Origin.EXTERNAL)
    return not (entry.get("ever_owned") or entry.get("owners_unknown") or found)


def _passed_over_entry(port: PassedOverPort) -> dict[str, Any]:
    who = port.occupant
    occupant = who and {
        "process": identity_entry(who.identity),
        "command": list(who.brief),
        "user": who.user,
        "since": who.since,
    }
    return {"port": port.port, "reason": port.reason, "occupant": occupant}


def _read_passed_over(entry: Any) -> PassedOverPort:
    who = entry.get("occupant")
    occupant = (
        None
        if who is None
        else Occupant(
            optional(read_identity, who.get("process")),
            tuple(as_text(word) for word in who.get("command", ())),
            optional(as_text, who.get("user")),
            optional(as_seconds, who.get("since")),
        )
    )
    return PassedOverPort(as_integer(entry["port"]), occupant, as_text(entry["reason"]))


def _failure_entry(failure: ServerFailure | None) -> dict[str, Any] | None:
    if failure is None:
        return None
    return {
        "code": failure.code,
        "message": failure.message,
        "exit": failure.exit,
        "log_tail": list(failure.log_tail),
    }


def _read_failure(entry: Any) -> ServerFailure | None:
    if entry is None:
        return None
    tail = tuple(as_text(line) for line in entry.get("log_tail", ()))
    return ServerFailure(
        as_text(entry["code"]), as_text(entry["message"]), optional(as_integer, entry.get("exit")), tail
    )
