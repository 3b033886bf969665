"""The daemon, put together: the one place that constructs things."""

import asyncio
import contextlib
import os
import secrets
import sys
from functools import partial

from ..client import endpoint
from ..control.admission import Admission
from ..control.listener import Listener
from ..control.methods.assembly import all_methods
from ..control.methods.daemon import About
from ..control.views import Views
from ..core.model import ProcessIdentity
from ..engine.assembly import Engine, Site, assemble
from ..engine.logs.tail import LogTail
from ..engine.state.context import TOKEN_VARIABLE
from ..errors import StateNotWritable
from ..kinds import shell_variables
from ..native.facts import Folders
from ..native.platforms import file_replacer, open_platform, raise_descriptor_limit, watch_places
from ..native.service_api import NoServiceManager, ServiceManager
from ..native.startup import inherited
from ..registry.store import FileStore
from . import loop, version
from .guard import GuardedStore, guarded_platform
from .home_files import HomeFiles, Identity
from .home_ownership import HomeOwnership
from .lock import MOMENT_S, HomeFolder, who_runs
from .logs import LOG_NAME, LogFile, open_log
from .loop_errors import LoopErrors
from .settings import Reloader, Settings, read

WITHDRAW_S = 5.0
"""How long a daemon that has lost its home waits for its own operations, which may do nothing any more."""


def run(folders: Folders, *, console: bool, manager: ServiceManager | None = None) -> int:
    """Be the daemon of a home until told to stop. The exit status. `manager`: who looks after it, if anybody does.

    Raises:
        ConfigInvalid: the configuration cannot be used.
        NotOurs, StateNotWritable: the home folder cannot be used.
    """
    inherited.begin_daemon()
    manager = manager or NoServiceManager()
    settings = read(folders)
    tenancy = HomeOwnership(HomeFolder(folders))
    try:
        taken = tenancy.take(MOMENT_S)
    except OSError as error:
        raise StateNotWritable(f"the home folder cannot be used: {error}", hint="make it a folder of yours") from error
    if not taken:
        sys.stdout.write(f"already running: {who_runs(folders)}\n")
        manager.ready()
        return 0
    try:
        return loop.run(Daemon(folders, tenancy, settings, manager, console=console).live(), settings.loop)
    finally:
        tenancy.release()


