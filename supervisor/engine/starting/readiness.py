"""Waits until a server that was started is ready: it listens on its ports, and answers as its recipe expects."""

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
PAUSE_GROWTH = 1.05
"""Each pause is so much longer than the one before, so that a quick server is noticed soon: after a twentieth of its
start more."""
TREE_EVERY = 5
"""Every fifth look searches the whole process tree, because a launcher hides the process that listens."""

OTHERS_EVERY = 10
"""Every tenth look notes other processes that listen on the ports."""

SETTLED_S = 1.0
"""How long a program without ports has to live until it counts as ready."""

BACKGROUND_PAUSE_S = 0.25
"""The pause between two looks for a server whose first process has ended: a look reads many environments."""


@frozen
class ReadyServer:
    """The process that listens, and the version in the server's answer, None if the answer has none."""

    listener: ProcessIdentity
    version: str | None


class NotReadyError(Exception):
    """The launch cannot become ready, or did not in time. The text and `advice` are for people."""

    def __init__(self, problem: str, advice: str | None = None) -> None:
        super().__init__(problem)
        self.advice = advice


class PortLostError(Exception):
    """Another process has taken ports of the launch. `occupied` names them, at least one."""

    def __init__(self, occupied: tuple[PassedOverPort, ...]) -> None:
        super().__init__(f"lost port {occupied[0].port}")
        self.occupied = occupied


