"""Reads and replaces a user's file, of an AI client or a Godot project, so that no outcome is a damaged file."""

import contextlib
import errno
import functools
import os
import re
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ...errors import ClientFileChanged, ClientFileInvalid, ClientFileUnusable
from ...native import private_files
from ...native.facts import shell_line
from ...values import frozen

SIZE_MAX = 16 * 1024 * 1024
PRIVATE_MODE, SHARED_MODE = 0o600, 0o666
"""The modes of files that are made: of a user's file, in which clients keep secrets, and of one of a project, of which
the user's umask takes away."""

DRAFT_MAX_S = 60.0
"""The age from which a draft was left by a command that was killed: a draft is replaced within milliseconds."""

_OWNER_WRITES = stat.S_IWUSR
_DRAFT = "new"


@frozen
class Content:
    """The content of a file at one moment, `text` None if there was no file. `real_path` is what links lead to."""

    path: Path
    real_path: Path
    text: str | None
    raw: bytes = b""
    mode: int = PRIVATE_MODE


def read(path: Path, inside: Path, new_mode: int = PRIVATE_MODE, *, is_text: bool = True) -> Content:
    """Return the content of a user's file. `inside`: the folder that links must not lead out of.

    `new_mode` is the mode with which the file is made if it is missing. Without `is_text`, bytes that are no UTF-8 are
    no error: they are kept in `raw`, and replaced in `text`.

    Raises:
        ClientFileUnusable: the file cannot be read, is no file, is too long, or belongs to another user.
        ClientFileInvalid: the content is no UTF-8.
    """
    real_path = _resolved(path, inside)
    flags = os.O_RDONLY | sum(getattr(os, name, 0) for name in ("O_NONBLOCK", "O_BINARY", "O_NOCTTY"))
    try:
        descriptor = os.open(real_path, flags)
    except FileNotFoundError:
        _check_folder(real_path, path)
        return Content(path, real_path, None, mode=new_mode)
    except OSError as problem:
        raise _unusable(path, f"it cannot be read: {problem.strerror}") from problem
    try:
        status = os.fstat(descriptor)
        _check_kind(path, status)
        with open(descriptor, "rb", closefd=False) as file:
            raw = file.read(SIZE_MAX + 1)
    except OSError as problem:
        raise _unusable(path, f"it cannot be read: {problem.strerror}") from problem
    finally:
        os.close(descriptor)
    if len(raw) > SIZE_MAX:
        raise _unusable(path, f"it is longer than {SIZE_MAX // 1024 // 1024} MiB", "is it the right file?")
    text = _decoded(path, raw) if is_text else raw.decode(errors="replace")
    return Content(path, real_path, text, raw, stat.S_IMODE(status.st_mode))


def check_replaceable(content: Content) -> None:
    """Check that this user may replace the file, or may make it.

    Raises:
        ClientFileUnusable: the file is read-only, belongs to another user, or has a second name.
    """
    if content.text is None:
        return
    path = content.path
    try:
        status = content.real_path.stat()
    except OSError as problem:
        raise _unusable(path, f"it cannot be read: {problem.strerror}") from problem
    if not status.st_mode & _OWNER_WRITES:
        raise _unusable(path, "it is read-only", shell_line(("chmod", "u+w", str(path))))
    if status.st_nlink > 1:
        raise _unusable(path, "it has a second name (a hard link), which would keep the old content", "edit it by hand")
    _check_owner(path, status)


def replace(content: Content, text: str) -> tuple[Path, ...]:
    """Put a text in the place of the content, atomically, and return the folders that were made for that.

    The mode, the group and the extended attributes stay, and a link stays a link.

    Raises:
        ClientFileChanged: the file is not as it was read any more.
        ClientFileUnusable: the file cannot be replaced.
    """
    real_path = content.real_path
    made: list[Path] = []
    draft = real_path.with_name(f".{real_path.name}.{os.getpid()}.{os.urandom(4).hex()}.{_DRAFT}")
    try:
        made = _make_folders(real_path.parent)
        _write_draft(draft, content, text.encode())
        _check_unchanged(content)
        if content.text is None:
            _publish_new(draft, content)
        else:
            private_files.replace(draft, real_path)
    except OSError as problem:
        _remove_folders(made)
        raise _unusable(content.path, f"it cannot be replaced: {problem.strerror or problem}") from problem
    except ClientFileChanged:
        _remove_folders(made)
        raise
    finally:
        with contextlib.suppress(OSError):
            draft.unlink()
    return tuple(made)


def remove_old_drafts(content: Content) -> None:
    """Remove what a killed command has left beside the file: a copy with secrets, or a second name of the file."""
    real_path = content.real_path
    name = re.compile(rf"\.{re.escape(real_path.name)}\.[0-9]+\.[0-9a-f]{{8}}\.{_DRAFT}")
    with contextlib.suppress(OSError):
        for path in real_path.parent.iterdir():
            if name.fullmatch(path.name) and time.time() - path.lstat().st_mtime > DRAFT_MAX_S:
                path.unlink()


