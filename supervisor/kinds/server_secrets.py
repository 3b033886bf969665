"""The secrets of a server: made for its start, and read from the server's own record. The daemon stores none."""

import json
import re
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..core.model import Ports
from ..errors import ConfigInvalid
from ..native import facts, private_files
from ..native.shared import settings_folders
from .kind import Kind, Secret, expand
from .regular_file import UnusableFileError, read_regular
from .versions import covers

RECORD_LIMIT = 64 * 1024
"""Bytes of a server's own record, at most."""

# A secret goes into an HTTP header, so it must not contain what ends a header.
_SECRET = re.compile(r"[!-~]+")


class _ExposedError(Exception):
    """The record exists, but another user may have written or read it."""


def make_secrets(kind: Kind, version: str | None) -> dict[str, str]:
    """Return new secrets, by variable, for one launch of this version. A version of None gets all secrets."""
    return {
        secret.variable: secrets.token_hex(32) if secret.format == "hex" else secrets.token_urlsafe(32)
        for secret in kind.secrets
        if _is_used_by(version, secret)
    }


def read_secrets(
    kind: Kind, ports: Ports, environment: Mapping[str, str], values: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the secrets of a running server by variable, from its own record.

    The result is empty if there is no record that can be trusted, or its path has a placeholder without a value: the
    recipe may have changed since the start. `environment` is the server's, as far as it says where records lie.
    `values` are those of placeholders other than ports. Blocking.
    """
    if kind.record is None:
        return {}
    try:
        content = json.loads(_read(record_path(kind, ports, environment, values)))
    except (ConfigInvalid, OSError, UnusableFileError, _ExposedError, ValueError, RecursionError):
        return {}
    return _secrets_in(content, kind) if isinstance(content, dict) else {}


def record_path(
    kind: Kind, ports: Ports, environment: Mapping[str, str], values: Mapping[str, str] | None = None
) -> Path:
    """Return where the server on these ports keeps its record. The kind must have `record`.

    Raises:
        ConfigInvalid: the path has a placeholder without a value.
    """
    known = {name: str(port) for name, port in ports.items()}
    known |= {"config_dir": str(settings_folders.config_folder(environment)), **(values or {})}
    path = Path(expand(kind.record or "", known))
    moved = environment.get(kind.record_dir_variable or "", "").strip()
    return settings_folders.expanded(moved) / path.name if moved and facts.RECORDS_CAN_BE_MOVED else path


def bearer_record(
    kind: Kind, version: str | None, ports: Ports, environment: Mapping[str, str], values: Mapping[str, str]
) -> tuple[Path, str] | None:
    """Return the file and the key under which a server on these ports records the bearer that it asks for.

    Returns None if servers of this version ask for none or record none, or if the path of the record has a placeholder
    without a value.
    """
    variable = kind.identify.bearer if kind.identify is not None else None
    secret = next((each for each in kind.secrets if each.variable == variable), None)
    if kind.record is None or secret is None or secret.recorded_as is None or not _is_used_by(version, secret):
        return None
    try:
        return record_path(kind, ports, environment, values), secret.recorded_as
    except ConfigInvalid:
        return None


def _is_used_by(version: str | None, secret: Secret) -> bool:
    """Return whether servers of a version use a secret. A version that is not known may use every secret."""
    return version is None or secret.versions is None or covers(secret.versions, version)


def _read(path: Path) -> bytes:
    data, status = read_regular(path, RECORD_LIMIT, follow_links=False)
    trouble = private_files.why_exposed(path, status)
    if trouble is not None:
        raise _ExposedError(trouble)
    return data


def _secrets_in(content: Mapping[str, Any], kind: Kind) -> dict[str, str]:
    """Return the kind's secrets that the content of a record has, by variable. Values of another form are left out."""
    found = {secret.variable: content.get(secret.recorded_as or "") for secret in kind.secrets}
    return {name: value for name, value in found.items() if isinstance(value, str) and _SECRET.fullmatch(value)}
