"""The kinds that this shell's config.toml and the built-in recipes define. Needs no daemon."""

import os

from ...config.settings import Config, load, naming_file
from ...errors import ConfigInvalid, KindUnknown
from ...kinds.catalog import Catalog
from ...kinds.kind import Kind
from ...native.facts import Folders


def read_config(where: Folders) -> tuple[Config, Catalog]:
    """Return the settings and every kind, checked as the daemon checks them.

    Raises:
        ConfigInvalid: config.toml cannot be used.
    """
    config = load(where.config, os.environ)
    with naming_file(where.config):
        return config, Catalog.build(config.kinds)


def read_catalog(where: Folders) -> Catalog:
    """Return every kind.

    Raises:
        ConfigInvalid: config.toml cannot be used.
    """
    return read_config(where)[1]


def find_kind(name: str, where: Folders) -> Kind | None:
    """Return the kind of this name. Returns None if only the daemon knows it, from an earlier config.toml."""
    try:
        return read_catalog(where).get(name)
    except (ConfigInvalid, KindUnknown):
        return None
