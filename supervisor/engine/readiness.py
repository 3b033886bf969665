"""When a server that was just started is really ready: it listens on its ports itself, and says who it is."""

import asyncio
import contextlib

from ..core.model import Liveness, Occupied, ProcessIdentity, ServerRecord
from ..frozen import frozen
from ..kinds.identify import Identification
from ..kinds.kind import Kind
from ..native.api import Wing
from .inquiry import Inquiry, expected
from .looks import Target
from .stop import Stopper

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 0.1
TREE_EVERY = 5
"""Every so many looks the whole tree is searched for the listener: launchers hide it."""


@frozen
class Ready:
    """Who listens, and the version that it says it is; None: it says none."""

    listener: ProcessIdentity
    version: str | None


class NotReadyError(Exception):
    """It ended, or answers as something else. The text is for people."""


class PortLostError(Exception):
    """Somebody else listens on one of the ports now."""

    def __init__(self, occupied: tuple[Occupied, ...]) -> None:
        super().__init__(f"lost port {occupied[0].port}")
        self.occupied = occupied


class Readiness:
    """Waits for one launch at a time, as often as wanted."""

    def __init__(self, wing: Wing, inquiry: Inquiry, stopper: Stopper) -> None:
        self._wing = wing
        self._inquiry = inquiry
        self._stopper = stopper

    async def wait(self, record: ServerRecord, kind: Kind, target: Target) -> Ready:
        """Returns once the server is ready.

        Raises:
            NotReadyError: it cannot become ready any more, or not in `ready_timeout_s`.
            PortLostError: another process was quicker.
        """
        ended = asyncio.Event()
        with contextlib.closing(self._wing.exits.watch(target.root, ended.set)):
            try:
                async with asyncio.timeout(kind.ready_timeout_s):
                    return await self._look_until_ready(record, kind, target, ended)
            except TimeoutError:
                problem = f"it was not ready after {kind.ready_timeout_s:g} s"
            except NotReadyError as error:
                problem = str(error)
        strangers = await self._strangers(record, target)
        if strangers:
            raise PortLostError(strangers)
        raise NotReadyError(problem)

    async def _look_until_ready(self, record: ServerRecord, kind: Kind, target: Target, ended: asyncio.Event) -> Ready:
        pause = FIRST_PAUSE_S
        look = 0
        while not ended.is_set():
            look += 1
            listener = await self._listener(record, target, whole_tree=look % TREE_EVERY == 0)
            if listener is not None and kind.identify is None:
                return Ready(listener, None)
            if listener is not None and (said := await self._answer(record, kind)) is not None:
                return Ready(listener, said.version)
            # Not wait_for: before Python 3.12 it loses a cancellation that comes together with what it waits for.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await ended.wait()
            pause = min(pause * 1.5, LONGEST_PAUSE_S)
        raise NotReadyError("it ended before it was ready")

    async def _listener(self, record: ServerRecord, target: Target, *, whole_tree: bool) -> ProcessIdentity | None:
        if not record.ports:
            return target.root if self._wing.probe.sample(target.root) is Liveness.ALIVE else None
        among = [target.root]
        if whole_tree:
            among = [member.identity for member in await self._stopper.members(target)]
        ports = tuple(record.ports.values())
        listening = await asyncio.to_thread(self._wing.ports.listeners, ports, among)
        return listening[ports[0]] if all(port in listening for port in ports) else None

    async def _answer(self, record: ServerRecord, kind: Kind) -> Identification | None:
        """What it says of itself, if that is what it should say; None: not yet."""
        said = await self._inquiry.ask(record, kind)
        if said is None or not said.matches:
            return None
        tells = kind.identify is not None and kind.identify.version is not None
        if tells and not expected(record.version, said.version):
            raise NotReadyError(f"it answers as version {said.version}, not {record.version}")
        return said

    async def _strangers(self, record: ServerRecord, target: Target) -> tuple[Occupied, ...]:
        own = {member.identity for member in await self._stopper.members(target)}
        facts = await asyncio.to_thread(self._wing.ports.facts, record.ports.values())
        return tuple(
            Occupied(fact.port, listener.occupant, f"somebody else listens on {listener.address} now")
            for fact in facts.values()
            for listener in fact.listeners
            if listener.occupant.identity not in own
        )
