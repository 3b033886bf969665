"""Remarks below a server in `up` and `status`: the daemon's notes, ports that were passed over, a changed recipe."""

from collections.abc import Iterator

from ...client.json_object import JsonObject
from ..formatting import printable, why_passed_over


def remarks(server: JsonObject, *, before_note: str, before_port: str) -> Iterator[str]:
    """Yield the remarks on a server, each note and each such port with its prefix."""
    for note in server.get("notes", ()):
        yield printable(f"{before_note}{note}")
    for row in server["relocated"]:
        yield f"{before_port}port {row['port']} was passed over: {why_passed_over(row)}"
    if server.get("relocated_more"):
        yield f"{before_port}{server['relocated_more']} more ports were passed over"
    if server.get("recipe_changes"):
        # Rarely needed, so `status` does not load this module otherwise.
        from .recipe_changes import recipe_changes_text

        yield recipe_changes_text(server["id"], server["recipe_changes"])
