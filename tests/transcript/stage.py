"""The real daemon, from its control connections to its engine, on a fake platform and virtual time."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast

from supervisor.client.endpoint import Endpoint, ProtocolRange
from supervisor.config.settings import load
from supervisor.control.all_connections import AllConnections
from supervisor.control.connection import Connection
from supervisor.control.listener import Listener
from supervisor.control.outbound import OUTBOUND_LIMIT
from supervisor.core.model import ProcessIdentity
from supervisor.daemon.app import Daemon
from supervisor.daemon.event_loop import choose_loop
from supervisor.daemon.home_ownership import HomeOwnership
from supervisor.daemon.settings import Settings
from supervisor.engine.assembly import Engine, Site, assemble
from supervisor.engine.state.registry_writer import Store
from supervisor.kinds.catalog import Catalog
from supervisor.native.api import ChildCommand, Watch
from supervisor.native.facts import Folders
from supervisor.native.service_api import NoServiceManager
from tests import virtual
from tests.catalogs import known_kinds_only
from tests.fake_home import FakeHome
from tests.fakes import FakeProcess, FakeSystem, fake_platform

Line = dict[str, Any]

ENDPOINT = Endpoint(1, 100, "fake:1", "instance-1", "0.1.0", ProtocolRange(1, 1), "the-token-of-this-instance", ())
CONFIG = """
[daemon]
log_level = "{level}"

[kinds.toy]
command = ["toy", "{{http}}", "{{sessions}}"]
ports = {{ http = "8000-8003", sessions = "9500-9503" }}
env = {{ TOY_OWNER = "{{owner_pid}}" }}
sessions = {{ tcp = "sessions" }}
gate = "serialize"
url = "http://127.0.0.1:{{http}}/"
"""
STARTS_IN_S = 6.0
"""Seconds until the toy program listens: long enough for a heartbeat."""

PATIENCE_S = 120.0
"""Virtual seconds."""


class FileWriter:
    """Writes files, and notifies their watchers."""

    def __init__(self) -> None:
        self._readers: dict[Path, list[Callable[[], None]]] = {}

    def note(self) -> str | None:
        return None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        self._readers.setdefault(path, []).append(on_write)
        return cast("Watch", _Armed(partial(self._readers[path].remove, on_write)))

    def write(self, path: Path, text: str) -> None:
        with path.open("a") as file:
            file.write(text)
        for on_write in list(self._readers.get(path, ())):
            on_write()


class _Armed:
    def __init__(self, disarm: Callable[[], None]) -> None:
        self._disarm: Callable[[], None] | None = disarm

    def close(self) -> None:
        disarm, self._disarm = self._disarm, None
        if disarm is not None:
            disarm()


class StagedDaemon(Daemon):
    """The daemon, without the platform, the sockets, and random instance ids and tokens."""

    def __init__(self, folders: Folders, system: FakeSystem, writer: FileWriter) -> None:
        config = load(folders.config, {})
        settings = Settings(config, Catalog.build(config.kinds), choose_loop(config, has_proactor=False))
        ownership = HomeOwnership(FakeHome())
        assert ownership.take()
        super().__init__(folders, ownership, settings, NoServiceManager(), console=False)
        self._instance_id, self._token, self._version = ENDPOINT.instance_id, ENDPOINT.token, ENDPOINT.version
        self._system = system
        self._writer = writer
        self.all_connections: AllConnections
        self.engine: Engine
        self.listens = asyncio.Event()

    def _make_engine(self, store: Store) -> Engine:
        platform = replace(fake_platform(self._system), files=self._writer)
        site = Site("home", self._folders.logs, self._folders.environments, {"PATH": "/bin"})
        self.engine = assemble(platform, store, self._log, self._settings.catalog, self._system.me, site)
        return self.engine

    def _make_listener(self, engine: Engine) -> Listener:
        listener = super()._make_listener(engine)
        listener._acceptors.clear()
        self.all_connections = listener._all_connections
        return listener

    def _publish(self, listener: Listener) -> None:
        super()._publish(listener)
        self.listens.set()


class RecordedTransport(asyncio.Transport):
    """A transport that records what the daemon sends on a connection."""

    def __init__(self, says: Callable[[Line], None], connection: Connection) -> None:
        super().__init__()
        self.asleep = False
        """Whether the client has stopped reading."""
        self._says = says
        self._connection = connection
        self._closed = False
        connection.connection_made(self)

    def write(self, data: Any) -> None:
        for line in bytes(data).splitlines():
            self._says({"frame": json.loads(line)})

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Do nothing: `get_write_buffer_size` tells whether the client reads."""

    def pause_reading(self) -> None:
        """Do nothing, because the client sends one message at a time."""

    def resume_reading(self) -> None:
        """See `pause_reading`."""

    def get_write_buffer_size(self) -> int:
        return OUTBOUND_LIMIT + 1 if self.asleep else 0

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._says({"closes": True})
            asyncio.get_running_loop().call_soon(self._connection.connection_lost, None)

    abort = close

    def receive(self, data: bytes) -> None:
        self._connection.get_buffer(-1)[: len(data)] = data
        self._connection.buffer_updated(len(data))

    def hang_up(self) -> None:
        """Disconnect the client."""
        self._closed = True
        self._connection.connection_lost(None)