class ReadinessWatch:
    """Watches launches until they are ready. Each call of `wait` is about one launch."""

    def __init__(self, context: EngineContext, server_client: ServerClient, stopper: Stopper) -> None:
        self._context = context
        self._platform = context.platform
        self._server_client = server_client
        self._stopper = stopper
        self._diagnosis = LaunchDiagnosis(context, server_client, stopper)

    async def wait(
        self, record: ServerRecord, kind: Kind, target: Target, on_background: Callable[[ProcessIdentity], None]
    ) -> ReadyServer:
        """Return once the server is ready.

        `on_background` is called with the process that is the server, once that has put itself into the background.

        Raises:
            NotReadyError: the server cannot become ready any more, or did not within `ready_timeout_s`.
            PortLostError: another process was quicker, and no process of this launch is left outside the tree.
            OSError: the daemon has no free file descriptors.
        """
        leftovers = LeftoverFinder(self._context, self._context.launch_token(record), target.root)
        launch = WatchedLaunch(record, kind, target, _awaited_ports(kind, record.ports), leftovers, on_background)
        with contextlib.ExitStack() as watches:
            try:
                async with asyncio.timeout(kind.ready_timeout_s):
                    return await self._look_until_ready(launch, watches)
            except TimeoutError:
                found = diagnose(await self._diagnosis.symptoms(launch))
                problem = f"it was not ready after {kind.ready_timeout_s:g} s: {found.problem}"
                error = NotReadyError(problem, found.advice)
            except NotReadyError as not_ready:
                error = not_ready
        lost = () if launch.background else await self._diagnosis.lost_ports(launch)
        if lost:
            raise PortLostError(lost)
        raise error

    async def _look_until_ready(self, launch: WatchedLaunch, watches: contextlib.ExitStack) -> ReadyServer:
        """Look at the launch until it is ready. The exit watches stay open as long as `watches`.

        Raises:
            NotReadyError: the server cannot become ready any more.
            OSError: the daemon has no free file descriptors.
        """
        self._watch_end(launch, watches)
        if not launch.record.ports:
            return await self._wait_until_settled(launch)
        pause_s = FIRST_PAUSE_S
        looks = 0
        while True:
            looks += 1
            if launch.ended.is_set():
                if await self._runs_in_background(launch):
                    self._watch_end(launch, watches)
                else:
                    await asyncio.sleep(BACKGROUND_PAUSE_S)
                continue
            listener = await self._listener(launch, whole_tree=looks % TREE_EVERY == 0)
            if listener is not None and (answer := await self._answer(launch)) is not None:
                return ReadyServer(listener, answer.version)
            if listener is None and looks % OTHERS_EVERY == 0:
                await self._diagnosis.note_other_listeners(launch)
            await _wait_at_most(pause_s, launch.ended)
            pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)

    def _watch_end(self, launch: WatchedLaunch, watches: contextlib.ExitStack) -> None:
        """Have `launch.ended` set when the process ends that was started, or that runs in the background since."""
        launch.ended = asyncio.Event()
        watches.enter_context(contextlib.closing(self._platform.exits.watch(launch.target.root, launch.ended.set)))

    async def _wait_until_settled(self, launch: WatchedLaunch) -> ReadyServer:
        """Wait until a program without ports has lived long enough, because there is nothing else to check."""
        await _wait_at_most(min(SETTLED_S, launch.kind.ready_timeout_s / 2), launch.ended)
        if not launch.ended.is_set() and self._platform.probe.sample(launch.target.root) is not Liveness.DEAD:
            return ReadyServer(launch.target.root, None)
        launch.background = (await launch.leftovers.find()).unguarded
        if launch.background:
            raise NotReadyError(diagnose(Symptoms({}, background=pids_of(launch.background))).problem, IN_FOREGROUND)
        raise NotReadyError(f"it ended within {SETTLED_S:g} s of its start")

    async def _runs_in_background(self, launch: WatchedLaunch) -> bool:
        """Return whether the server runs in the background now. If so, `launch` names its process from then on.

        A program that puts itself into the background goes on in another process, and the one that was started ends.

        Raises:
            NotReadyError: no process of the launch lives, or none is proven to be the server.
        """
        left = await launch.leftovers.find()
        launch.background = left.unguarded
        listening = await self._listening(launch, left.unguarded)
        if not left.unguarded or (len(listening) < len(launch.awaited_ports) and self._ended_with_failure(launch)):
            raise NotReadyError("it ended before it was ready")
        if len(listening) < len(launch.awaited_ports):
            return False
        server = await launch.leftovers.find_server(left, launch.kind, set(listening.values()), launch.seen_below)
        if isinstance(server, Unrecognised):
            sockets = [(LOOPBACK, port) for port in launch.port_numbers]
            found = diagnose(Symptoms(launch.awaited_ports, sockets, background=pids_of(left.unguarded)))
            raise NotReadyError(f"{found.problem}, and is not proven to be the server: {server.reason}", found.advice)
        launch.background = ()
        launch.target = replace(launch.target, root=server, process=server)
        launch.record = launch.record.with_(root=server, process=server)
        launch.on_background(server)
        return True

    def _ended_with_failure(self, launch: WatchedLaunch) -> bool:
        """Return whether the process that was started has ended with an exit status other than 0."""
        return self._platform.processes.exit_status(launch.target.root) not in (None, 0)

    async def _listener(self, launch: WatchedLaunch, *, whole_tree: bool) -> ProcessIdentity | None:
        """Return the process that listens on the first port, None until all ports are listened on.

        Only the process that was started is looked at, or with `whole_tree` all processes of the launch.
        """
        among = [launch.target.root]
        if whole_tree:
            members = await self._stopper.read_members(launch.target)
            token = launch.target.token
            among = [m.identity for m in members if m.role is not TreeRole.OF_ENDED_ROOT or m.launch_token == token]
            launch.seen_below.update(among)
        listening = await self._listening(launch, among)
        return listening[launch.port_numbers[0]] if all(port in listening for port in launch.port_numbers) else None

    async def _listening(
        self, launch: WatchedLaunch, among: Sequence[ProcessIdentity]
    ) -> Mapping[int, ProcessIdentity]:
        """Return the ports that one of these processes listens on, with the process; none if the system does not say.

        Raises:
            OSError: the daemon has no free file descriptors.
        """
        try:
            found = (
                await self._platform.lanes.look(self._platform.ports.match_listeners, launch.port_numbers, among)
                if among
                else {}
            )
        except OSError as error:
            if error.errno in NO_DESCRIPTORS:
                # Without descriptors nothing can be proven. The operation is repeated once there are some.
                raise
            launch.why_no_listeners = str(error)
            return {}
        launch.why_no_listeners = None
        return found

    async def _answer(self, launch: WatchedLaunch) -> Identification | None:
        """Return the server's answer, None until it is the expected one.

        A recipe without a question is answered as soon as the server listens.

        Raises:
            NotReadyError: the server answers as another version than the recipe's.
        """
        record, kind = launch.record, launch.kind
        began = asyncio.get_running_loop().time()
        if kind.ready is not None:
            if kind.ready.http is None or kind.ready.port is None or kind.ready.port not in record.ports:
                return Identification(matches=True)
            path, port, limit_s = kind.ready.http, kind.ready.port, kind.ready.timeout_s
            answer = await self._server_client.ask_ready(kind.ready, record.ports)
        elif kind.identify is not None:
            path, port, limit_s = kind.identify.http, kind.identify.port, ANSWER_TIMEOUT_S
            answer = await self._server_client.ask(record, kind)
        else:
            return Identification(matches=True)
        launch.hung_up_on = None
        if answer is None:
            # A question without an answer that took less than its limit was ended by the server.
            silent = asyncio.get_running_loop().time() - began >= 0.9 * limit_s
            launch.hung_up_on = None if silent else record.ports.get(port)
            does = (
                f"does not answer GET {path} within {limit_s:g} s" if silent else f"ends the connection on GET {path}"
            )
            launch.answer = f"it listens, and {does}"
            return None
        launch.answer = answer.detail
        if not answer.matches:
            return None
        if kind.ready is None and not version_fits(record, kind, answer):
            told = f"it answers as version {answer.version}" if answer.version else "its answer tells no version"
            raise NotReadyError(f"{told}, not {record.version}")
        return answer


def _awaited_ports(kind: Kind, ports: Ports) -> Ports:
    """Return those of a server's ports that it has to listen on before it is ready: `ready.tcp`, else all."""
    names = kind.ready.tcp if kind.ready is not None else tuple(ports)
    return {name: ports[name] for name in names if name in ports} or ports


async def _wait_at_most(seconds: float, event: asyncio.Event) -> None:
    """Wait for an event, at most for so many seconds."""
    # asyncio.wait_for before Python 3.12 loses a cancellation that arrives together with the event.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
