"""A real listener on real sockets, with a small table of methods whose handlers the tests control."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.control.all_connections import AllConnections
from supervisor.control.listener import Listener
from supervisor.control.methods.table import Method, MethodTable
from supervisor.engine.operations.requester import Requester
from supervisor.errors import Busy, NotFound, StartFailed
from supervisor.native import facts
from supervisor.wire.messages.common import OccupantInfo, Owner, ProcessInfo, ReapVerdict, RelocatedPort, Server
from supervisor.wire.messages.servers import ServerEnsure, ServerGet, ServerList, ServerListResult
from supervisor.wire.messages.session import Ping, PingResult
from supervisor.wire.messages.streams import LogsReadResult

KINDS = ("unix", "tcp") if facts.HAS_UNIX_SOCKETS else ("tcp",)
TOKEN = "t0ken-of-this-instance"
HELLO = {"protocol": 1, "token": TOKEN, "client": {"name": "test", "version": "0"}}
LIMIT_S = 10.0
"""The longest wait in these tests. No wait should come near it."""


class Events:
    """A log that tests can read."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, dict[str, Any]]] = []

    def warning(self, event: str, **details: Any) -> None:
        self.entries.append((event, details))

    def error(self, event: str, **details: Any) -> None:
        self.entries.append((event, details))

    def named(self, event: str) -> list[dict[str, Any]]:
        return [details for name, details in self.entries if name == event]


@dataclass
class Peers:
    answer: bool = True

    def same_user(self, _connection: object) -> bool:
        return self.answer


def server(number: int) -> Server:
    return Server(
        id=f"godot-ai@game-{number}",
        kind="godot-ai",
        version="4.3.1",
        project=f"/home/user/games/game-{number}",
        state="ready",
        origin="spawned",
        process=ProcessInfo(1000 + number, 1.8e9),
        root_pid=999 + number,
        ports={"http": 8000 + number, "ws": 9500 + number},
        url=f"http://127.0.0.1:{8000 + number}/mcp",
        connect=("godot-ai", "connect"),
        owners=(Owner(f"game-{number}-1", 4000 + number, "alive", leaving=False),),
        sessions=2,
        leases=(),
        restarts=0,
        since=1.8e9,
        relocated=(RelocatedPort(8000, OccupantInfo(12, ("python", "-m", "http.server"), "me", 1.8e9), "taken"),),
        failure=None,
        reap=ReapVerdict("keep", ("an owner lives",), None),
        log="/logs/godot-ai/1.log",
    )


TEN = tuple(server(number) for number in range(10))


@dataclass
class Work:
    """The work of `server.ensure`: steps that the test gives, then a result or an error."""

    steps: Callable[[Requester], None] = lambda _requester: None
    outcome: Callable[[], object] = lambda: TEN[0]
    waits: bool = False
    begun: asyncio.Event = field(default_factory=asyncio.Event)
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    cancelled: bool = False
    requester: Requester | None = None

    async def ensure(self, _params: ServerEnsure, requester: Requester) -> object:
        self.requester = requester
        try:
            self.steps(requester)
            self.begun.set()
            if self.waits:
                await self.go_on.wait()
            return self.outcome()
        except asyncio.CancelledError:
            self.cancelled = True
            raise
        finally:
            self.ended.set()


def accept(requester: Requester) -> None:
    requester.accepted(request="r-1", joined=False, deadline_s=60)


def get(params: ServerGet) -> Server:
    match params.server:
        case "crash":
            raise RuntimeError("a defect with a secret path")
        case "unsendable":
            raise StartFailed("no", data={"path": Path("/x")})
        case "nonsense":
            return {"not": "a dataclass"}  # type: ignore[return-value]
        case _:
            raise NotFound(f"no server {params.server}")


async def slow_ping(_params: Ping) -> PingResult:
    await asyncio.sleep(0)
    return PingResult()


async def slow_page(_params: Ping) -> LogsReadResult:
    await asyncio.sleep(0)
    return LogsReadResult(("x" * 4000,) * 200, "/logs/a.log")


def busy() -> object:
    raise Busy("another operation is running")


def table(work: Work) -> MethodTable:
    return MethodTable(
        [
            Method("ping", Ping, lambda _params: PingResult()),
            Method("slow.ping", Ping, slow_ping),
            Method("slow.page", Ping, slow_page),
            Method("server.list", ServerList, lambda _params: ServerListResult(TEN)),
            Method("server.get", ServerGet, get),
            Method("server.ensure", ServerEnsure, work.ensure, mutation=True),
        ]
    )


@dataclass
class ListenerHarness:
    """A listener that accepts connections, and the log and the work behind it."""

    all_connections: AllConnections
    listener: Listener
    events: Events
    work: Work

    @property
    def endpoint(self) -> Endpoint:
        return Endpoint(1, 1, "x", "i-1", "0.1.0", ProtocolRange(1, 1), TOKEN, self.listener.transports)

    async def connect(self, kind: str = KINDS[0], *, greet: bool = True) -> "Wire":
        (transport,) = (each for each in self.listener.transports if each["kind"] == kind)
        if kind == "unix":
            wire = Wire(*await asyncio.open_unix_connection(transport["path"], limit=8 * 1024 * 1024))
        else:
            wire = Wire(*await asyncio.open_connection(transport["host"], transport["port"], limit=8 * 1024 * 1024))
        if kind == "tcp" and greet:
            assert "result" in await wire.ask("hello", HELLO)
        return wire


@dataclass
class Wire:
    """A client that can send anything."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, method: str, params: dict[str, Any] | None = None, identifier: int | str = 1) -> Any:
        self.say({"jsonrpc": "2.0", "id": identifier, "method": method, "params": params or {}})
        return await self.hear()

    def say(self, message: object) -> None:
        self.raw(json.dumps(message).encode() + b"\n")

    def raw(self, data: bytes) -> None:
        self.writer.write(data)

    async def hear(self) -> Any:
        line = await asyncio.wait_for(self.reader.readline(), LIMIT_S)
        assert line, "the daemon closed the connection"
        return json.loads(line)

    async def rest(self) -> bytes:
        """Return everything up to the end of the connection, which must come in time."""
        with contextlib.suppress(ConnectionError):
            return await asyncio.wait_for(self.reader.read(), LIMIT_S)
        return b""

    async def close(self) -> None:
        self.writer.close()
        with contextlib.suppress(ConnectionError):
            await self.writer.wait_closed()


@contextlib.asynccontextmanager
async def open_listener(
    folder: Path, *, peers: Peers | None = None, work: Work | None = None
) -> AsyncIterator[ListenerHarness]:
    events, work = Events(), work or Work()
    all_connections = AllConnections(
        methods=table(work), instance_id="i-1", version="0.1.0", token=TOKEN, peers=peers or Peers(), log=events
    )
    listener = Listener(all_connections, folder / "control" / "socket")
    await listener.open()
    try:
        yield ListenerHarness(all_connections, listener, events, work)
    finally:
        await listener.close()


async def until(condition: Callable[[], bool]) -> None:
    """Poll a condition with a generous bound."""
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 - what is waited for is plain state of the daemon
            await asyncio.sleep(0.005)
