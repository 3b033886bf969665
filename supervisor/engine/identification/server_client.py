"""Sends all questions to servers, measures how long a server has not answered, and keeps secrets in memory only."""

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass

from ...core.foreign import Outage
from ...core.model import Liveness, Ports, ProcessIdentity, ServerRecord
from ...core.pep440 import may_be_same_build
from ...core.processes.trees import family
from ...core.reconcile import Answer
from ...kinds.kind import Kind, ReadyRule, SessionRoute
from ...kinds.queries.identify import Identification
from ...kinds.queries.loopback import UnusableAnswerError
from ...kinds.server_secrets import make_secrets, read_secrets
from ..state.context import EngineContext
from ..state.placeholders import own_record_values
from .foreign_owner import variables_of_secrets
from .queries import ServerQueries

ANSWER_TIMEOUT_S = 2.0
"""How long a server of this daemon may take to answer a question."""

FOREIGN_TIMEOUT_S = 1.0
"""How long a foreign process may take to answer a question."""

OUTAGE_GAP_S = 45.0
"""Failed questions further apart than this do not count as one outage, because no question was asked in between. The
limit exceeds the 30 s after which clients are told to retry."""


@dataclass(slots=True)
class _Failures:
    """Questions that failed in a row: when the first and the last failed, monotonic seconds, and how many."""

    first: float
    last: float
    count: int = 1


