"""The remark about a server whose recipe has changed since its launch."""

from collections.abc import Sequence

from ...client.json_object import JsonObject
from ..formatting import printable


def remark(server: str, changes: Sequence[JsonObject]) -> str:
    """Return one line: the changes to the recipe since the server was launched, and the command that applies them."""
    parts = "; ".join(f"{change['part']} {change['detail']}".rstrip() for change in changes)
    return printable(
        f"{server}: its recipe has changed since its start ({parts}); to apply it: godot-supervisor restart {server}"
    )
