"""Asks servers who they are, and knows for how long they have not answered. Their secrets live here, in memory only."""

from collections.abc import Mapping
from dataclasses import dataclass

from ...core.foreign import Silence
from ...core.model import Ports, ProcessIdentity, ServerRecord
from ...core.pep440 import agree
from ...core.processes.proof import family
from ...core.reconcile import Answer
from ...kinds.credentials import mint, read_back
from ...kinds.kind import Kind, SessionRoute
from ...kinds.queries.identify import Identification, identify
from ...kinds.queries.loopback import UnusableAnswerError
from ...kinds.queries.sessions import count_sessions
from ...native.api import Platform
from ..state.context import EngineContext
from .foreign_owner import environment_of

PATIENCE_S = 2.0
"""How long a server may take to say who it is."""

GAP_S = 45.0
"""Two questions in vain that lie further apart are no silence: nobody asked in between. Whoever is told to ask again in
half a minute comes in time."""


@dataclass(slots=True)
class _InVain:
    """Questions without an answer in between: the end of the first and of the last, monotonic seconds."""

    first: float
    last: float
    number: int = 1


class ServerClient:
    """The secrets of the servers, and all questions to them."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._platform = context.platform
        self._secrets: dict[str, Mapping[str, str]] = {}
        self._in_vain: dict[str, _InVain] = {}

    def mint(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """New secrets for a launch."""
        self._secrets[record.launch] = mint(kind, record.version)
        return self._secrets[record.launch]

    def forget(self, record: ServerRecord) -> None:
        """The launch has ended."""
        self._secrets.pop(record.launch, None)
        self._in_vain.pop(record.launch, None)

    def learn(self, record: ServerRecord, secrets: Mapping[str, str]) -> None:
        """The secrets of a launch that somebody else began; it has proven that it knows them."""
        if secrets:
            self._secrets[record.launch] = secrets

    def silence(self, record: ServerRecord) -> Silence:
        """For how long it has not answered anybody, up to now."""
        now = self._platform.clock.monotonic()
        asked = self._in_vain.get(record.launch)
        return Silence() if asked is None or now - asked.last > GAP_S else Silence(now - asked.first, asked.number)

    async def ask(self, record: ServerRecord, kind: Kind) -> Identification | None:
        """What the server says; None: nothing in time, or it is not the server who listens there."""
        if kind.identify is None or not _can_be_asked(record, kind.identify.port):
            return None
        known = self._secrets.get(record.launch)
        try:
            secrets = await self._platform.lanes.look(self._secrets_for, record, kind, known)
        except OSError:
            # The system does not tell who listens: nobody was asked, and that is no silence.
            return None
        said = None if secrets is None else await identify(kind, record.ports, secrets, PATIENCE_S)
        self._note(record, answered=said is not None)
        if known is None and secrets and said is not None and said.matches:
            # Only now: while a server starts, its record may still be that of the one before it.
            self._secrets[record.launch] = secrets
        return said

    async def count_sessions(self, record: ServerRecord, kind: Kind) -> int | None:
        """The sessions that are open; None: it cannot be told."""
        if not isinstance(kind.sessions, SessionRoute):
            return await sessions_of(self._platform, kind, record.ports, PATIENCE_S)
        if not _can_be_asked(record, kind.sessions.port):
            return None
        try:
            serves = await self._platform.lanes.look(self._serves, record, kind.sessions.port)
            count = await sessions_of(self._platform, kind, record.ports, PATIENCE_S) if serves else None
        except OSError:
            return None
        except UnusableAnswerError:
            self._note(record, answered=True)
            return None
        # Where it can be asked who it is, that question tells whether it is silent.
        if count is not None or kind.identify is None:
            self._note(record, answered=count is not None)
        return count

    async def answer(self, record: ServerRecord, kind: Kind) -> Answer:
        """Whether it answers as what the record says it is. One that cannot be asked is taken at its word.

        That may be for its kind, or because its recipe has changed since it was started.
        """
        if kind.identify is None or (record.ports and kind.identify.port not in record.ports):
            return Answer.RIGHT
        return answer_of(record, kind, await self.ask(record, kind))

    def _note(self, record: ServerRecord, *, answered: bool) -> None:
        asked = self._in_vain.pop(record.launch, None)
        if answered:
            return
        now = self._platform.clock.monotonic()
        if asked is None or now - asked.last > GAP_S:
            launches = {row.launch for row in self._context.records.servers.values()}
            self._in_vain = {launch: kept for launch, kept in self._in_vain.items() if launch in launches}
            asked = _InVain(now, now, 0)
        self._in_vain[record.launch] = _InVain(asked.first, now, asked.number + 1)

    def _secrets_for(
        self, record: ServerRecord, kind: Kind, known: Mapping[str, str] | None
    ) -> Mapping[str, str] | None:
        """What to ask it with; None: it does not listen where it should. Blocking.

        Raises:
            OSError: the system does not tell who listens.
        """
        assert kind.identify is not None  # noqa: S101 (whoever asks has looked)
        if not self._serves(record, kind.identify.port):
            return None
        return read_back(kind, record.ports, self._environment(record, kind)) if known is None else known

    def _serves(self, record: ServerRecord, name: str) -> bool:
        """Whether the server itself, or what it runs, listens on this port of its. Blocking.

        Whoever else does is not believed, and is sent no secret.
        """
        known = tuple(process for process in (record.process, record.root) if process is not None)
        port = record.ports[name]
        return self._listens(port, known[:1]) or self._listens(port, self._family(record, known))

    def _family(self, record: ServerRecord, known: tuple[ProcessIdentity, ...]) -> tuple[ProcessIdentity, ...]:
        # Above the process of one that somebody else started there may be more than a server.
        return family(self._platform.processes.table(), known[:1] if record.foreign else known)

    def _listens(self, port: int, among: tuple[ProcessIdentity, ...]) -> bool:
        return port in self._platform.ports.listeners((port,), among)

    def _environment(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """Where a server keeps its record: one that somebody else started may have been told another place."""
        if record.foreign and record.process is not None:
            return environment_of(self._context, kind, record.process)
        return self._context.environment


def _can_be_asked(record: ServerRecord, name: str) -> bool:
    """Its recipe may have changed since it was started: then nobody knows where to ask, and that is no silence."""
    return name in record.ports and (record.process or record.root) is not None


def answer_of(record: ServerRecord, kind: Kind, said: Identification | None) -> Answer:
    """Whether what a server said, None: nothing, is what its record says."""
    if said is None:
        return Answer.MUTE
    tells = kind.identify is not None and kind.identify.version is not None
    fits = not tells or expected(record.version, said.version)
    return Answer.RIGHT if said.matches and fits else Answer.WRONG


def expected(version: str | None, said: str | None) -> bool:
    """Whether a server tells the version that its record has, None: any. It need not tell which build it is."""
    return version is None or (said is not None and agree(version, said))


async def sessions_of(platform: Platform, kind: Kind, ports: Ports, patience_s: float) -> int | None:
    """The sessions of whoever serves these ports; None: they cannot be told.

    Raises:
        UnusableAnswerError: it was asked, and answers, but does not tell them.
    """
    if kind.sessions is None:
        return 0
    if isinstance(kind.sessions, SessionRoute):
        return await count_sessions(kind.sessions, ports, patience_s)
    port = ports.get(kind.sessions)
    return None if port is None else await platform.lanes.look(platform.ports.connections, port)
