"""The secrets that a server is started with: made here, and read again from the server's own record. Never stored."""

import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.model import Ports
from ..native import facts, private_files
from .kind import Kind, expand
from .versions import covers

RECORD_LIMIT = 64 * 1024

# What goes into a header must not be able to end it.
_SECRET = re.compile(r"[!-~]+")


class _DistrustedError(Exception):
    """The record is there, but somebody else may have written or read it."""


def mint(kind: Kind, version: str | None) -> dict[str, str]:
    """Fresh secrets, by variable, for one launch of this version. None: a version that is not known takes all."""
    return {
        secret.variable: secrets.token_hex(32) if secret.format == "hex" else secrets.token_urlsafe(32)
        for secret in kind.secrets
        if version is None or secret.versions is None or covers(secret.versions, version)
    }


def read_back(
    kind: Kind, ports: Ports, environment: Mapping[str, str], values: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The secrets of a running server, by variable, from its own record.

    `environment` is what the server was started with, as far as it says where records lie. `values` are further
    placeholders. Empty where there is no record, or none that can be trusted.
    """
    if kind.record is None:
        return {}
    try:
        content = json.loads(_read(record_path(kind, ports, environment, values)))
    except (OSError, _DistrustedError, ValueError, RecursionError):
        return {}
    return _wanted(kind, content) if isinstance(content, dict) else {}


def record_path(
    kind: Kind, ports: Ports, environment: Mapping[str, str], values: Mapping[str, str] | None = None
) -> Path:
    """Where the server on these ports keeps its record. The kind must have `record`."""
    known = {name: str(port) for name, port in ports.items()}
    known |= {"config_dir": str(config_dir(environment)), **(values or {})}
    path = Path(expand(kind.record or "", known))
    moved = environment.get(kind.record_dir_variable or "", "").strip()
    # godot-ai refuses to start with its variable set on Windows, so it means nothing there.
    return _folder(moved) / path.name if moved and facts.SYSTEM != "windows" else path


def config_dir(environment: Mapping[str, str]) -> Path:
    """Where programs of this user keep settings on this system, as servers work it out from their environment."""
    home = _folder(environment.get("USERPROFILE" if facts.SYSTEM == "windows" else "HOME") or "~")
    if facts.SYSTEM == "windows":
        local = environment.get("LOCALAPPDATA", "").strip()
        return Path(local) if local else home / "AppData" / "Local"
    if facts.SYSTEM == "macos":
        return home / "Library" / "Application Support"
    xdg = environment.get("XDG_CONFIG_HOME", "").strip()
    return _folder(xdg) if xdg else home / ".config"


def _read(path: Path) -> bytes:
    # O_NONBLOCK: a FIFO in its place must not hang the daemon.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    handle = os.open(path, flags)
    try:
        _distrust(path, os.fstat(handle))
        with open(handle, "rb", closefd=False) as file:
            return file.read(RECORD_LIMIT)
    finally:
        os.close(handle)


def _distrust(path: Path, info: os.stat_result) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise _DistrustedError("it is no regular file")
    if info.st_size > RECORD_LIMIT:
        raise _DistrustedError(f"it is longer than {RECORD_LIMIT} bytes")
    if facts.SYSTEM == "windows":
        # Access lists in a user's own folders let administrators read as well: who may write is what counts.
        trouble = private_files.distrust(path)
        if trouble is not None:
            raise _DistrustedError(trouble[0])
        return
    if info.st_uid != os.geteuid():  # type: ignore[attr-defined, unused-ignore]
        raise _DistrustedError(f"it belongs to another user (uid {info.st_uid})")
    if info.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise _DistrustedError("other users may read or write it")


def _wanted(kind: Kind, content: Mapping[str, Any]) -> dict[str, str]:
    found = {secret.variable: content.get(secret.recorded_as or "") for secret in kind.secrets}
    return {name: value for name, value in found.items() if isinstance(value, str) and _SECRET.fullmatch(value)}


def _folder(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError:
        # "~name" of a user that is not there: an odd name for a folder, and then a file that is not found.
        return Path(text)
