"""Finds the editor that follows one which has ended or left: of the same project, and starting at this moment. Pure.

A project that is reloaded is opened by a new process, which the editor starts before it ends. The new process attaches
when it has loaded the project: on a slow machine long after the grace and the linger time. Not every system tells who
has started a process (on macOS the desktop does, and a process whose parent has ended belongs to the system), so the
age and the project count. They are as true of an editor that a user opens again.
"""

from collections.abc import Callable, Iterable, Sequence

from ...values import frozen
from ..model import ProcessIdentity
from .godot import is_editor, named_projects

STARTING_S = 120.0
"""How long an editor may take from its start until it attaches. Its project's servers are not ended in that time."""

ONE_TASK = frozenset(
    {
        "--build-solutions",
        "--check-only",
        "--convert-3to4",
        "--doctool",
        "--export",
        "--export-debug",
        "--export-pack",
        "--export-patch",
        "--export-release",
        "--gdscript-docs",
        "--import",
        "--project-manager",
        "-p",
        "--quit",
        "--test",
        "--validate-conversion-3to4",
    }
)
"""Options with which an editor does one thing and quits, or opens no project. Such an editor never attaches."""


@frozen
class LeftProject:
    """The project of an editor that has ended or left. `editor_started`: when that editor started; None if unknown.

    Times are wall time, seconds.
    """

    folder: str
    editor_started: float | None


@frozen
class YoungProcess:
    """A process that may be an editor. `age_s` is None if the system does not tell when it started."""

    process: ProcessIdentity
    started: float | None
    age_s: float | None
    command: tuple[str, ...]


@frozen
class Successor:
    """An editor that is starting on a left project. It counts as one until `until`, monotonic seconds."""

    process: ProcessIdentity
    until: float


def may_be_starting(age_s: float | None) -> bool:
    """Return whether a process of this age may be an editor that has not attached yet. True in doubt."""
    return age_s is None or age_s < STARTING_S


def follows(candidate: YoungProcess, left: Iterable[LeftProject], canonical: Callable[[str], str | None]) -> bool:
    """Return whether a process is an editor that opens one of these projects, and is younger than its editor was.

    `canonical` returns a folder by its one name, None if there is no such folder.
    """
    if not may_be_starting(candidate.age_s) or not _opens_a_project(candidate.command):
        return False
    folders = {canonical(folder) for folder in named_projects(candidate.command)}
    return any(project.folder in folders and _is_younger(candidate, project) for project in left)


def _opens_a_project(command: Sequence[str]) -> bool:
    return is_editor(command) and ONE_TASK.isdisjoint(command)


def _is_younger(candidate: YoungProcess, left: LeftProject) -> bool:
    return candidate.started is None or left.editor_started is None or candidate.started > left.editor_started
