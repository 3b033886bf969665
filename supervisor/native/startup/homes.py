"""Checks whether this user can have a home folder where the variables say, and explains why not.

Nothing is made here.
"""

import contextlib
import errno
import os
import shlex
import stat
import sys
from pathlib import Path

from ...errors import NotOurs, StateNotWritable, SupervisorError
from ..facts import HOME_VARIABLE, SYSTEM, Folders

ROOT = 0
OVERFLOW = 65534
"""The owner that Linux shows if a user namespace does not know the real one."""

ENVIRONMENT_ERRNOS = frozenset(
    getattr(errno, name, 0)
    for name in (
        *("EACCES", "EPERM", "ENOTDIR", "EISDIR", "EROFS", "ENOSPC", "EDQUOT", "EMFILE", "ENFILE", "ENOMEM", "EIO"),
        *("ESTALE", "ELOOP", "ENAMETOOLONG", "EAGAIN", "ETXTBSY"),
    )
)
"""Errors of the system that the user's environment causes, not a defect of this program."""

_HINTS = {
    errno.EACCES: "may you read and write there?",
    errno.ENOSPC: "make room on that disk",
    errno.EROFS: f"choose a folder that can be written: {HOME_VARIABLE}",
    errno.EMFILE: "ulimit -n says how many files may be open",
}


def check(where: Folders) -> None:
    """Check that this user can have a home in these folders.

    On Windows nothing is checked here, because it has access lists instead of owners; `trust` checks those.

    Raises:
        NotOurs: the home lies in a folder of another user, or in one that this user may not read or write.
        StateNotWritable: the home lies below a file.
    """
    if SYSTEM == "windows":
        return
    _check_owned_by_root(where)
    variable, value = (HOME_VARIABLE, where.home) if where.moved else ("HOME", where.home.parent)
    _check_place(variable, value, where.home, os.R_OK | os.W_OK | os.X_OK)
    if not where.moved:
        _check_base_folder("XDG_CONFIG_HOME", where.config.parent, os.R_OK | os.X_OK)
        _check_base_folder("XDG_STATE_HOME", where.logs, os.R_OK | os.W_OK | os.X_OK)
        _check_base_folder("XDG_DATA_HOME", where.environments, os.R_OK | os.W_OK | os.X_OK)


def explain(problem: OSError, where: Folders) -> SupervisorError:
    """Return the error to show to users for an error of the system about a file in the home."""
    try:
        check(where)
    except SupervisorError as better:
        return better
    path = problem.filename if isinstance(problem.filename, str) else None
    reason = problem.strerror or str(problem)
    text = f"{reason}: {path}" if path else reason
    owned_by_root = _topmost_of_root(Path(path)) if path and SYSTEM != "windows" else None
    if owned_by_root is not None:
        return NotOurs(text, hint=_chown_command([owned_by_root]))
    return StateNotWritable(text, hint=_HINTS.get(problem.errno or 0))


def _check_owned_by_root(where: Folders) -> None:
    """Refuse files and folders in this user's home that root owns and this user cannot use.

    A command that was once run by sudo, with this user's HOME, leaves such ones.
    """
    control = where.home / "control"
    ours = (where.home, where.endpoint, where.lock, where.registry, control, where.logs, where.environments)
    needed = {**dict.fromkeys(ours, os.R_OK | os.W_OK), where.config.parent: os.R_OK, where.config: os.R_OK}
    owned_by_root = {place: found for place in needed if (found := _topmost_of_root(place)) is not None}
    # A missing folder has to be made in the one that root owns.
    blocked = [
        place
        for place in owned_by_root
        if not os.access(place if os.path.lexists(place) else owned_by_root[place], needed[place])
    ]
    if blocked:
        raise NotOurs(
            f"{owned_by_root[blocked[0]]} belongs to root: was a command run by sudo, with your HOME?",
            hint=_chown_command([*dict.fromkeys(owned_by_root.values())]),
        )


def _topmost_of_root(path: Path) -> Path | None:
    """Return the topmost part of this path that root owns in a folder of this user; None if there is none."""
    me = _me()
    top = None
    for place in (path, *path.parents):
        try:
            owner = place.lstat().st_uid
        except OSError:
            continue
        if owner == me:
            return top
        if owner != ROOT:
            return None
        top = place
    return None


def _chown_command(paths: list[Path]) -> str:
    """Return the command that gives these files and folders back to this user."""
    return shlex.join(("sudo", "chown", "-R", str(_me()), *(str(path) for path in paths)))


def _check_base_folder(variable: str, folder: Path, access: int) -> None:
    """Refuse a folder that a variable of the XDG Base Directory Specification leads to."""
    value = os.environ.get(variable)
    if value and folder.is_relative_to(value):
        _check_place(variable, Path(value), folder, access)


def _check_place(variable: str, value: Path, folder: Path, access: int) -> None:
    """Refuse a folder by itself or, if it is missing, by the nearest folder above it."""
    nearest, status = _nearest(folder)
    what = f"{variable} is {value}"
    if not stat.S_ISDIR(status.st_mode):
        raise StateNotWritable(f"{what}, and {nearest} is no folder", hint=f"set {variable} to a folder of yours")
    me, owner = _me(), status.st_uid
    if owner not in {me, ROOT} and not _unmapped(owner):
        name, _ = _user(owner)
        if me == ROOT:
            hint = f"run it as {name}, without sudo"
        else:
            hint = f"set {variable} to a folder of yours, or run it as {name}"
        raise NotOurs(f"{what}, and {nearest} belongs to another user ({name})", hint=hint)
    if me == ROOT:
        return
    # If the folder is missing, only the right to make it in the nearest one is needed.
    wanted = access if nearest == folder else os.X_OK | access & os.W_OK
    if not os.access(nearest, wanted):
        verb = "write" if os.access(nearest, wanted & ~os.W_OK) else "read"
        raise NotOurs(f"{what}, which you may not {verb}", hint=_hint_for_own_home(variable))


def _nearest(folder: Path) -> tuple[Path, os.stat_result]:
    """Return the folder, or the nearest one above it that this user can see."""
    for place in (folder, *folder.parents):
        try:
            return place, place.stat()
        except OSError:
            continue
    return Path("/"), os.stat_result([0] * 10)


def _hint_for_own_home(variable: str) -> str:
    """Return how a user who may not use the folder in a variable gets one of their own."""
    if variable != "HOME":
        return f"unset {variable}, or set it to a folder of yours"
    name, home = _user(_me())
    return f"set HOME to {home}, or use a login shell: su - {name}" if home else "set HOME to a folder of yours"


def _unmapped(uid: int) -> bool:
    """Return whether this uid stands for all users that a user namespace does not know, this user and root included."""
    if uid != OVERFLOW:
        return False
    try:
        return Path("/proc/self/uid_map").read_text(encoding="ascii").split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def _user(uid: int) -> tuple[str, str]:
    """Return the name and the home folder of a user, as far as the system knows them."""
    if sys.platform != "win32":
        import pwd

        with contextlib.suppress(KeyError):
            entry = pwd.getpwuid(uid)
            return entry.pw_name, entry.pw_dir
    return f"uid {uid}", ""


def _me() -> int:
    if sys.platform == "win32":
        return ROOT
    return os.geteuid()
