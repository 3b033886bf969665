"""Catalogs in which only the kinds that the tests know are built in.

Otherwise a recipe that is added later would change what a test finds, and would lie beneath a test's kind of its name.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from supervisor.kinds import catalog
from supervisor.kinds.catalog import Catalog, Tables

KNOWN = ("godot-ai", "unity-mcp")


@contextmanager
def known_kinds_only() -> Iterator[None]:
    """Let every catalog that is made in the meantime have the known built-in kinds only."""
    known = {name: table for name, table in catalog._built_in().items() if name in KNOWN}
    with patch.object(catalog, "_built_in", lambda: known):
        yield


def catalog_of(tables: Tables) -> Catalog:
    """Return the catalog of these tables, laid over the known built-in kinds."""
    with known_kinds_only():
        return Catalog.build(tables)
