"""The shared services of the engine's operations, put together once by `engine/assembly.py`."""

import contextlib
from collections.abc import Mapping
from pathlib import Path

from ...core.model import ProcessIdentity, ServerRecord
from ...errors import InvalidParams, KindUnknown
from ...kinds.catalog import Catalog
from ...kinds.kind import Kind
from ...kinds.server_secrets import bearer_record
from ...kinds.versions import kind_for_version
from ...native.api import Platform
from ...values import frozen
from ..environments.private_environments import Environments
from ..environments.store import Environment
from .events import Events
from .placeholders import own_record_values
from .randomness import SYSTEM_RANDOM, RandomSource
from .records import Records

TOKEN_VARIABLE = "GODOT_SUPERVISOR_SERVER_ID"  # noqa: S105 (the name of a variable, no secret)

PROJECT_VARIABLE = "GODOT_SUPERVISOR_PROJECT"


@frozen
class EngineContext:
    """The shared services. `me` is the daemon's own process; `variables` are those that it was started with.

    `discover` says how to treat servers that other programs started: watch, observe or off.
    """

    platform: Platform
    records: Records
    events: Events
    catalog: Catalog
    environments: Environments
    home_id: str
    me: ProcessIdentity
    logs: Path
    variables: Mapping[str, str]
    discover: str = "off"
    random: RandomSource = SYSTEM_RANDOM

    def launch_token(self, record: ServerRecord) -> str:
        """Return the launch token of a server: home, server, launch."""
        return f"{self.home_id}.{record.id}.{record.launch}"

    def kind_of(self, record: ServerRecord) -> Kind:
        """Return the kind of a server, fitted to its version.

        If the configuration no longer has the kind, its defaults are returned.
        """
        try:
            return kind_for_version(self.catalog.get(record.kind), record.version)
        except KindUnknown:
            return Kind(record.kind, command=())

    def bearer_record(self, record: ServerRecord) -> tuple[str, str] | None:
        """Return the file and the key where a server records its bearer, None if it asks for none or has no ports yet.

        Servers that other programs started are expected to keep records where this daemon's own servers do.
        """
        kind = self.kind_of(record)
        if kind.identify is None or kind.identify.port not in record.ports:
            return None
        found = bearer_record(kind, record.version, record.ports, self.variables, own_record_values(record))
        return None if found is None else (str(found[0]), found[1])

    def private_environment(self, kind: Kind, version: str | None) -> Environment | None:
        """Return the private environment of a version of a kind, None if it does not exist yet."""
        if kind.package is None or version is None:
            return None
        # The version of a foreign server is its own statement and may be any text.
        with contextlib.suppress(InvalidParams):
            return self.environments.find_usable(kind.package, version)
        return None
