"""Encodes and decodes the launches in the registry: the recipe of a launch, and how the last launch has ended."""

from typing import Any

from ..core.model import EndedLaunch, RecipeStamp
from .values import integer, perhaps, ports_in, seconds, text


def ended_row(row: EndedLaunch) -> dict[str, Any]:
    """Return the entry of an ended launch."""
    return {
        "id": row.id,
        "kind": row.kind,
        "version": row.version,
        "project": row.project,
        "launch": row.launch,
        "ports": dict(row.ports),
        "url": row.url,
        "log": row.log,
        "since": row.since,
        "ended": row.ended,
        "how": row.how,
        "exit": row.exit,
        "by": row.by,
        "detail": row.detail,
    }


def read_ended(row: Any) -> EndedLaunch:
    """Return the ended launch of an entry."""
    return EndedLaunch(
        id=text(row["id"]),
        kind=text(row["kind"]),
        version=perhaps(text, row.get("version")),
        project=perhaps(text, row.get("project")),
        launch=text(row["launch"]),
        ports=ports_in(row["ports"]),
        url=perhaps(text, row.get("url")),
        log=perhaps(text, row.get("log")),
        since=seconds(row["since"]),
        ended=seconds(row["ended"]),
        how=text(row["how"]),
        exit=perhaps(integer, row.get("exit")),
        by=perhaps(text, row.get("by")),
        detail=perhaps(text, row.get("detail")),
    )


def recipe_row(stamp: RecipeStamp | None) -> dict[str, Any] | None:
    """Return the entry of a launch's recipe."""
    if stamp is None:
        return None
    variables = dict(stamp.environment)
    return {"command": stamp.command, "ports": dict(stamp.ports), "environment": variables}


def read_recipe(row: Any) -> RecipeStamp | None:
    """Return the recipe of an entry."""
    if row is None:
        return None
    return RecipeStamp(
        text(row["command"]),
        {text(name): text(reach) for name, reach in row["ports"].items()},
        {text(name): text(digest) for name, digest in row["environment"].items()},
    )
