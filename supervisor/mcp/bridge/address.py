"""Where a server listens, and the bearer that the server asks for, from what the daemon says of the server."""

import contextlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...native.facts import LOOPBACK

RECORD_MAX = 64 * 1024

_URL = r"http://([A-Za-z0-9.-]+):([0-9]{1,5})(/[!-~]*)?"


class Address(NamedTuple):
    """Where a server listens, its bearer, and its process. `repr` leaves the bearer out, so that no traceback shows it.

    `pid` is None if the server's process cannot be seen from here, as in a container.
    """

    host: str
    port: int
    path: str
    bearer: str | None = None
    pid: int | None = None

    def __repr__(self) -> str:
        """Return a text without the bearer."""
        return f"Address({self.host}:{self.port}{self.path})"


def address_of(row: Mapping[str, Any]) -> Address | None:
    """Return the address of a server as the daemon shows it. Returns None if it has no URL on this machine.

    A bearer is only ever sent to this machine.
    """
    found = re.fullmatch(_URL, row["url"] or "")
    if found is None or found[1] not in (LOOPBACK, "localhost"):
        return None
    from ...native.startup.running import runs

    pid = (row["process"] or {}).get("pid")
    # The daemon has just said that the process runs.
    is_visible = pid is not None and runs(pid)
    return Address(
        LOOPBACK, int(found[2]), found[3] or "/", read_bearer(row.get("bearer")), pid if is_visible else None
    )


def read_bearer(record: Mapping[str, Any] | None) -> str | None:
    """Return the bearer in a server's own record. Returns None if there is none, or others could have written it."""
    if record is None:
        return None
    from ...native import trust

    with contextlib.suppress(OSError, ValueError, RecursionError, trust.DistrustedError):
        found = json.loads(trust.contents(record["file"], RECORD_MAX))
        value = found.get(record["key"]) if isinstance(found, dict) else None
        if isinstance(value, str) and value and value.isascii() and value.isprintable() and " " not in value:
            return value
    return None
