"""Starts the bridge of an AI client, without click: the client waits for the first answer."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ...native.facts import Folders

PROJECT = "--project"


def arguments(words: Sequence[str]) -> tuple[str | None, str | None] | None:
    """Return kind and project of the words after `mcp`. Returns None for words that click should explain."""
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
    from ...mcp.bridge.project import find_project
    from ...mcp.bridge.run import serve
    from ...native.facts import folders

    return serve(kind, find_project(project), folders(), _start_service)


def _start_service(where: "Folders") -> bool:
    from ...daemon.version import installed
    from ...service.managers import start_if_installed

    return start_if_installed(where, installed())
