"""The remark on a server whose recipe has changed since the server was started."""

from collections.abc import Sequence

from ...client.json_object import JsonObject
from ..formatting import printable


def recipe_changes_text(server: str, changes: Sequence[JsonObject]) -> str:
    """Return one line: how the recipe has changed since the server's start, and the command that applies it."""
    parts = "; ".join(f"{change['part']} {change['detail']}".rstrip() for change in changes)
    return printable(
        f"{server}: its recipe has changed since its start ({parts}); to apply it: godot-supervisor restart {server}"
    )
