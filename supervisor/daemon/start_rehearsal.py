"""Before the start: a rehearsal, which tries every step that can fail without touching a daemon that runs."""

import errno
import os
import tempfile
from pathlib import Path

from ..control.sockets import bind_tcp, check_unix
from ..errors import NotOurs, StateNotWritable
from ..native import facts, trust
from ..native.facts import Folders
from ..native.platforms import open_platform
from ..native.service_api import NoServiceManager
from ..registry.store import FileStore
from . import settings
from .app import Daemon
from .daemon_log import LOG_NAME
from .home_folder import HomeFolder, make_home
from .home_ownership import HomeOwnership


def rehearse_start(folders: Folders) -> None:
    """Return if a daemon could start here now, if no other were running.

    Raises:
        ConfigInvalid: the configuration cannot be used.
        NotOurs, StateNotWritable: a folder or file cannot be used.
        PlatformUnsupported: this system is not supported.
        Exception: the code of the daemon is broken, or does not fit what is installed beside it.
    """
    read = settings.read_settings(folders)
    try:
        make_home(folders)
        _check_folders(folders.logs, read.config.environments or folders.environments)
        if folders.lock.is_symlink():
            raise NotOurs(f"{folders.lock} is a link", hint=f"rm '{folders.lock}'")
        _check_files(folders.lock, folders.logs / LOG_NAME)
        if folders.endpoint.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(folders.endpoint))
        FileStore(folders.registry).rehearse_load()
        bind_tcp().close()
        if facts.HAS_UNIX_SOCKETS:
            check_unix(folders.socket)
        me = open_platform().probe.identify(os.getpid())
        _construct(folders, read)
    except OSError as error:
        raise StateNotWritable(
            f"a daemon could not start: {error}", hint="make it a file or folder of yours"
        ) from error
    if me is None:
        raise StateNotWritable("the system tells a process nothing about itself", hint="is /proc there?")


def _construct(folders: Folders, read: settings.Settings) -> None:
    """Construct a daemon in a folder of its own, which is removed: what cannot be imported or put together is seen."""
    with tempfile.TemporaryDirectory(prefix=".trial-", dir=folders.home, ignore_cleanup_errors=True) as place:
        apart = Folders(Path(place), moved=True)
        daemon = Daemon(apart, HomeOwnership(HomeFolder(apart)), read, NoServiceManager(), console=False)
        try:
            daemon.construct()
        finally:
            # Windows removes no folder in which a file is open.
            daemon.close_log()


def _check_folders(*folders: Path) -> None:
    """Check that existing folders are ours, and that missing ones could be made in the nearest existing parent."""
    for folder in folders:
        try:
            if os.path.lexists(folder):
                trust.check_folder(folder)
        except trust.DistrustedError as problem:
            raise NotOurs(str(problem), hint=problem.fix or "move it away") from problem
        there = next(path for path in (folder, *folder.parents) if os.path.lexists(path))
        if not os.access(there, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(there))


def _check_files(*files: Path) -> None:
    """Check that existing paths are files that can be written."""
    for file in files:
        if file.exists() and not (file.is_file() and os.access(file, os.W_OK)):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(file))
