"""Starts the MCP bridge, without importing click: the AI client waits for the first answer."""

import gc
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...native.facts import Folders

PROJECT = "--project"


def parse_arguments(words: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Return the kind and the project in the words after `mcp`, each None if it is not given.

    Returns None for words that click has to explain, such as `--help`.
    """
    left = list(words)
    project = None
    if PROJECT in left[:-1]:
        place = left.index(PROJECT)
        project = left[place + 1]
        del left[place : place + 2]
    if len(left) > 1 or any(word.startswith("-") for word in left):
        return None
    return (left[0] if left else None), project


def serve(kind: str | None, project: str | None) -> int:
    """Serve the client until it ends, and return the exit code."""
    # The modules that are loaded next are no garbage. The bridge collects again after its first answer.
    gc.disable()
    from ...mcp.bridge.project import find_project
    from ...mcp.bridge.run import serve as serve_client
    from ...native.facts import folders

    return serve_client(kind, find_project(project), folders(), _start_service)


def _start_service(folders: "Folders") -> bool:
    """Start the daemon's service, if one is installed. Returns whether it was started."""
    try:
        from ...daemon.version import installed
        from ...service.managers import start_if_installed
    except ImportError:
        # An upgrade has replaced the files of this version.
        return False

    return start_if_installed(folders, installed())
