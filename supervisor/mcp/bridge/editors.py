"""Examines what a server says of its editors: which of them have the project open, and which of them run."""

import contextlib
import os
import threading
from collections.abc import Callable

from ..core.events_and_actions import EditorsExamined, Event, ExamineEditors


def examine(action: ExamineEditors, project: str | None, post: Callable[[Event], None]) -> None:
    """Begin to examine the editors, in a thread, because a file system may take its time.

    `EditorsExamined` is posted.
    """

    def do_it() -> None:
        from ...native.startup.running import runs

        ours = frozenset(path for path in action.projects if project is not None and is_same_folder(path, project))
        post(EditorsExamined(action.reading, ours, frozenset(pid for pid in action.pids if runs(pid))))

    threading.Thread(target=do_it, daemon=True).start()


def is_same_folder(path: str, project: str) -> bool:
    """Return whether a path, as an editor writes it, is that of the project.

    Symbolic links are followed, and letters compared as the file system does that. A folder that does not exist (for
    this user) is compared by its path. A relative path is no project's: the editor may run in any folder.
    """
    if not os.path.isabs(path):  # noqa: PTH117
        return False
    with contextlib.suppress(OSError, ValueError):
        return os.path.samefile(path, project)  # noqa: PTH121 (no pathlib, as everywhere in the bridge)
    with contextlib.suppress(OSError, ValueError):
        return os.path.normcase(os.path.realpath(path)) == os.path.normcase(project)
    return False
