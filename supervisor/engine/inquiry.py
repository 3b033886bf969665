"""Asks servers who they are. Their secrets live here, in memory only."""

import asyncio
from collections.abc import Mapping

from ..core.model import ServerRecord
from ..core.reconcile import Answer
from ..kinds.credentials import mint, read_back
from ..kinds.identify import Identification, identify
from ..kinds.kind import Kind, SessionRoute
from ..kinds.sessions import count_sessions
from .facilities import Facilities
from .recognise import environment_of

PATIENCE_S = 2.0
"""How long a server may take to say who it is."""


class Inquiry:
    """The secrets of the servers, and the questions that need them."""

    def __init__(self, facilities: Facilities) -> None:
        self._facilities = facilities
        self._secrets: dict[str, Mapping[str, str]] = {}

    def mint(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """New secrets for a launch."""
        self._secrets[record.launch] = mint(kind, record.version)
        return self._secrets[record.launch]

    def forget(self, record: ServerRecord) -> None:
        """The launch has ended."""
        self._secrets.pop(record.launch, None)

    def learn(self, record: ServerRecord, secrets: Mapping[str, str]) -> None:
        """The secrets of a launch that somebody else began; it has proven that it knows them."""
        if secrets:
            self._secrets[record.launch] = secrets

    async def ask(self, record: ServerRecord, kind: Kind) -> Identification | None:
        """What the server says; None: nothing in time."""
        known = self._secrets.get(record.launch)
        secrets = read_back(kind, record.ports, self._environment(record, kind)) if known is None else known
        said = await identify(kind, record.ports, secrets, PATIENCE_S)
        if known is None and secrets and said is not None and said.matches:
            # Only now: while a server starts, its record may still be that of the one before it.
            self._secrets[record.launch] = secrets
        return said

    async def count_sessions(self, record: ServerRecord, kind: Kind) -> int | None:
        """The sessions that are open; None: it cannot be told."""
        if kind.sessions is None:
            return 0
        if isinstance(kind.sessions, SessionRoute):
            return await count_sessions(kind.sessions, record.ports, PATIENCE_S)
        return await asyncio.to_thread(self._facilities.wing.ports.connections, record.ports[kind.sessions])

    def _environment(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """Where a server keeps its record: one that somebody else started may have been told another place."""
        if record.foreign and record.process is not None:
            return environment_of(self._facilities, kind, record.process)
        return self._facilities.environment

    async def answer(self, record: ServerRecord, kind: Kind) -> Answer:
        """Whether it answers as what the record says it is. A kind that cannot be asked is taken at its word."""
        if kind.identify is None:
            return Answer.RIGHT
        said = await self.ask(record, kind)
        if said is None:
            return Answer.MUTE
        expected = record.version is None or kind.identify.version is None or said.version == record.version
        return Answer.RIGHT if said.matches and expected else Answer.WRONG
