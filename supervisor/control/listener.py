"""The sockets that accept clients: a unix socket where the system has them, and TCP on 127.0.0.1 everywhere."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from ..native import facts
from .all_connections import AllConnections
from .connection import FLUSH_S, Connection
from .sockets import BACKLOG, bind_tcp, bind_unix, device_and_inode

Transport = Mapping[str, Any]


class Listener:
    """Accepts connections until it is closed. Runs on the loop that opened it.

    The listener works with TCP alone if the home lies on a file system without unix sockets.
    """

    def __init__(self, all_connections: AllConnections, socket_path: Path) -> None:
        self._all_connections = all_connections
        self._acceptors: list[_Acceptor] = [_TcpAcceptor(all_connections)]
        if facts.HAS_UNIX_SOCKETS:
            self._acceptors.insert(0, _UnixAcceptor(all_connections, socket_path))
        self._transports: tuple[Transport, ...] = ()

    @property
    def transports(self) -> tuple[Transport, ...]:
        """The addresses for endpoint.json, in the order in which clients should try them."""
        return self._transports

    async def open(self) -> None:
        """Start accepting.

        Raises:
            NotOurs: the socket's folder is not ours alone.
            OSError: the system refused to listen on TCP.
        """
        try:
            for acceptor in self._acceptors:
                await self._open(acceptor)
        except BaseException:
            self._shut()
            raise
        self._transports = self._open_now()

    async def check(self) -> bool:
        """Listen again on sockets that have stopped. To be called when the event loop reports a connection's error.

        Returns:
            Whether `transports` changed, so that the endpoint must be published again.

        Raises:
            NotOurs, OSError: a socket could not be rebuilt.
        """
        if self._all_connections.closing:
            return False
        for acceptor in self._acceptors:
            if not acceptor.is_listening():
                self._all_connections.log.warning("listener.rebuilt", **acceptor.transport)
                acceptor.shut()
                await self._open(acceptor)
        before, self._transports = self._transports, self._open_now()
        return self._transports != before

    def begin_shutdown(self) -> None:
        """Accept no further connection, and no mutation on the open ones."""
        self._all_connections.closing = True
        self._shut()

    async def close(self) -> None:
        """Stop accepting, give running requests the time to be answered, and close every connection."""
        self.begin_shutdown()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(FLUSH_S):
                await asyncio.gather(*(connection.until_answered() for connection in self._all_connections.connections))
        for connection in self._all_connections.connections:
            connection.hang_up()
        with contextlib.suppress(TimeoutError):
            # A client that does not read is cut off by its connection; this bound is for a loop that is stuck.
            async with asyncio.timeout(2 * FLUSH_S):
                await self._all_connections.until_empty()

    async def _open(self, acceptor: "_Acceptor") -> None:
        try:
            await acceptor.open()
        except OSError as problem:
            if not acceptor.optional:
                raise
            self._all_connections.log.warning("listener.unavailable", reason=str(problem), **acceptor.transport)

    def _open_now(self) -> tuple[Transport, ...]:
        return tuple(acceptor.transport for acceptor in self._acceptors if acceptor.is_listening())

    def _shut(self) -> None:
        for acceptor in self._acceptors:
            acceptor.shut()


class _Acceptor:
    """Accepts connections on one socket. `optional`: the daemon works without it."""

    optional = False

    def __init__(self, make_connection: Callable[[], Connection]) -> None:
        self._make_connection = make_connection
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None

    @property
    def transport(self) -> Transport:
        raise NotImplementedError

    def bind(self) -> socket.socket:
        raise NotImplementedError

    async def open(self) -> None:
        self._socket = self.bind()
        self._server = await asyncio.get_running_loop().create_server(
            self._make_connection, sock=self._socket, backlog=BACKLOG
        )

    def is_listening(self) -> bool:
        # The proactor loop closes the listening socket on an error of one accept (CPython gh-93821).
        return self._socket is not None and self._socket.fileno() != -1

    def shut(self) -> None:
        if self._server is not None:
            self._server.close()
        if self._socket is not None:
            self._socket.close()


class _TcpAcceptor(_Acceptor):
    def __init__(self, all_connections: AllConnections) -> None:
        super().__init__(partial(Connection, all_connections, needs_token=True))
        self._port = 0

    @property
    def transport(self) -> Transport:
        return {"kind": "tcp", "host": facts.LOOPBACK, "port": self._port}

    def bind(self) -> socket.socket:
        try:
            bound = bind_tcp(self._port)
        except OSError:
            # The socket is rebuilt, and another program has taken its port since.
            bound = bind_tcp()
        self._port = bound.getsockname()[1]
        return bound


class _UnixAcceptor(_Acceptor):
    optional = True

    def __init__(self, all_connections: AllConnections, path: Path) -> None:
        super().__init__(partial(Connection, all_connections, needs_token=False))
        self._path = path
        self._socket_file: tuple[int, int] | None = None

    @property
    def transport(self) -> Transport:
        return {"kind": "unix", "path": str(self._path)}

    def bind(self) -> socket.socket:
        bound = bind_unix(self._path)
        self._socket_file = device_and_inode(self._path)
        return bound

    def is_listening(self) -> bool:
        # Systems that tidy their folder of temporary files remove the path of a socket that is still in use.
        return super().is_listening() and device_and_inode(self._path) == self._socket_file

    def shut(self) -> None:
        super().shut()
        if self._socket_file is not None and device_and_inode(self._path) == self._socket_file:
            self._path.unlink()
            # The folder is empty unless another program keeps a file there.
            with contextlib.suppress(OSError):
                self._path.parent.rmdir()
        self._socket_file = None
