"""When a server that was just started is really ready: it listens on its ports itself, and says who it is."""

import asyncio
import contextlib
import errno
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from ...core.log_text import taken_ports
from ...core.model import Liveness, Occupied, Ports, ProcessIdentity, ServerRecord
from ...core.processes.proof import Link, Unrecognised
from ...core.symptoms import IN_FOREGROUND, LOOPBACK, Symptoms, tell
from ...kinds.kind import Kind, mentions_ports
from ...kinds.queries.identify import Identification
from ...values import frozen
from ..identification.server_client import ANSWER_TIMEOUT_S, ServerClient, version_fits
from ..logs.excerpt import log_lines
from ..processes.leftovers import Leftovers
from ..processes.stop import Stopper
from ..processes.tree import Target
from ..state.context import EngineContext

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
TREE_EVERY = 5
"""Every so many looks the whole tree is searched for the listener: launchers hide it."""

THIEVES_EVERY = 10
"""Every so many looks it is asked whether another process listens on the ports."""

NO_DESCRIPTORS = (errno.EMFILE, errno.ENFILE)

SETTLED_S = 1.0
"""A program that has no ports is ready once it has lived for so long."""

BACKGROUND_PAUSE_S = 0.25
"""Between two looks for a server whose first process has ended: each reads the environments of processes."""


@frozen
class Ready:
    """Who listens, and the version that it says it is; None: it says none."""

    listener: ProcessIdentity
    version: str | None


class NotReadyError(Exception):
    """The server ended, or answers as something else. The text and `advice` are for people."""

    def __init__(self, problem: str, advice: str | None = None) -> None:
        super().__init__(problem)
        self.advice = advice


class PortLostError(Exception):
    """Another process took one of the ports."""

    def __init__(self, occupied: tuple[Occupied, ...]) -> None:
        super().__init__(f"lost port {occupied[0].port}")
        self.occupied = occupied


@dataclass(slots=True)
class _Start:
    """A launch that is waited for, and what was seen of it so far.

    `below`: what the first process ran while it lived. `background`: what carries the launch token since that ended.
    """

    record: ServerRecord
    kind: Kind
    target: Target
    waits: Ports
    left: Leftovers
    moved: Callable[[ProcessIdentity], None]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    below: set[ProcessIdentity] = field(default_factory=set)
    background: tuple[ProcessIdentity, ...] = ()
    answer: str | None = None
    hung_up: int | None = None
    untold: str | None = None
    thieves: dict[int, Occupied] = field(default_factory=dict)

    @property
    def ports(self) -> tuple[int, ...]:
        """The ports that it has to listen on."""
        return tuple(self.waits.values())