def remove(content: Content, folders: tuple[Path, ...]) -> None:
    """Remove a file that an installation had made, and those of these folders that are empty.

    Raises:
        ClientFileChanged: the file is not as it was read any more.
        ClientFileUnusable: the file cannot be removed.
    """
    _check_unchanged(content)
    try:
        content.real_path.unlink()
    except OSError as problem:
        raise _unusable(content.path, f"it cannot be removed: {problem.strerror}") from problem
    _remove_folders(folders)


# --- checks ---


def _resolved(path: Path, inside: Path) -> Path:
    """Return what a path leads to. A link may not lead out of the folder that the file belongs to."""
    try:
        real_path, allowed = path.resolve(), inside.resolve()
        leads_nowhere = path.is_symlink() and not real_path.exists()
    except PermissionError as problem:
        raise _unusable(path, f"it cannot be read: {problem.strerror}") from problem
    except (OSError, RuntimeError) as problem:
        raise _unusable(path, "its links lead nowhere") from problem
    if leads_nowhere:
        raise _unusable(path, f"it is a link to {real_path}, which is not there", "mend or remove the link")
    if not real_path.is_relative_to(allowed):
        hint = "replace the link by a file, or edit the file by hand"
        raise _unusable(path, f"a link leads to {real_path}, which is outside of {inside}", hint)
    return real_path


def _check_kind(path: Path, status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise _unusable(path, "it is a folder", "move it away")
    if not stat.S_ISREG(status.st_mode):
        raise _unusable(path, "it is no regular file", "move it away")
    _check_owner(path, status)


def _check_owner(path: Path, status: os.stat_result) -> None:
    user = getattr(os, "geteuid", None)
    if user is not None and status.st_uid != user():
        raise _unusable(path, f"it belongs to another user (uid {status.st_uid})", "run this as that user")


def _check_folder(real_path: Path, path: Path) -> None:
    """Check that the nearest folder that exists may have a new file."""
    folder = real_path.parent
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    if not folder.is_dir():
        raise _unusable(path, f"{folder} is no folder", "move it away")


def _check_unchanged(content: Content) -> None:
    try:
        now: bytes | None = content.real_path.read_bytes()
    except FileNotFoundError:
        now = None
    except OSError as problem:
        raise _unusable(content.path, f"it cannot be read: {problem.strerror}") from problem
    if now != (None if content.text is None else content.raw):
        raise ClientFileChanged(
            f"{content.path}: another program has changed it in this moment",
            hint="run the command again",
            data={"file": str(content.path)},
        )


def _decoded(path: Path, raw: bytes) -> str:
    problem = None
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in raw:
        problem = "it is no UTF-8 (UTF-16, or no text)"
    else:
        try:
            return raw.decode()
        except UnicodeDecodeError as error:
            problem = f"it is no UTF-8 at byte {error.start}"
    raise ClientFileInvalid(f"{path}: {problem}", hint="save it as UTF-8", data={"file": str(path)})


def _unusable(path: Path, problem: str, hint: str | None = None) -> ClientFileUnusable:
    return ClientFileUnusable(f"{path}: {problem}", hint=hint, data={"file": str(path)})


# --- writing ---


def _make_folders(folder: Path) -> list[Path]:
    """Make the folders that are missing, and return them, the outermost first."""
    missing: list[Path] = []
    while not folder.is_dir():
        missing.insert(0, folder)
        folder = folder.parent
    for each in missing:
        each.mkdir(exist_ok=True)
    return missing


def _remove_folders(folders: "list[Path] | tuple[Path, ...]") -> None:
    for folder in reversed(folders):
        with contextlib.suppress(OSError):
            folder.rmdir()


def _write_draft(draft: Path, content: Content, data: bytes) -> None:
    mode = content.mode if content.text is None else PRIVATE_MODE
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    if content.text is None:
        return
    _copy_group(content.real_path, draft)
    for copy in _attribute_copies(content.real_path, draft):
        with contextlib.suppress(OSError):
            copy()
    draft.chmod(content.mode)


def _copy_group(source: Path, draft: Path) -> None:
    change_owner: Callable[..., None] | None = getattr(os, "chown", None)
    group = source.stat().st_gid
    if change_owner is not None and draft.stat().st_gid != group:
        # A user who is no member of the group cannot give a file to it.
        with contextlib.suppress(OSError):
            change_owner(draft, -1, group)


def _attribute_copies(source: Path, draft: Path) -> Iterator[Callable[[], object]]:
    """Yield a function for each extended attribute, access lists included, where the system has them."""
    os_any: Any = os
    if not hasattr(os, "listxattr"):
        return
    with contextlib.suppress(OSError):
        for name in os_any.listxattr(source):
            value = os_any.getxattr(source, name)
            yield functools.partial(os_any.setxattr, draft, name, value)


def _publish_new(draft: Path, content: Content) -> None:
    """Put a new file into its place, where no file may have appeared since."""
    try:
        os.link(draft, content.real_path)
    except FileExistsError:
        _check_unchanged(content)
        raise
    except OSError as problem:
        if problem.errno not in (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS):
            raise
        # A file system without hard links.
        private_files.replace(draft, content.real_path)
