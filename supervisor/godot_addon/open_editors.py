"""Finds Godot editors that have a project open, by their command lines. Blocking."""

import contextlib
from collections.abc import Callable
from pathlib import Path

from ..core.processes.godot import is_editor, named_projects
from ..native.api import Platform
from ..native.shared.working_folder import working_folder


def editors_of(
    project: Path, platform: Platform, folder_of: Callable[[int], str | None] = working_folder
) -> tuple[int, ...]:
    """Return the pids of the editors that have this project open, as far as the system tells."""
    try:
        rows = platform.processes.table()
    except OSError:
        return ()
    return tuple(sorted(row.identity.pid for row in rows if _has_open(project, row.identity.pid, platform, folder_of)))


def _has_open(project: Path, pid: int, platform: Platform, folder_of: Callable[[int], str | None]) -> bool:
    command = platform.probe.describe(pid).command
    if not is_editor(command):
        return False
    # An editor changes into the folder of its project. Until then, or if the system names no folder, options count.
    candidates = [folder_of(pid), *named_projects(command)]
    return any(_is_same(project, each) for each in candidates if each is not None and Path(each).is_absolute())


def _is_same(project: Path, folder: str) -> bool:
    with contextlib.suppress(OSError):
        return project.samefile(folder)
    return False
