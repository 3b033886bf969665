"""Opens the door: a unix socket where there are any, and TCP on 127.0.0.1 everywhere."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..native import facts
from .admission import Admission
from .connection import FLUSH_S, Connection
from .sockets import BACKLOG, bind_tcp, bind_unix, place_of

Transport = Mapping[str, Any]


class Listener:
    """Accepts connections until it is closed. Runs on the loop that opened it.

    Where the system has unix sockets but not in our folder (a home on a foreign file system), TCP has to do.
    """

    def __init__(self, door: Admission, socket_path: Path) -> None:
        self._door = door
        self._entrances: list[_Entrance] = [_TcpEntrance(door)]
        if facts.HAS_UNIX_SOCKETS:
            self._entrances.insert(0, _UnixEntrance(door, socket_path))
        self._transports: tuple[Transport, ...] = ()

    @property
    def transports(self) -> tuple[Transport, ...]:
        """How clients reach us, in the order in which they should try; for endpoint.json."""
        return self._transports

    async def open(self) -> None:
        """Start accepting.

        Raises:
            NotOurs: the socket's folder is not ours alone.
            OSError: the system refused to listen on TCP.
        """
        try:
            for entrance in self._entrances:
                await self._open(entrance)
        except BaseException:
            self._shut()
            raise
        self._transports = self._open_now()

    async def check(self) -> bool:
        """Rebuild what has stopped listening. Call it when the event loop reports an error of a connection.

        Returns:
            Whether `transports` changed: then the endpoint must be published again.

        Raises:
            NotOurs, OSError: it could not be rebuilt.
        """
        if self._door.closing:
            return False
        for entrance in self._entrances:
            if not entrance.listens():
                self._door.log.warning("listener.rebuilt", **entrance.transport)
                entrance.shut()
                await self._open(entrance)
        before, self._transports = self._transports, self._open_now()
        return self._transports != before

    def begin_shutdown(self) -> None:
        """Accept nothing more: no connection, and no mutation on those that are open."""
        self._door.closing = True
        self._shut()

    async def close(self) -> None:
        """Stop accepting, give what has ended the time to be told, and close every connection."""
        self.begin_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await asyncio.gather(*(slot.until_answered() for slot in self._door.guests))
        for slot in self._door.guests:
            slot.hang_up()
        with contextlib.suppress(TimeoutError):
            # A reader that does not read is cut off by its connection; this bound is for a loop that is stuck.
            async with asyncio.timeout(2 * FLUSH_S):
                await self._door.until_empty()

    async def _open(self, entrance: "_Entrance") -> None:
        try:
            await entrance.open()
        except OSError as problem:
            if not entrance.optional:
                raise
            self._door.log.warning("listener.unavailable", reason=str(problem), **entrance.transport)

    def _open_now(self) -> tuple[Transport, ...]:
        return tuple(entrance.transport for entrance in self._entrances if entrance.listens())

    def _shut(self) -> None:
        for entrance in self._entrances:
            entrance.shut()


class _Entrance:
    """One listening socket. `optional`: the daemon can do without."""

    optional = False

    def __init__(self, greet: Callable[[], Connection]) -> None:
        self._greet = greet
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def transport(self) -> Transport:
        raise NotImplementedError

    def bind(self) -> socket.socket:
        raise NotImplementedError

    async def open(self) -> None:
        self._socket = self.bind()
        self._server = await asyncio.get_running_loop().create_server(self._greet, sock=self._socket, backlog=BACKLOG)

    def listens(self) -> bool:
        # The proactor loop closes the listening socket on an error of one accept (CPython gh-93821).
        return self._socket is not None and self._socket.fileno() != -1

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.close()


class _TcpEntrance(_Entrance):
    def __init__(self, door: Admission) -> None:
        super().__init__(partial(Connection, door, needs_token=True))
        self._port = 0

    @property
    def transport(self) -> Transport:
        return {"kind": "tcp", "host": facts.LOOPBACK, "port": self._port}

    def bind(self) -> socket.socket:
        try:
            bound = bind_tcp(self._port)
        except OSError:
            # Rebuilt, and somebody took our port meanwhile.
            bound = bind_tcp()
        self._port = bound.getsockname()[1]
        return bound


class _UnixEntrance(_Entrance):
    optional = True

    def __init__(self, door: Admission, path: Path) -> None:
        super().__init__(partial(Connection, door, needs_token=False))
        self._path = path
        self._place: tuple[int, int] | None = None

    @property
    def transport(self) -> Transport:
        return {"kind": "unix", "path": str(self._path)}

    def bind(self) -> socket.socket:
        bound = bind_unix(self._path)
        self._place = place_of(self._path)
        return bound

    def listens(self) -> bool:
        # Systems that tidy their folder of temporary files take the path away from under a living socket.
        return super().listens() and place_of(self._path) == self._place

    def shut(self) -> None:
        super().shut()
        if self._place is not None and place_of(self._path) == self._place:
            self._path.unlink()
            # Empty by now, unless somebody else keeps something there.
            with contextlib.suppress(OSError):
                self._path.parent.rmdir()
        self._place = None
