"""The kinds of this shell's config.toml, as entries of AI clients show them."""

import re

from ...errors import ConfigInvalid
from ...mcp.ai_clients.checking import KnownKind
from ...native.facts import Folders
from . import recipes

_PATH = re.compile(r"https?://[^/]+(/.*)?")


def read(where: Folders) -> list[KnownKind]:
    """Return the kinds that have a URL. Returns none if config.toml cannot be read: `config validate` says why."""
    try:
        catalog = recipes.read_catalog(where)
    except ConfigInvalid:
        return []
    found = []
    for kind in catalog.kinds.values():
        path = _PATH.fullmatch(kind.url or "")
        if path is None:
            continue
        words = {each.lower().replace("_", "-") for each in (kind.package or "", *kind.programs) if each}
        ports = [range(ports.low, ports.high + 1) for ports in kind.ports.values()]
        found.append(KnownKind(kind.name, words, ports, path[1] or ""))
    return found


def names(where: Folders) -> frozenset[str] | None:
    """Return the names of all kinds. Returns None if config.toml cannot be read."""
    try:
        return frozenset(recipes.read_catalog(where).kinds)
    except ConfigInvalid:
        return None


def check(kind: str, where: Folders) -> None:
    """Check that there is such a kind.

    Raises:
        KindUnknown: there is none.
        ConfigInvalid: config.toml cannot be used.
    """
    recipes.read_catalog(where).get(kind)
