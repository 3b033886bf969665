"""Servers that run by an older recipe, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

from .. import output

Json = Mapping[str, Any]


def remark(server: str, changes: Sequence[Json]) -> str:
    """One line on a server: what has changed in its recipe since it was launched, and what gets it the new one."""
    what = "; ".join(f"{change['part']} {change['detail']}".rstrip() for change in changes)
    return output.printable(f"{server}: runs by an older recipe ({what}): godot-supervisor restart {server}")
