"""Waits until a server that was just started is ready: the server listens on its ports, and says who it is."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from ...core.exhaustion import NO_DESCRIPTORS
from ...core.model import Liveness, PassedOverPort, Ports, ProcessIdentity, ServerRecord
from ...core.processes.proof import TreeRole, Unrecognised
from ...core.symptoms import IN_FOREGROUND, LOOPBACK, Symptoms, diagnose
from ...kinds.kind import Kind
from ...kinds.queries.identify import Identification
from ...values import frozen
from ..identification.server_client import ANSWER_TIMEOUT_S, ServerClient, version_fits
from ..processes.leftovers import LeftoverFinder
from ..processes.stop import Stopper
from ..processes.tree import Target
from ..state.context import EngineContext
from .launch_diagnosis import LaunchDiagnosis, WatchedLaunch, pids_of

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
TREE_EVERY = 5
"""The whole process tree is searched at every fifth look, because a launcher hides the process that listens."""

THIEVES_EVERY = 10
"""At every tenth look the daemon asks whether another process listens on the ports."""


SETTLED_S = 1.0
"""How long a program without ports has to live until it counts as ready."""

BACKGROUND_PAUSE_S = 0.25
"""The pause between two looks for a server whose first process has ended: a look reads many environments."""


@frozen
class Ready:
    """The process that listens, and the version that the server says, None if it says none."""

    listener: ProcessIdentity
    version: str | None


class NotReadyError(Exception):
    """The server has ended, or answers as something else. The text and `advice` are for people."""

    def __init__(self, problem: str, advice: str | None = None) -> None:
        super().__init__(problem)
        self.advice = advice


class PortLostError(Exception):
    """Another process has taken one of the ports."""

    def __init__(self, occupied: tuple[PassedOverPort, ...]) -> None:
        super().__init__(f"lost port {occupied[0].port}")
        self.occupied = occupied


class Readiness:
    """Waits for launches. Each call of `wait` is about one launch."""

    def __init__(self, context: EngineContext, server_client: ServerClient, stopper: Stopper) -> None:
        self._context = context
        self._platform = context.platform
        self._server_client = server_client
        self._stopper = stopper
        self._diagnosis = LaunchDiagnosis(context, server_client, stopper)

    async def wait(
        self, record: ServerRecord, kind: Kind, target: Target, moved: Callable[[ProcessIdentity], None]
    ) -> Ready:
        """Return once the server is ready.

        `moved` is called when the server turns out to be another process than the process that was started.

        Raises:
            NotReadyError: the server cannot become ready any more, or did not within `ready_timeout_s`.
            PortLostError: another process was quicker, and no process of this launch is left outside the tree.
        """
        token = self._context.token(record)
        left = LeftoverFinder(self._context, token, target.root)
        launch = WatchedLaunch(record, kind, target, waited_for(kind, record.ports), left, moved)
        with contextlib.ExitStack() as watches:
            try:
                async with asyncio.timeout(kind.ready_timeout_s):
                    return await self._look_until_ready(launch, watches)
            except TimeoutError:
                told = diagnose(await self._diagnosis.symptoms(launch))
                error = NotReadyError(f"it was not ready after {kind.ready_timeout_s:g} s: {told.problem}", told.advice)
            except NotReadyError as refused:
                error = refused
        lost = () if launch.background else await self._diagnosis.lost_ports(launch)
        if lost:
            raise PortLostError(lost)
        raise error

    async def _look_until_ready(self, launch: WatchedLaunch, watches: contextlib.ExitStack) -> Ready:
        self._follow(launch, watches)
        if not launch.record.ports:
            return await self._settled(launch)
        pause = FIRST_PAUSE_S
        look = 0
        while True:
            look += 1
            if launch.ended.is_set():
                if await self._in_background(launch):
                    self._follow(launch, watches)
                else:
                    await asyncio.sleep(BACKGROUND_PAUSE_S)
                continue
            listener = await self._listener(launch, whole_tree=look % TREE_EVERY == 0)
            if listener is not None and (said := await self._answer(launch)) is not None:
                return Ready(listener, said.version)
            if listener is None and look % THIEVES_EVERY == 0:
                await self._diagnosis.note_thieves(launch)
            await _at_most(pause, launch.ended)
            pause = min(pause * 1.5, LONGEST_PAUSE_S)

    def _follow(self, launch: WatchedLaunch, watches: contextlib.ExitStack) -> None:
        """Watch for the end of the process that was started, or that the server has moved to."""
        launch.ended = asyncio.Event()
        watches.enter_context(contextlib.closing(self._platform.exits.watch(launch.target.root, launch.ended.set)))

    async def _settled(self, launch: WatchedLaunch) -> Ready:
        """Wait until a program without ports has lived long enough, because there is nothing else to check."""
        await _at_most(min(SETTLED_S, launch.kind.ready_timeout_s / 2), launch.ended)
        if not launch.ended.is_set() and self._platform.probe.sample(launch.target.root) is not Liveness.DEAD:
            return Ready(launch.target.root, None)
        launch.background = (await launch.left.find()).unguarded
        if launch.background:
            raise NotReadyError(diagnose(Symptoms({}, background=pids_of(launch.background))).problem, IN_FOREGROUND)
        raise NotReadyError(f"it ended within {SETTLED_S:g} s of its start")

    async def _in_background(self, launch: WatchedLaunch) -> bool:
        """Return whether the server has moved to another process, which is followed from then on.

        A program that puts itself into the background does that: the process that was started ends.

        Raises:
            NotReadyError: no process of the launch lives, or none is proven to be the server.
        """
        left = await launch.left.find()
        launch.background = left.unguarded
        listening = await self._listening(launch, left.unguarded)
        if not left.unguarded or (len(listening) < len(launch.waits) and self._failed(launch)):
            raise NotReadyError("it ended before it was ready")
        if len(listening) < len(launch.waits):
            return False
        server = await launch.left.find_server(left, launch.kind, set(listening.values()), launch.below)
        if isinstance(server, Unrecognised):
            sockets = [(LOOPBACK, port) for port in launch.ports]
            told = diagnose(Symptoms(launch.waits, sockets, background=pids_of(left.unguarded)))
            raise NotReadyError(f"{told.problem}, and is not proven to be the server: {server.reason}", told.advice)
        launch.background = ()
        launch.target = replace(launch.target, root=server, process=server)
        launch.record = launch.record.with_(root=server, process=server)
        launch.moved(server)
        return True

    def _failed(self, launch: WatchedLaunch) -> bool:
        """Return whether the exit status of the process that was started says that it failed."""
        return self._platform.processes.exit_status(launch.target.root) not in (None, 0)

    async def _listener(self, launch: WatchedLaunch, *, whole_tree: bool) -> ProcessIdentity | None:
        among = [launch.target.root]
        if whole_tree:
            members = await self._stopper.read_members(launch.target)
            token = launch.target.token
            among = [m.identity for m in members if m.role is not TreeRole.LEFT_OVER or m.launch_token == token]
            launch.below.update(among)
        listening = await self._listening(launch, among)
        return listening[launch.ports[0]] if all(port in listening for port in launch.ports) else None

    async def _listening(
        self, launch: WatchedLaunch, among: Sequence[ProcessIdentity]
    ) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of these processes listens on, and none while the system does not say.

        Raises:
            OSError: the daemon has no free file descriptors.
        """
        try:
            found = (
                await self._platform.lanes.look(self._platform.ports.match_listeners, launch.ports, among)
                if among
                else {}
            )
        except OSError as error:
            if error.errno in NO_DESCRIPTORS:
                # Without descriptors nothing can be proven. The operation is repeated once there are some.
                raise
            launch.unknown_listeners = str(error)
            return {}
        launch.unknown_listeners = None
        return found

    async def _answer(self, launch: WatchedLaunch) -> Identification | None:
        """Return what the server says of itself, None if it does not yet say what it should."""
        record, kind = launch.record, launch.kind
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
        launch.hung_up = None
        if said is None:
            silent = asyncio.get_running_loop().time() - began >= 0.9 * limit
            launch.hung_up = None if silent else record.ports.get(port)
            does = f"does not answer GET {path} within {limit:g} s" if silent else f"ends the connection on GET {path}"
            launch.answer = f"it listens, and {does}"
            return None
        launch.answer = said.detail
        if not said.matches:
            return None
        return said if kind.ready is not None else self._of_the_version(record, kind, said)

    def _of_the_version(self, record: ServerRecord, kind: Kind, said: Identification) -> Identification:
        if not version_fits(record, kind, said):
            told = f"it answers as version {said.version}" if said.version else "its answer tells no version"
            raise NotReadyError(f"{told}, not {record.version}")
        return said


def waited_for(kind: Kind, ports: Ports) -> Ports:
    """Return the ports that a server of a kind has to listen on before it is ready."""
    names = kind.ready.tcp if kind.ready is not None else tuple(ports)
    return {name: ports[name] for name in names if name in ports} or ports


async def _at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, but not longer than this."""
    # asyncio.wait_for before Python 3.12 loses a cancellation that arrives together with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
