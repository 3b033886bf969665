"""The kinds, as this user's config.toml has them. Needs no daemon."""

import os

from ...config import Config, load, naming
from ...errors import ConfigInvalid, KindUnknown
from ...kinds.catalog import Catalog
from ...kinds.kind import Kind
from ...native.facts import Folders


def read(where: Folders) -> tuple[Config, Catalog]:
    """The settings and the kinds, checked as the daemon checks them.

    Raises:
        ConfigInvalid: they cannot be used.
    """
    config = load(where.config, os.environ)
    with naming(where.config):
        return config, Catalog.build(config.kinds)


def catalog(where: Folders) -> Catalog:
    """Every kind.

    Raises:
        ConfigInvalid: config.toml cannot be used.
    """
    return read(where)[1]


def find(name: str, where: Folders) -> Kind | None:
    """One kind, for words about it; None where only the daemon, which read its file earlier, knows it."""
    try:
        return catalog(where).get(name)
    except (ConfigInvalid, KindUnknown):
        return None
