"""Files that only the user may open, by access list; Windows lets others keep a file open, so replacing is repeated."""

import contextlib
import ctypes
import errno
import msvcrt
import sys
from collections.abc import Iterator
from ctypes import c_void_p
from pathlib import Path

from . import tokens, win32, win32_files

assert sys.platform == "win32"  # noqa: S101 (tells type checkers where this runs)

INVALID_HANDLE = c_void_p(-1).value

OWNER_ONLY_FILE = "D:P(A;;FA;;;{me})"
OWNER_ONLY_FOLDER = "D:P(A;OICI;FA;;;{me})"
"""Protected: the list of the folder above has no effect. Files made inside get the same list."""

TRUSTED = frozenset(
    {
        "S-1-5-18",  # the system itself
        "S-1-5-32-544",  # administrators, who may take ownership of every file
        "S-1-3-0",  # the creator of a file inside
        "S-1-3-4",  # the owner, who is checked separately
        "S-1-5-80-956008885-3418522649-1831038044-1853292631-2271478464",  # Windows' own installer
    }
)
"""SIDs whose right to write is no danger; they have the role of root."""

WRITES = 0x0002 | 0x0004 | 0x0040 | 0x00010000 | 0x00040000 | 0x00080000 | 0x10000000 | 0x40000000
"""Rights by which a file can be changed: write or add, append or add a folder, delete inside, delete, change the list,
take ownership, all, and generic write.
"""


def create(path: Path, *, fresh: bool) -> int:
    """Open for writing a new file that only the user may open, and return its descriptor. See `private_files.create`.

    Raises:
        OSError: the system refused.
    """
    if not fresh:
        # If the file were overwritten, it would keep its access list, and so all users that the list admits.
        path.unlink(missing_ok=True)
    with _security_attributes(OWNER_ONLY_FILE) as attributes:
        handle: int | None = win32_files.CreateFile(
            str(path),
            win32_files.GENERIC_WRITE,
            win32_files.FILE_SHARE_READ_DELETE,
            ctypes.byref(attributes),
            win32_files.CREATE_NEW,
            win32_files.FILE_ATTRIBUTE_NORMAL,
            None,
        )
        if handle is None or handle == INVALID_HANDLE:
            refusal = win32.last_error()
            refusal.filename = str(path)
            raise refusal
    return descriptor_of(handle, 0)


def descriptor_of(handle: int, flags: int) -> int:
    """Return a descriptor of the C library for a handle. Closing it closes the handle; a failure closes it as well.

    Raises:
        OSError: too many descriptors are open.
    """
    try:
        return msvcrt.open_osfhandle(handle, flags)
    except OSError:
        win32.CloseHandle(handle)
        raise


def make_folder(path: Path) -> None:
    """Make a folder that, with its content, only the user may open. An existing folder is left as it is.

    Raises:
        OSError: the system refused.
    """
    if path.is_dir():
        return
    if path.parent == path:
        raise FileNotFoundError(errno.ENOENT, "there is no such drive or share", str(path))
    make_folder(path.parent)
    with _security_attributes(OWNER_ONLY_FOLDER) as attributes:
        made = win32_files.CreateDirectory(str(path), ctypes.byref(attributes))
    if not made and not path.is_dir():
        raise win32.last_error()


def why_distrusted(path: Path) -> tuple[str, str] | None:
    """Return reason and fix of a `private_files.Distrust`, if another user could have written a file or folder.

    Raises:
        OSError: the system does not tell.
    """
    me = tokens.me()
    mend = f'icacls "{path}" /inheritance:r /grant:r "*{me}:{"(OI)(CI)F" if path.is_dir() else "F"}"'
    with _owner_and_list(path) as (owner, acl):
        if owner not in TRUSTED and owner != me:
            return f"it belongs to another user ({owner})", f'icacls "{path}" /setowner "*{me}"'
        if not acl:
            return "all users may write it: it has no access list", mend
        for sid, mask in _read_list(acl):
            if mask & WRITES and sid not in TRUSTED and sid != me:
                known = sid.startswith("S-")
                fix = f'{mend} /remove:g "*{sid}"' if known else f'icacls "{path}" /reset'
                return f"other users may write it ({sid})", fix
    return None


def allowed_rights(path: Path) -> tuple[tuple[str, int], ...]:
    """Return pairs of a SID and the access mask that a file's access list allows it.

    Raises:
        OSError: the system does not tell.
    """
    with _owner_and_list(path) as (_, acl):
        return tuple(_read_list(acl)) if acl else ()


@contextlib.contextmanager
def _security_attributes(template: str) -> Iterator[win32_files.SecurityAttributes]:
    """Yield the attributes of a new file with this access list, in SDDL, where "{me}" is the SID of this user."""
    descriptor = c_void_p()
    text = template.format(me=tokens.me())
    if not win32_files.ConvertStringSecurityDescriptor(
        text, win32_files.SDDL_REVISION_1, ctypes.byref(descriptor), None
    ):
        raise win32.last_error()
    try:
        yield win32_files.SecurityAttributes(ctypes.sizeof(win32_files.SecurityAttributes), descriptor, False)
    finally:
        win32_files.LocalFree(descriptor)


@contextlib.contextmanager
def _owner_and_list(path: Path) -> Iterator[tuple[str, int | None]]:
    """Yield the owner of a file, and the address of its access list while inside; None if it has no list."""
    owner, acl, descriptor = c_void_p(), c_void_p(), c_void_p()
    what = win32_files.OWNER_SECURITY_INFORMATION | win32_files.DACL_SECURITY_INFORMATION
    error = win32_files.GetNamedSecurityInfo(
        str(path),
        win32_files.SE_FILE_OBJECT,
        what,
        ctypes.byref(owner),
        None,
        ctypes.byref(acl),
        None,
        ctypes.byref(descriptor),
    )
    if error:
        raise ctypes.WinError(error)
    try:
        yield tokens.sid_text(owner.value), acl.value
    finally:
        win32_files.LocalFree(descriptor)


def _read_list(acl: int) -> Iterator[tuple[str, int]]:
    """Yield pairs of a SID and the access mask that the list at this address allows it.

    Denials are ignored, because they remove no right that matters here.

    An entry with a condition counts as if the condition were met. An unreadable entry counts as all rights for an
    unknown user.
    """
    for number in range(win32_files.Acl.from_address(acl).count):
        entry = c_void_p()
        if not win32_files.GetAce(acl, number, ctypes.byref(entry)):
            raise win32.last_error()
        ace = win32_files.AllowedAce.from_address(entry.value or 0)
        if ace.type in win32_files.DENYING_ACE_TYPES or ace.flags & win32_files.INHERIT_ONLY_ACE:
            continue
        if ace.type in (win32_files.ACCESS_ALLOWED_ACE_TYPE, win32_files.ACCESS_ALLOWED_CALLBACK_ACE_TYPE):
            sid = (entry.value or 0) + win32_files.AllowedAce.sid.offset
            yield tokens.sid_text(sid), ace.mask
        else:
            yield f"an entry of type {ace.type}", WRITES
