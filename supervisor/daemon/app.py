"""From start to end: the daemon, put together. The one place that constructs the services around the engine."""

import asyncio
import contextlib
import os
import secrets
import sys
from functools import partial

from ..client import endpoint
from ..control.all_connections import AllConnections
from ..control.listener import Listener
from ..control.methods.assembly import all_methods
from ..control.methods.daemon import About
from ..control.views import Views
from ..core.model import ProcessIdentity
from ..engine.assembly import Engine, Site, assemble
from ..engine.logs.reader import LogReader
from ..engine.state.context import TOKEN_VARIABLE
from ..errors import StateNotWritable
from ..kinds import shell_variables
from ..native.facts import Folders
from ..native.platforms import file_replacer, open_platform, raise_descriptor_limit, watch_paths
from ..native.service_api import NoServiceManager, ServiceManager
from ..native.startup import inherited
from ..registry.store import FileStore
from . import event_loop, version
from .daemon_log import LOG_NAME, LogFile, open_log
from .home_checks import CheckedStore, checked_platform
from .home_folder import HomeFolder
from .home_lock import LOCK_TEST_S, describe_running
from .home_ownership import HomeOwnership
from .home_upkeep import DaemonIdentity, HomeUpkeep
from .loop_errors import LoopErrors
from .settings import Reloader, Settings, read_settings

LOST_HOME_WAIT_S = 5.0
"""How long a daemon that has lost its home waits for its operations, which can no longer act."""


def run_daemon(
    folders: Folders, *, console: bool, manager: ServiceManager | None = None, by_service: bool = False
) -> int:
    """Be the daemon of a home until it is stopped, and return the exit status.

    `manager` hears how far the daemon is. `by_service`: the daemon is an installed service of the system.

    Raises:
        ConfigInvalid: the configuration cannot be used.
        NotOurs, StateNotWritable: the home folder cannot be used.
    """
    inherited.reset_for_daemon()
    manager = manager or NoServiceManager()
    settings = read_settings(folders)
    ownership = HomeOwnership(HomeFolder(folders))
    try:
        taken = ownership.take(LOCK_TEST_S)
    except OSError as error:
        raise StateNotWritable(f"the home folder cannot be used: {error}", hint="make it a folder of yours") from error
    if not taken:
        sys.stdout.write(f"already running: {describe_running(folders)}\n")
        manager.ready()
        return 0
    try:
        daemon = Daemon(folders, ownership, settings, manager, console=console, by_service=by_service)
        return event_loop.run_to_end(daemon.live(), settings.loop_choice)
    finally:
        ownership.release()


