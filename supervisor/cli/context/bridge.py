"""The entry of the MCP bridge for AI clients, from this shell."""

import os

from ...errors import LauncherNotStable
from ...mcp.ai_clients.entry import PROGRAM, Entry, bridge_entry
from ...mcp.ai_clients.launcher import find_launcher
from ...mcp.bridge.project import DEFAULT_KIND
from ...native.facts import HOME_VARIABLE, Folders


def entry_to_show(kind: str | None, where: Folders) -> Entry:
    """Return the entry for a kind, to be shown. The default kind, which the bridge finds by itself, is left out."""
    try:
        launcher = find_launcher(os.environ)
    except LauncherNotStable:
        # `clients install` explains this. A user who enters it by hand knows a better path.
        launcher = (PROGRAM,)
    return bridge_entry(launcher, without_default(kind), bridge_variables(where))


def without_default(kind: str | None) -> str | None:
    """Return the kind. Returns None for the default one."""
    return None if kind == DEFAULT_KIND else kind


def bridge_variables(where: Folders) -> dict[str, str]:
    """Return the variables that the bridge needs, because clients do not pass on those of this shell."""
    return {HOME_VARIABLE: where.home_text} if where.moved else {}
