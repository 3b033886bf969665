"""Encodes and decodes the launches in the registry: the recipe of a launch, and how the last launch has ended."""

from typing import Any

from ..core.model import EndedLaunch, RecipeStamp
from .values import as_integer, as_ports, as_seconds, as_text, optional


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
    """Return the ended launch of an entry."""
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


def recipe_entry(stamp: RecipeStamp | None) -> dict[str, Any] | None:
    """Return the entry of a launch's recipe."""
    if stamp is None:
        return None
    return {"command": stamp.command, "ports": dict(stamp.ports), "environment": dict(stamp.environment)}


def read_recipe(entry: Any) -> RecipeStamp | None:
    """Return the recipe of an entry."""
    if entry is None:
        return None
    return RecipeStamp(
        as_text(entry["command"]),
        {as_text(name): as_text(reach) for name, reach in entry["ports"].items()},
        {as_text(name): as_text(digest) for name, digest in entry["environment"].items()},
    )