class Daemon:
    """One run of the daemon, from its start to its end."""

    def __init__(
        self,
        folders: Folders,
        ownership: HomeOwnership,
        settings: Settings,
        manager: ServiceManager,
        *,
        console: bool,
        by_service: bool = False,
    ) -> None:
        self._by_service = by_service
        self._loop_choice = settings.loop_choice
        self._folders = folders
        self._ownership = ownership
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
        self._upkeep: HomeUpkeep
        self._reloader: Reloader
        self._loop_errors: LoopErrors
        self._open_listener: Listener | None = None

    async def live(self) -> int:
        """Recover, listen, wait for the order to stop, and shut down. The servers keep running."""
        running_loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        engine, store, listener = self.construct()
        ours = DaemonIdentity(self._me, self._instance_id, self._version, self._token, by_service=self._by_service)
        self._upkeep.begin(ours, self._stop.set)
        self._upkeep.also_check(self._loop_errors.look)
        running_loop.set_exception_handler(self._loop_errors)
        with event_loop.handling_signals(running_loop, self._stop.set, self._reloader.reload_on_signal):
            await self._serve(engine, store, listener)
        return 0

    def construct(self) -> tuple[Engine, FileStore, Listener]:
        """Construct everything that `live` runs. Nothing is begun, read or opened."""
        store = FileStore(self._folders.registry, file_replacer(), lambda: self._ownership.homes)
        engine = self._make_engine(store)
        self._me = engine.context.me
        events, records, lanes = engine.context.events, engine.context.records, engine.context.platform.lanes
        self._upkeep = HomeUpkeep(self._folders, self._ownership, events, records, self._log_file, watch_paths)
        self._reloader = Reloader(
            self._folders, self._settings, lanes, events, self._publish_again, engine.supervisor.follow_up_on_all
        )
        listener = self._make_listener(engine)
        self._loop_errors = LoopErrors(events, listener, partial(self._publish, listener), self._loop_choice)
        return engine, store, listener

    def close_log(self) -> None:
        """Close the log file, for a daemon that was only constructed. The next entry opens it again."""
        self._log_file.close()

    async def _serve(self, engine: Engine, store: FileStore, listener: Listener) -> None:
        events = engine.context.events
        events.publish(
            "daemon.starting",
            pid=self._me.pid,
            version=self._version,
            home=str(self._folders.home),
            event_loop=self._loop_choice.name,
            event_loop_reason=self._loop_choice.reason,
        )
        running_loop = asyncio.get_running_loop()
        await self._manager.begin(lambda: running_loop.call_soon_threadsafe(self._stop.set))
        await engine.context.platform.lanes.prepare()
        await engine.context.platform.lanes.do(engine.context.platform.marks.prepare)
        await engine.recovery.run(self._upkeep.load(store))
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
            self._loop_errors.close()
            self._upkeep.close()
            listener.begin_shutdown()
            await self._close(engine)
            await listener.close()
            await engine.context.platform.lanes.close()
            events.publish("daemon.stopped")
            endpoint.withdraw(self._folders.endpoint, self._instance_id)

    async def _close(self, engine: Engine) -> None:
        """Complete the operations that are running. If another daemon has the home, it takes them up instead."""
        if self._ownership.lost is None:
            await engine.supervisor.close(servers=self._with_servers)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOST_HOME_WAIT_S):
                await engine.supervisor.close(servers=False)

    def _make_engine(self, store: FileStore) -> Engine:
        platform = checked_platform(open_platform(raise_descriptor_limit()), self._ownership)
        me = platform.probe.identify(os.getpid())
        if me is None:
            raise OSError("the system tells nothing about the daemon's own process")
        site = Site(
            home_id=self._folders.home_id,
            logs=self._folders.logs,
            environments=self._settings.config.environments or self._folders.environments,
            variables={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
            discover=self._settings.config.discover,
        )
        return assemble(platform, CheckedStore(store, self._ownership), self._log, self._settings.catalog, me, site)

    def _make_listener(self, engine: Engine) -> Listener:
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
            event_loop=self._loop_choice.name,
            notes=lambda: self._notes(engine),
            reload=self._reloader.reload,
            shut_down=self._shut_down,
            variables=shell_variables.names_for_clients(context.variables),
        )
        views = Views(context, engine.inspector.reaper, engine.exit_watches, engine.ai_clients)
        logs = LogReader(context, self._folders.logs / LOG_NAME)
        methods = all_methods(engine, views, about, logs)
        all_connections = AllConnections(
            methods=methods,
            instance_id=self._instance_id,
            version=self._version,
            token=self._token,
            peers=context.platform.peers,
            log=self._log,
        )
        return Listener(all_connections, self._folders.socket)

    def _notes(self, engine: Engine) -> tuple[str, ...]:
        own_notes = (self._ownership.note, self._log_file.note, self._loop_choice.note, self._loop_errors.note)
        return (*(text for note in (*engine.notes, *own_notes) if (text := note())), *inherited.notes())

    def _publish(self, listener: Listener) -> None:
        self._upkeep.publish(listener.transports)

    def _publish_again(self) -> None:
        if self._open_listener is not None:
            self._upkeep.look()
            self._publish(self._open_listener)

    def _shut_down(self, *, servers: bool) -> None:
        self._with_servers = servers
        asyncio.get_running_loop().call_soon(self._stop.set)
