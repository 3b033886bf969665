"""What every operation of the engine works with, put together once by `daemon/app.py`."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from ...core.model import ProcessIdentity, ServerRecord
from ...errors import InvalidParams, KindUnknown
from ...kinds.catalog import Catalog
from ...kinds.kind import Kind
from ...kinds.versions import fitted
from ...native.api import Platform
from ...values import frozen
from ..environments.builder import Environments
from ..environments.store import Environment
from .events import Events
from .randomness import SYSTEM_RANDOM, RandomSource
from .records import Records

TOKEN_VARIABLE = "GODOT_SUPERVISOR_SERVER_ID"  # noqa: S105 (the name of a variable, no secret)

PROJECT_VARIABLE = "GODOT_SUPERVISOR_PROJECT"


@frozen
class EngineContext:
    """`me` is the daemon's own process; `environment` is what it was started with.

    `discover`: what becomes of servers that others started: watch, observe or off.
    """

    platform: Platform
    records: Records
    events: Events
    catalog: Catalog
    environments: Environments
    home_id: str
    me: ProcessIdentity
    logs: Path
    environment: Mapping[str, str]
    discover: str = "off"
    random: RandomSource = SYSTEM_RANDOM

    def token(self, record: ServerRecord) -> str:
        """The launch token of a server: home, server, launch."""
        return f"{self.home_id}.{record.id}.{record.launch}"

    def kind_of(self, record: ServerRecord) -> Kind:
        """The recipe of a server that exists, for its version; the defaults where the configuration has it no more."""
        try:
            return fitted(self.catalog.get(record.kind), record.version)
        except KindUnknown:
            return Kind(record.kind, command=())

    def private_of(self, kind: Kind, version: str | None) -> Environment | None:
        """The private environment that a version of a kind runs in, where it is there already."""
        if kind.package is None or version is None:
            return None
        # The version of a server that others started is what it says: any text.
        with contextlib.suppress(InvalidParams):
            return self.environments.ready(kind.package, version)
        return None
