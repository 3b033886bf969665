"""Removes builds and published environments from the disk, but nothing that a process may still use."""

import contextlib
from pathlib import Path

from ...core.model import Liveness
from ...native.api import Platform
from .running_from import CommandLines, commands_of_all, running_from
from .store import BUILDERS, EnvironmentStore


class BuildRemover:
    """Removes the builds in one folder of environments that are of no use any more. All its methods block."""

    def __init__(self, store: EnvironmentStore, platform: Platform) -> None:
        self._store = store
        self._processes = platform.processes
        self._probe = platform.probe

    def sweep(self) -> list[Path]:
        """Remove the builds of dead daemons, and replaced environments that no process runs from.

        Returns:
            The removed folders.
        """
        return [folder for folder in self.removable() if _is_removed(folder)]

    def removable(self) -> list[Path]:
        """Return the folders that `sweep` would remove."""
        found = []
        commands = None
        for marker in self._store.root.glob(f"*/{BUILDERS}"):
            build = marker.parent
            builders = self._store.builders(build)
            # Sample first, then read the records: a dead builder cannot publish between the two.
            aborted = builders and all(self._probe.sample(builder) is Liveness.DEAD for builder in builders)
            useless = aborted or self._store.was_replaced(build) or self._store.was_published(build)
            if useless and build not in {published.path for published in self._store.published() if published.usable}:
                commands = self.commands() if commands is None else commands
                if not running_from(build, commands):
                    found.append(build)
        return found

    def commands(self) -> CommandLines:
        """Return the command line of every visible process."""
        return commands_of_all(self._processes, self._probe)

    def remove_replaced(self, folder: Path, commands: CommandLines) -> None:
        """Remove a replaced environment. If a process still runs from it, mark it for removal by a later `sweep`."""
        if running_from(folder, commands):
            with contextlib.suppress(OSError):
                self._store.note_replaced(folder)
        else:
            remove_build(folder)


def remove_build(folder: Path) -> None:
    """Remove a build, its list of builders last, so that a partly removed build is still known as removable."""
    with contextlib.suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.is_dir() and not entry.is_symlink():
                remove_tree(entry)
            elif entry.name != BUILDERS:
                entry.unlink()
        if [entry.name for entry in folder.iterdir()] in ([], [BUILDERS]):
            remove_tree(folder)


def remove_tree(folder: Path) -> None:
    """Remove as much of a folder as can be removed."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)


def _is_removed(folder: Path) -> bool:
    """Remove a build. Return whether nothing of it is left."""
    remove_build(folder)
    return not folder.exists()
