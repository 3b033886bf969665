"""What is kept of launches: the recipe that one was made by, and how the last one has ended."""

from typing import Any

from ..core.model import Ended, RecipeStamp
from .values import integer, perhaps, ports_in, seconds, text


def ended_row(row: Ended) -> dict[str, Any]:
    """The end of a launch."""
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


def read_ended(row: Any) -> Ended:
    """The same, read."""
    return Ended(
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
    """What a launch was made by."""
    if stamp is None:
        return None
    variables = dict(stamp.environment)
    return {"command": stamp.command, "ports": dict(stamp.ports), "environment": variables}


def read_recipe(row: Any) -> RecipeStamp | None:
    """The same, read."""
    if row is None:
        return None
    return RecipeStamp(
        text(row["command"]),
        {text(name): text(reach) for name, reach in row["ports"].items()},
        {text(name): text(digest) for name, digest in row["environment"].items()},
    )