class Stage:
    """The stage of a story. Each line is recorded in order: messages of clients and the daemon, and outside events."""

    def __init__(self, folder: Path, note: Callable[[Line], None] = lambda _line: None) -> None:
        self.folder = folder.resolve()
        self.system = FakeSystem()
        self.system.programs["toy"] = self._toy
        self.daemon: StagedDaemon
        self._note = note
        self._writer = FileWriter()
        self._cables: dict[str, RecordedTransport] = {}
        self._heard: dict[str, asyncio.Queue[Line]] = {}
        self._folders = Folders(self.folder / ".godot-supervisor", moved=True)
        self._folders.home.mkdir(mode=0o700)
        self.project = self.folder / "my-game"
        self.project.mkdir()
        (self.project / "project.godot").touch()
        self._configure("info")

    def tell(self, story: Callable[["Stage"], Coroutine[Any, Any, None]]) -> None:
        """Run the daemon from its start to its end, which the story has to cause."""

        async def life() -> None:
            self.daemon = StagedDaemon(self._folders, self.system, self._writer)
            living = asyncio.create_task(self.daemon.live())
            await self.daemon.listens.wait()
            await story(self)
            async with asyncio.timeout(PATIENCE_S):
                await living

        with known_kinds_only():
            virtual.run(self.system.clock, life())

    def send(self, connection: str, line: Mapping[str, Any]) -> None:
        """Send a client's `frame` or its `raw` text, or disconnect the client (`leaves`)."""
        self._note({"connection": connection, "from": "client", **line})
        if line.get("leaves"):
            self._cables[connection].hang_up()
            return
        if connection not in self._cables:
            self._heard[connection] = asyncio.Queue()
            self._cables[connection] = RecordedTransport(
                partial(self._said, connection), Connection(self.daemon.all_connections, needs_token=True)
            )
        text = line["raw"] if "raw" in line else json.dumps(line["frame"])
        self._cables[connection].receive(text.encode() + b"\n")

    async def hear(self, connection: str) -> Line:
        """Return the daemon's next message on a connection."""
        async with asyncio.timeout(PATIENCE_S):
            return await self._heard[connection].get()

    def unheard(self) -> list[Line]:
        """Return the messages that no story has read."""
        return [queue.get_nowait() for queue in self._heard.values() for _ in range(queue.qsize())]

    async def happen(self, does: str, **details: Any) -> Line:
        """Cause an event around the daemon, and return what is visible of it."""
        if does == "time_passes":
            self._note({"from": "world", "does": does, "with": details})
            await asyncio.sleep(details["seconds"])
            return {}
        seen = getattr(self, f"_{does}")(**details) or {}
        self._note({"from": "world", "does": does, "with": details, "seen": seen})
        return dict(seen)

    def _said(self, connection: str, said: Line) -> None:
        line = {"connection": connection, "from": "daemon", **said}
        self._note(line)
        self._heard[connection].put_nowait(line)

    # --- events around the daemon ---

    def _editor_starts(self) -> Line:
        return {"pid": self.system.start("godot", "--editor").pid}

    def _editor_quits(self, pid: int) -> None:
        self.system.end(self.system.processes[pid].identity)

    def _server_is_killed(self, pid: int) -> None:
        self.system.kill(pid)

    def _server_writes(self, server: str, text: str) -> None:
        log = self.daemon.engine.context.records.server(server).log
        assert log is not None
        self._writer.write(Path(log), text)

    def _client_sleeps(self, connection: str) -> None:
        self._cables[connection].asleep = True

    def _configuration_changes(self) -> None:
        self._configure("debug")

    def _configure(self, level: str) -> None:
        self._folders.config.write_text(CONFIG.format(level=level))
        self._folders.config.chmod(0o600)

    def _toy(self, system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        def serve(identity: ProcessIdentity) -> None:
            if system.process(identity) is not None:
                for word in command.argv[1:]:
                    system.listen(identity, int(word))

        asyncio.get_running_loop().call_later(STARTS_IN_S, serve, process.identity)
