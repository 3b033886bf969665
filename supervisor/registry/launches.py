"""Encodes and decodes what the registry keeps of launches: their recipe's stamp, their version's choice, their end."""

from typing import Any

from ..core.model import EndedLaunch, RecipeStamp, VersionChoice, VersionSource
from .entry_values import as_integer, as_ports, as_seconds, as_text, optional


def ended_entry(launch: EndedLaunch) -> dict[str, Any]:
    """Return the entry of an ended launch."""
    return {
        "id": launch.id,
        "kind": launch.kind,
        "version": launch.version,
        "project": launch.project,
        "launch": launch.launch,
        "ports": dict(launch.ports),
        "url": launch.url,
        "log": launch.log,
        "since": launch.since,
        "ended": launch.ended,
        "how": launch.how,
        "exit": launch.exit,
        "by": launch.by,
        "detail": launch.detail,
    }


def read_ended(entry: Any) -> EndedLaunch:
    """Return the ended launch in an entry.

    Raises:
        KeyError, TypeError, AttributeError: the entry is damaged.
    """
    return EndedLaunch(
        id=as_text(entry["id"]),
        kind=as_text(entry["kind"]),
        version=optional(as_text, entry.get("version")),
        project=optional(as_text, entry.get("project")),
        launch=as_text(entry["launch"]),
        ports=as_ports(entry["ports"]),
        url=optional(as_text, entry.get("url")),
        log=optional(as_text, entry.get("log")),
        since=as_seconds(entry["since"]),
        ended=as_seconds(entry["ended"]),
        how=as_text(entry["how"]),
        exit=optional(as_integer, entry.get("exit")),
        by=optional(as_text, entry.get("by")),
        detail=optional(as_text, entry.get("detail")),
    )


def stamp_entry(stamp: RecipeStamp | None) -> dict[str, Any] | None:
    """Return the entry of a recipe's stamp; None if there is no stamp."""
    if stamp is None:
        return None
    return {"command": stamp.command, "ports": dict(stamp.ports), "environment": dict(stamp.environment)}


def read_stamp(entry: Any) -> RecipeStamp | None:
    """Return the stamp in an entry; None if there is none, as in registries of earlier releases.

    Raises:
        KeyError, TypeError, AttributeError: the entry is damaged.
    """
    if entry is None:
        return None
    return RecipeStamp(
        as_text(entry["command"]),
        {as_text(name): as_text(reach) for name, reach in entry["ports"].items()},
        {as_text(name): as_text(digest) for name, digest in entry["environment"].items()},
    )


def choice_entry(chosen: VersionChoice | None) -> dict[str, Any] | None:
    """Return the entry of the choice of a version; None if there is none."""
    if chosen is None:
        return None
    entry = {
        "source": chosen.source.value,
        "why": chosen.why,
        "project": chosen.project,
        "engine": chosen.engine,
        "passed_over": chosen.passed_over,
        "beside": chosen.beside,
    }
    # Empty fields are left out: most entries have some, and the registry is written often.
    return {name: text for name, text in entry.items() if text is not None}


def read_choice(entry: Any) -> VersionChoice:
    """Return the choice of a version in an entry.

    Raises:
        KeyError, ValueError, TypeError, AttributeError: the entry is damaged.
    """
    return VersionChoice(
        source=VersionSource(entry["source"]),
        why=as_text(entry["why"]),
        project=optional(as_text, entry.get("project")),
        engine=optional(as_text, entry.get("engine")),
        passed_over=optional(as_text, entry.get("passed_over")),
        beside=optional(as_text, entry.get("beside")),
    )
