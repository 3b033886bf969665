"""What a server of the modern era refuses in a request, where the bridge answers in its place."""

from collections.abc import Sequence
from typing import Any

from .headers import META_CAPABILITIES, META_VERSION, is_modern
from .message import METHOD_NOT_FOUND, Message
from .replies import error

INVALID_PARAMS = -32602
HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION = -32020, -32021, -32022

MODERN_ERRORS = (HEADER_MISMATCH, MISSING_CAPABILITY, UNSUPPORTED_VERSION)
"""Codes that only servers of the modern era use."""

DISCOVER = "server/discover"
REMOVED = ("initialize", "ping")
"""Methods of the legacy era that the bridge answers there."""


def modern_refusal(message: Message, versions: Sequence[Any] | None) -> bytes | None:
    """Return the error that answers a request. Returns None if nothing is wrong with it.

    `versions` are those of the server, or None if they are not known. Servers judge what is sent to them; only what the
    bridge answers itself is judged here.
    """
    assert message.id is not None  # noqa: S101 (a request has one)
    if message.method in REMOVED and is_modern(message):
        return error(message.id, METHOD_NOT_FOUND, f"there is no {message.method} in this revision")
    if message.method != DISCOVER or versions is None:
        return None
    missing = missing_meta(message)
    if missing is not None:
        return error(message.id, INVALID_PARAMS, f"params._meta has no {missing}")
    version = message.meta[META_VERSION]
    if version not in versions:
        data = {"supported": list(versions), "requested": version}
        return error(message.id, UNSUPPORTED_VERSION, "the server does not speak this revision", data)
    return None


def missing_meta(message: Message) -> str | None:
    """Return the member of `_meta` that a request of the modern era lacks. Returns None if nothing is missing."""
    if not is_modern(message):
        return META_VERSION
    return None if isinstance(message.meta.get(META_CAPABILITIES), dict) else META_CAPABILITIES


def says_modern(message: Message, code: object) -> bool:
    """Return whether an error with this code, in answer to `server/discover`, comes from a server of the modern era."""
    return code in MODERN_ERRORS or (code == INVALID_PARAMS and missing_meta(message) is not None)