class Daemon:
    """One life of the daemon."""

    def __init__(
        self,
        folders: Folders,
        tenancy: HomeOwnership,
        settings: Settings,
        manager: ServiceManager,
        *,
        console: bool,
    ) -> None:
        self._loop = settings.loop
        self._folders = folders
        self._tenancy = tenancy
        self._settings = settings
        self._manager = manager
        self._log_file = LogFile(folders.logs)
        self._log = open_log(self._log_file, settings.config.log_level, console=console)
        self._instance_id = secrets.token_hex(8)
        self._token = secrets.token_urlsafe(32)
        self._version = version.installed()
        self._with_servers = False
        self._stop: asyncio.Event
        self._me: ProcessIdentity
        self._keeper: HomeFiles
        self._reloader: Reloader
        self._mender: LoopErrors
        self._open_listener: Listener | None = None

    async def live(self) -> int:
        """Recover, open the door, wait to be told, and leave in order. The servers live on."""
        running_loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        store = FileStore(self._folders.registry, file_replacer(), lambda: self._tenancy.homes)
        engine = self._engine(store)
        self._me = engine.context.me
        events, records = engine.context.events, engine.context.records
        self._keeper = HomeFiles(self._folders, self._tenancy, events, records, self._log_file, watch_places)
        ours = Identity(self._me, self._instance_id, self._version, self._token)
        self._keeper.begin(ours, self._stop.set)
        lanes = engine.context.platform.lanes
        self._reloader = Reloader(
            self._folders, self._settings, lanes, events, self._publish_again, engine.supervisor.look_again
        )
        listener = self._listener(engine)
        self._mender = LoopErrors(events, listener, partial(self._publish, listener), self._loop)
        self._keeper.mends(self._mender)
        running_loop.set_exception_handler(self._mender)
        with loop.heeding(running_loop, self._stop.set, self._reloader.quietly):
            await self._serve(engine, store, listener)
        return 0

    async def _serve(self, engine: Engine, store: FileStore, listener: Listener) -> None:
        events = engine.context.events
        events.publish(
            "daemon.starting",
            pid=self._me.pid,
            version=self._version,
            home=str(self._folders.home),
            event_loop=self._loop.name,
            event_loop_reason=self._loop.reason,
        )
        running_loop = asyncio.get_running_loop()
        await self._manager.begin(lambda: running_loop.call_soon_threadsafe(self._stop.set))
        await engine.context.platform.lanes.prepare()
        await engine.recovery.run(self._keeper.load(store))
        engine.supervisor.begin()
        engine.attachments.begin()
        await listener.open()
        self._open_listener = listener
        self._publish(listener)
        self._manager.ready()
        events.publish("daemon.ready", instance_id=self._instance_id)
        try:
            await self._stop.wait()
        finally:
            self._open_listener = None
            self._manager.stopping()
            events.publish("daemon.stopping", servers=self._with_servers)
            self._mender.close()
            self._keeper.close()
            listener.begin_shutdown()
            await self._close(engine)
            await listener.close()
            await engine.context.platform.lanes.close()
            events.publish("daemon.stopped")
            endpoint.withdraw(self._folders.endpoint, self._instance_id)

    async def _close(self, engine: Engine) -> None:
        """Bring what is under way to its end. Where the home is another daemon's, that one takes it up."""
        if self._tenancy.lost is None:
            await engine.supervisor.close(servers=self._with_servers)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(WITHDRAW_S):
                await engine.supervisor.close(servers=False)

    def _engine(self, store: FileStore) -> Engine:
        platform = guarded_platform(open_platform(raise_descriptor_limit()), self._tenancy)
        me = platform.probe.identify(os.getpid())
        if me is None:
            raise OSError("the system does not tell about this very process")
        site = Site(
            home_id=self._folders.home_id,
            logs=self._folders.logs,
            environments=self._settings.config.environments or self._folders.environments,
            environment={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
            discover=self._settings.config.discover,
        )
        return assemble(platform, GuardedStore(store, self._tenancy), self._log, self._settings.catalog, me, site)

    def _listener(self, engine: Engine) -> Listener:
        context = engine.context
        about = About(
            pid=context.me.pid,
            instance_id=self._instance_id,
            version=self._version,
            started_at=context.platform.clock.wall(),
            home=str(self._folders.home),
            config=str(self._folders.config),
            logs=str(self._folders.logs),
            environments=str(context.environments.root),
            event_loop=self._loop.name,
            notes=lambda: self._notes(engine),
            reload=self._reloader.reload,
            shut_down=self._shut_down,
            variables=shell_variables.told(context.environment),
        )
        views = Views(context, engine.supervisor.reaper, engine.exit_watches)
        logs = LogTail(context, self._folders.logs / LOG_NAME)
        methods = all_methods(engine.supervisor, engine.attachments, context, views, about, logs, engine.housekeeping)
        admission = Admission(
            methods=methods,
            instance_id=self._instance_id,
            version=self._version,
            token=self._token,
            peers=context.platform.peers,
            log=self._log,
        )
        return Listener(admission, self._folders.socket)

    def _notes(self, engine: Engine) -> tuple[str, ...]:
        notes = (*engine.notes, self._tenancy.note, self._log_file.note, self._loop.note, self._mender.note)
        return (*(told for note in notes if (told := note())), *inherited.notes())

    def _publish(self, listener: Listener) -> None:
        self._keeper.publish(listener.transports)

    def _publish_again(self) -> None:
        if self._open_listener is not None:
            self._keeper.look()
            self._publish(self._open_listener)

    def _shut_down(self, servers: bool) -> None:  # noqa: FBT001 (the protocol's own flag)
        self._with_servers = servers
        asyncio.get_running_loop().call_soon(self._stop.set)