class ServerClient:
    """Asks the daemon's own servers and foreign processes.

    A secret is sent, and an answer believed, only where the process that was meant listens on the port.
    """

    def __init__(self, context: EngineContext, queries: ServerQueries) -> None:
        self._context = context
        self._platform = context.platform
        self._queries = queries
        self._secrets: dict[str, Mapping[str, str]] = {}
        """The secrets of the daemon's own servers, by launch."""
        self._foreign_secrets: dict[ProcessIdentity, Mapping[str, str]] = {}
        """The secrets of foreign processes that were recognised with them."""
        self._failures: dict[str, _Failures] = {}
        """The questions that a server has not answered since it last did, by launch."""

    def make_secrets(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """Create the secrets of a launch, and keep them."""
        self._secrets[record.launch] = make_secrets(kind, record.version)
        return self._secrets[record.launch]

    def forget(self, record: ServerRecord) -> None:
        """Drop the secrets and the outage of a launch that has ended."""
        self._secrets.pop(record.launch, None)
        self._failures.pop(record.launch, None)

    def take_over_secrets(self, record: ServerRecord, process: ProcessIdentity) -> None:
        """Keep the secrets that a foreign process was recognised with for its launch, now that it has a record."""
        secrets = self._foreign_secrets.get(process)
        if secrets:
            self._secrets[record.launch] = secrets

    def outage(self, record: ServerRecord) -> Outage:
        """Return for how long, and to how many questions in a row, the server has given no answer."""
        now = self._platform.clock.monotonic()
        failures = self._failures.get(record.launch)
        if failures is None or now - failures.last > OUTAGE_GAP_S:
            return Outage()
        return Outage(now - failures.first, failures.count)

    async def ask(self, record: ServerRecord, kind: Kind) -> Identification | None:
        """Return what the server says of itself.

        Return None if it does not answer in time, if another process listens on its port, or if it cannot be asked.
        """
        if kind.identify is None or not _can_be_asked(record, kind.identify.port):
            return None
        known = self._secrets.get(record.launch)
        try:
            secrets = await self._platform.lanes.look(self._secrets_for, record, kind, known)
        except OSError:
            # The system does not say which process listens, so no question was sent, and no silence begins.
            return None
        said = None if secrets is None else await self._queries.identify(kind, record.ports, secrets, ANSWER_TIMEOUT_S)
        self._record_question(record, answered=said is not None)
        if known is None and secrets and said is not None and said.matches:
            # Keep secrets only after the server has answered to them: while a server starts, the record of secrets on
            # disk may still be that of the launch before it.
            self._secrets[record.launch] = secrets
        return said

    async def ask_foreign(self, kind: Kind, process: ProcessIdentity, ports: Ports) -> Identification | None:
        """Return what a foreign process says of itself.

        Return None if its kind cannot be recognised by an answer, if the process belongs to another user, or if
        another process has answered. A secret is only ever sent to a process of this user.
        """
        if kind.identify is None or not kind.identify.match or kind.identify.port not in ports:
            return None
        if self._platform.probe.same_user(process) is not True:
            return None
        secrets = await self._platform.lanes.look(self._read_foreign_secrets, kind, process, ports)
        said = await self._queries.identify(kind, ports, secrets, FOREIGN_TIMEOUT_S)
        listens = await self._platform.lanes.look(self._listens, ports[kind.identify.port], (process,))
        if said is None or not listens:
            return None
        if said.matches:
            self._keep_foreign_secrets(process, secrets)
        return said

    async def ask_ready(self, rule: ReadyRule, ports: Ports) -> Identification | None:
        """Return what a starting server answers to the readiness question of its kind, None if it does not answer."""
        return await self._queries.ask_ready(rule, ports)

    async def speaks_tls(self, port: int) -> bool:
        """Return whether the server on a port answers a TLS handshake."""
        return await self._queries.speaks_tls(port, ANSWER_TIMEOUT_S)

    async def count_sessions(self, record: ServerRecord, kind: Kind) -> int | None:
        """Return the number of open sessions of a server, None if it cannot be found out."""
        if not isinstance(kind.sessions, SessionRoute):
            return await self._count_on_ports(kind, record.ports, ANSWER_TIMEOUT_S)
        if not _can_be_asked(record, kind.sessions.port):
            return None
        try:
            serves = await self._platform.lanes.look(self._serves, record, kind.sessions.port)
            count = await self._count_on_ports(kind, record.ports, ANSWER_TIMEOUT_S) if serves else None
        except OSError:
            return None
        except UnusableAnswerError:
            self._record_question(record, answered=True)
            return None
        # A server that can be asked who it is counts as silent by that question, and not by this one.
        if count is not None or kind.identify is None:
            self._record_question(record, answered=count is not None)
        return count

    async def count_foreign_sessions(self, kind: Kind, ports: Ports) -> int | None:
        """Return the number of open sessions of a foreign server, None if it cannot be found out."""
        with contextlib.suppress(UnusableAnswerError):
            return await self._count_on_ports(kind, ports, FOREIGN_TIMEOUT_S)
        return None

    async def check_answer(self, record: ServerRecord, kind: Kind) -> Answer:
        """Ask a server who it is, and return how its answer compares with its record.

        A server that cannot be asked counts as right. Its kind may have no question, or its recipe may have changed
        since the server was started.
        """
        if kind.identify is None or (record.ports and kind.identify.port not in record.ports):
            return Answer.RIGHT
        return answer_of(record, kind, await self.ask(record, kind))

    async def _count_on_ports(self, kind: Kind, ports: Ports, timeout_s: float) -> int | None:
        """Return the number of sessions of the server on these ports, None if it cannot be found out.

        Raises:
            UnusableAnswerError: the server answers, and does not say the number.
        """
        if kind.sessions is None:
            return 0
        if isinstance(kind.sessions, SessionRoute):
            return await self._queries.count_sessions(kind.sessions, ports, timeout_s)
        port = ports.get(kind.sessions)
        return None if port is None else await self._platform.lanes.look(self._platform.ports.count_connections, port)

    def _record_question(self, record: ServerRecord, *, answered: bool) -> None:
        """End the outage of a server that has answered a question; begin or prolong that of one that has not."""
        failures = self._failures.pop(record.launch, None)
        if answered:
            return
        now = self._platform.clock.monotonic()
        if failures is None or now - failures.last > OUTAGE_GAP_S:
            launches = {record.launch for record in self._context.records.servers.values()}
            self._failures = {launch: kept for launch, kept in self._failures.items() if launch in launches}
            failures = _Failures(now, now, 0)
        self._failures[record.launch] = _Failures(failures.first, now, failures.count + 1)

    def _secrets_for(
        self, record: ServerRecord, kind: Kind, known: Mapping[str, str] | None
    ) -> Mapping[str, str] | None:
        """Return the secrets to ask a server with, None if the server does not listen on its port. Blocks.

        Raises:
            OSError: the system does not say which process listens.
        """
        assert kind.identify is not None  # noqa: S101 (the caller has checked)
        if not self._serves(record, kind.identify.port):
            return None
        if known is not None:
            return known
        return read_secrets(kind, record.ports, self._variables(record, kind), own_record_values(record))

    def _serves(self, record: ServerRecord, name: str) -> bool:
        """Return whether the server, or a process that the server runs, listens on its port of this name. Blocks.

        The answer of any other process is not believed, and no other process is sent a secret.
        """
        known = tuple(process for process in (record.process, record.root) if process is not None)
        port = record.ports[name]
        return self._listens(port, known[:1]) or self._listens(port, self._family(record, known))

    def _family(self, record: ServerRecord, known: tuple[ProcessIdentity, ...]) -> tuple[ProcessIdentity, ...]:
        """Return the known processes of a server and their descendants. Blocks."""
        # The root of a foreign server may run other programs beside the server, so only its process counts.
        return family(self._platform.processes.table(), known[:1] if record.foreign else known)

    def _listens(self, port: int, among: tuple[ProcessIdentity, ...]) -> bool:
        """Return whether one of these processes listens on the port. Blocks."""
        return port in self._platform.ports.match_listeners((port,), among)

    def _variables(self, record: ServerRecord, kind: Kind) -> Mapping[str, str]:
        """Return the environment variables that say where a server keeps its secrets. Blocks.

        Those of a foreign server may differ from those of the daemon.
        """
        if record.foreign and record.process is not None:
            return variables_of_secrets(self._context, kind, record.process)
        return self._context.variables

    def _read_foreign_secrets(self, kind: Kind, process: ProcessIdentity, ports: Ports) -> Mapping[str, str]:
        return read_secrets(kind, ports, variables_of_secrets(self._context, kind, process))

    def _keep_foreign_secrets(self, process: ProcessIdentity, secrets: Mapping[str, str]) -> None:
        """Keep the secrets of a process, and drop those of processes that have ended."""
        kept = {known: held for known, held in self._foreign_secrets.items() if self._lives(known)}
        self._foreign_secrets = {**kept, process: secrets}

    def _lives(self, process: ProcessIdentity) -> bool:
        return self._platform.probe.sample(process) is not Liveness.DEAD


def _can_be_asked(record: ServerRecord, name: str) -> bool:
    """Return whether a server has a process, and a port of this name.

    A recipe that has changed since the start may name other ports. Such a server cannot be asked, which is no silence.
    """
    return name in record.ports and (record.process or record.root) is not None


def answer_of(record: ServerRecord, kind: Kind, said: Identification | None) -> Answer:
    """Return how what a server said compares with its record. `said` is None if it did not answer."""
    if said is None:
        return Answer.NO_ANSWER
    return Answer.RIGHT if said.matches and version_fits(record, kind, said) else Answer.WRONG


def version_fits(record: ServerRecord, kind: Kind, said: Identification) -> bool:
    """Return whether a server says the version of its record. It need not say which build of that version it is.

    Any version fits a record without one, and a kind whose answers name no version.
    """
    if kind.identify is None or kind.identify.version is None or record.version is None:
        return True
    return said.version is not None and may_be_same_build(record.version, said.version)
