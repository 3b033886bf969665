"""The whole engine on a fake platform and virtual time."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from supervisor.core.model import ProcessIdentity, RegistryContents, ServerRecord
from supervisor.engine.assembly import Site, assemble
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.identification.queries import OVER_LOOPBACK
from supervisor.engine.starting.resolve import EnsureRequest
from supervisor.native.api import ChildCommand
from supervisor.registry.codec import decode, encode
from supervisor.registry.store import Found, Loaded
from tests import virtual
from tests.catalogs import catalog_of
from tests.fakes import FakeProcess, FakeSystem, fake_platform
from tests.installers import BASE, installer

TOY = {
    "command": ["toy", "{http}", "{sessions}"],
    "ports": {"http": "8000-8003", "sessions": "9500-9503"},
    "env": {"TOY_OWNER": "{owner_pid}"},
    "sessions": {"tcp": "sessions"},
    "grace_s": 5,
    "linger_s": 15,
    "stop_timeout_s": 10,
    "ready_timeout_s": 30,
}


class MemoryStore:
    """A registry in memory, through the real codec. `broken`: every write fails."""

    def __init__(self) -> None:
        self.data: bytes | None = None
        self.broken = False

    def write(self, state: RegistryContents) -> None:
        if self.broken:
            raise OSError(28, "No space left on device")
        self.data = encode(state)

    def load(self) -> Loaded:
        if self.data is None:
            return Loaded(RegistryContents(), Found.MISSING)
        return Loaded(decode(self.data), Found.READ)


class EventRecorder:
    """Records every event."""

    def __init__(self) -> None:
        self.recorded: list[dict[str, Any]] = []

    def info(self, event: str, **fields: Any) -> None:
        self.recorded.append({"event": event, **fields})

    warning = error = info

    def of(self, event: str) -> list[dict[str, Any]]:
        return [row for row in self.recorded if row["event"] == event]


class FakeRequester:
    """A requester that records in `told` what it is told: accepted, and the stages of the progress."""

    def __init__(self) -> None:
        self.told: list[str] = []
        self.joined: bool | None = None

    name = "a test"

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:  # noqa: ARG002 (the Protocol's)
        self.told.append("accepted")
        self.joined = joined

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:  # noqa: ARG002
        self.told.append(stage)


def serve(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    """Listen on the ports of the command line, as the toy program does."""
    for word in command.argv[1:]:
        system.listen(process.identity, int(word))


class EngineHarness:
    """The engine of a daemon. `restarted` returns the next daemon on the same system and registry."""

    def __init__(self, tmp_path: Path, system: FakeSystem | None = None, store: MemoryStore | None = None) -> None:
        self.folder = tmp_path
        self.system = system or FakeSystem()
        self.system.programs.setdefault("toy", serve)
        self.store = store or MemoryStore()
        self.events = EventRecorder()
        self.discover = "off"
        self.queries = OVER_LOOPBACK
        self.tables: Mapping[str, Mapping[str, Any]] = {"toy": TOY, "solo": {**TOY, "topology": "per-editor"}}

    def open(self) -> None:
        """Put the engine together. The loop must run."""
        variables = {"PATH": str(self.folder / "bin")}
        site = Site("home", self.folder / "logs", self.folder / "environments", variables, self.discover)
        engine = assemble(
            fake_platform(self.system),
            self.store,
            self.events,
            catalog_of(self.tables),
            self.system.me,
            site,
            self.queries,
        )
        self.engine = engine
        self.supervisor = engine.supervisor
        self.attachments = engine.attachments
        self.records = engine.context.records
        self.recovery = engine.recovery

    def reload(self, tables: Mapping[str, Mapping[str, Any]]) -> None:
        """Give the running engine other tables of kinds, as `daemon.reload` does."""
        self.engine.context.catalog.kinds = catalog_of(tables).kinds

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        """Start the daemon on its registry, run the story, and end the daemon as if killed."""

        async def life() -> None:
            self.open()
            await self.recovery.run(self.store.load())
            self.supervisor.begin()
            self.attachments.begin()
            await story()
            # A killed daemon does not follow up on the operations that are cancelled here.
            self.supervisor.monitor.close()
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
            self.system.forget_watches()

        virtual.run(self.system.clock, life())

    def restarted(self) -> "EngineHarness":
        """Return the harness of the next daemon, on the same system and registry."""
        self.system.me = self.system.start("daemon")
        later = EngineHarness(self.folder, self.system, self.store)
        later.queries = self.queries
        return later

    def editor(self) -> ProcessIdentity:
        """Start an editor process, which may own a server."""
        return self.system.start("godot", "--editor")

    async def up(self, owner: ProcessIdentity | None = None, kind: str = "toy", **fields: Any) -> ServerRecord:
        """Attach the owner, if there is one, and ensure a server for it; return the server record."""
        project = fields.pop("project", None)
        requester = fields.pop("requester", None)
        editor = self.attachments.attach(Arrival(owner.pid, project=project)) if owner else None
        return await self.supervisor.ensure(EnsureRequest(kind, editor, project, **fields), requester)

    def while_stopping(self, action: Callable[[], object]) -> None:
        """Run an action between the last verdict on a server whose editor has left, and the first signal.

        The process table is read for each of the three samples, and then for the server's own processes.
        """
        readings = 4

        def table_is_read() -> None:
            nonlocal readings
            readings -= 1
            if readings:
                self.system.meanwhile["table"] = table_is_read
            else:
                action()

        self.system.meanwhile["table"] = table_is_read

    def alive(self, identity: ProcessIdentity | None) -> bool:
        return identity is not None and self.system.process(identity) is not None


def slow(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
    """Listen after 5 s."""
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def toys(harness: EngineHarness) -> list[ProcessIdentity]:
    """Return the living servers, whichever daemon started them."""
    return [process.identity for process in harness.system.processes.values() if process.command[:1] == ("toy",)]


def with_silent_installers(harness: EngineHarness) -> None:
    """Install the toy from a package by two installers that print nothing and take 50 s each."""
    harness.tables = {"toy": {**TOY, "package": "toy", "version": "1.0", "ready_timeout_s": 5}}

    install = installer(50, lambda _: "1.0")
    harness.system.programs |= {BASE: install, "python": install, "python.exe": install}