class Readiness:
    """Waits for one launch at a time, as often as wanted."""

    def __init__(self, context: EngineContext, server_client: ServerClient, stopper: Stopper) -> None:
        self._context = context
        self._platform = context.platform
        self._server_client = server_client
        self._stopper = stopper

    async def wait(
        self, record: ServerRecord, kind: Kind, target: Target, moved: Callable[[ProcessIdentity], None]
    ) -> Ready:
        """Return once the server is ready.

        `moved` is called when the server turns out to be another process than the one that was started.

        Raises:
            NotReadyError: it cannot become ready any more, or not in `ready_timeout_s`.
            PortLostError: another process was quicker, and nothing of this launch is left beside the tree.
        """
        token = self._context.token(record)
        left = Leftovers(self._context, token, target.root)
        start = _Start(record, kind, target, waited_for(kind, record.ports), left, moved)
        with contextlib.ExitStack() as watches:
            try:
                async with asyncio.timeout(kind.ready_timeout_s):
                    return await self._look_until_ready(start, watches)
            except TimeoutError:
                told = tell(await self._symptoms(start))
                error = NotReadyError(f"it was not ready after {kind.ready_timeout_s:g} s: {told.problem}", told.advice)
            except NotReadyError as refused:
                error = refused
        lost = () if start.background else await self._lost(start)
        if lost:
            raise PortLostError(lost)
        raise error

    async def _look_until_ready(self, start: _Start, watches: contextlib.ExitStack) -> Ready:
        self._follow(start, watches)
        if not start.record.ports:
            return await self._settled(start)
        pause = FIRST_PAUSE_S
        look = 0
        while True:
            look += 1
            if start.ended.is_set():
                if await self._in_background(start):
                    self._follow(start, watches)
                else:
                    await asyncio.sleep(BACKGROUND_PAUSE_S)
                continue
            listener = await self._listener(start, whole_tree=look % TREE_EVERY == 0)
            if listener is not None and (said := await self._answer(start)) is not None:
                return Ready(listener, said.version)
            if listener is None and look % THIEVES_EVERY == 0:
                await self._note_thieves(start)
            await _at_most(pause, start.ended)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def _follow(self, start: _Start, watches: contextlib.ExitStack) -> None:
        """Notice the end of the process that is waited for."""
        start.ended = asyncio.Event()
        watches.enter_context(contextlib.closing(self._platform.exits.watch(start.target.root, start.ended.set)))

    async def _settled(self, start: _Start) -> Ready:
        """A program without ports has nothing else to show than that it lives."""
        await _at_most(min(SETTLED_S, start.kind.ready_timeout_s / 2), start.ended)
        if not start.ended.is_set() and self._platform.probe.sample(start.target.root) is not Liveness.DEAD:
            return Ready(start.target.root, None)
        start.background = (await start.left.look()).free
        if start.background:
            raise NotReadyError(tell(Symptoms({}, background=_pids(start.background))).problem, IN_FOREGROUND)
        raise NotReadyError(f"it ended within {SETTLED_S:g} s of its start")

    async def _in_background(self, start: _Start) -> bool:
        """Whether the process that was started has left the server to another one, which is followed from now on.

        Raises:
            NotReadyError: nothing of the launch lives any more, or nothing that is proven to be the server.
        """
        left = await start.left.look()
        start.background = left.free
        listening = await self._listening(start, left.free)
        if not left.free or (len(listening) < len(start.waits) and self._failed(start)):
            raise NotReadyError("it ended before it was ready")
        if len(listening) < len(start.waits):
            return False
        server = await start.left.server(left, start.kind, set(listening.values()), start.below)
        if isinstance(server, Unrecognised):
            sockets = [(LOOPBACK, port) for port in start.ports]
            told = tell(Symptoms(start.waits, sockets, background=_pids(left.free)))
            raise NotReadyError(f"{told.problem}, and is not proven to be the server: {server.reason}", told.advice)
        start.background = ()
        start.target = replace(start.target, root=server, process=server)
        start.record = start.record.with_(root=server, process=server)
        start.moved(server)
        return True

    def _failed(self, start: _Start) -> bool:
        """Whether the process that was started tells by its exit status that it failed."""
        return self._platform.processes.exit_status(start.target.root) not in (None, 0)

    async def _listener(self, start: _Start, *, whole_tree: bool) -> ProcessIdentity | None:
        among = [start.target.root]
        if whole_tree:
            members = await self._stopper.members(start.target)
            token = start.target.token
            among = [m.identity for m in members if m.link is not Link.LEFT_OVER or m.launch_token == token]
            start.below.update(among)
        listening = await self._listening(start, among)
        return listening[start.ports[0]] if all(port in listening for port in start.ports) else None

    async def _listening(self, start: _Start, among: Sequence[ProcessIdentity]) -> Mapping[int, ProcessIdentity]:
        """The ports that one of these processes listens on; none while the system does not tell."""
        try:
            found = await self._platform.lanes.look(self._platform.ports.listeners, start.ports, among) if among else {}
        except OSError as error:
            if error.errno in NO_DESCRIPTORS:
                # Nothing can be proven then: the operation is taken up again once there are some.
                raise
            start.untold = str(error)
            return {}
        start.untold = None
        return found

    async def _answer(self, start: _Start) -> Identification | None:
        """What it says of itself, if that is what it should say; None: not yet."""
        record, kind = start.record, start.kind
        began = asyncio.get_running_loop().time()
        if kind.ready is not None:
            if kind.ready.http is None or kind.ready.port is None or kind.ready.port not in record.ports:
                return Identification(matches=True)
            path, port, limit = kind.ready.http, kind.ready.port, kind.ready.timeout_s
            said = await self._server_client.ask_ready(kind.ready, record.ports)
        elif kind.identify is not None:
            path, port, limit = kind.identify.http, kind.identify.port, ANSWER_TIMEOUT_S
            said = await self._server_client.ask(record, kind)
        else:
            return Identification(matches=True)
        start.hung_up = None
        if said is None:
            silent = asyncio.get_running_loop().time() - began >= 0.9 * limit
            start.hung_up = None if silent else record.ports.get(port)
            does = f"does not answer GET {path} within {limit:g} s" if silent else f"ends the connection on GET {path}"
            start.answer = f"it listens, and {does}"
            return None
        start.answer = said.detail
        if not said.matches:
            return None
        return said if kind.ready is not None else self._of_the_version(record, kind, said)

    def _of_the_version(self, record: ServerRecord, kind: Kind, said: Identification) -> Identification:
        if not version_fits(record, kind, said):
            told = f"it answers as version {said.version}" if said.version else "its answer tells no version"
            raise NotReadyError(f"{told}, not {record.version}")
        return said

    async def _symptoms(self, start: _Start) -> Symptoms:
        """What can be seen of it at the end of its time."""
        own = {member.identity for member in await self._stopper.members(start.target)} | set(start.background)
        sockets = await self._platform.lanes.look(self._sockets, own)
        answer = start.answer
        if start.hung_up is not None:
            port = start.hung_up
            if {address for address, bound in sockets if bound == port} == {"::"}:
                answer = "it listens on :: for IPv6 only; 127.0.0.1 is asked"
            elif await self._server_client.speaks_tls(port):
                answer = "the answer is not HTTP: it speaks TLS"
        if start.untold is not None:
            return Symptoms({}, (), f"the system does not tell who listens: {start.untold}")
        told = mentions_ports(start.kind)
        return Symptoms(start.waits, sockets, answer, _pids(start.background), told_ports=told)

    def _sockets(self, processes: set[ProcessIdentity]) -> frozenset[tuple[str, int]]:
        """Blocking."""
        return frozenset(socket for process in processes for socket in self._platform.ports.addresses(process))

    async def _lost(self, start: _Start) -> tuple[Occupied, ...]:
        """The ports that another process has, or had: as is seen now, as was seen, or as the log says."""
        foreign_servers = await self._foreign_servers(start)
        if foreign_servers or start.thieves:
            return foreign_servers or tuple(start.thieves.values())
        said = taken_ports(log_lines(start.record.log), start.record.ports.values())
        return tuple(Occupied(port, None, "the server's log says that it was in use") for port in sorted(said))

    async def _note_thieves(self, start: _Start) -> None:
        """Another process may have the ports for a moment, and have gone when the server has ended for it."""
        with contextlib.suppress(OSError):
            if await self._platform.lanes.look(self._platform.ports.listening, start.ports):
                start.thieves.update({found.port: found for found in await self._foreign_servers(start)})

    async def _foreign_servers(self, start: _Start) -> tuple[Occupied, ...]:
        facts = await self._platform.lanes.look(self._platform.ports.facts, start.record.ports.values())
        if not any(fact.listeners for fact in facts.values()):
            return ()
        own = {member.identity for member in await self._stopper.members(start.target)}
        own.update((await start.left.look()).carriers)
        return tuple(
            Occupied(fact.port, listener.occupant, f"another process listens on {listener.address} now")
            for fact in facts.values()
            for listener in fact.listeners
            if listener.occupant.identity not in own
        )


def waited_for(kind: Kind, ports: Ports) -> Ports:
    """The ports that a server of a kind has to listen on before it is ready."""
    names = kind.ready.tcp if kind.ready is not None else tuple(ports)
    return {name: ports[name] for name in names if name in ports} or ports


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but not longer than this."""
    # Not wait_for: before Python 3.12 it loses a cancellation that comes together with what it waits for.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()


def _pids(processes: tuple[ProcessIdentity, ...]) -> tuple[int, ...]:
    return tuple(process.pid for process in processes)
