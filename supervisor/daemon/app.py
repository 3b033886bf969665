"""The daemon, put together: the one place that constructs things."""

import asyncio
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ..client import endpoint
from ..client.endpoint import Endpoint, ProtocolRange
from ..config import Config, load, naming
from ..control.door import Door
from ..control.listener import Listener
from ..control.methods import About, Methods
from ..control.views import Views
from ..core.model import ProcessIdentity
from ..engine.adopt import Adopter
from ..engine.claims import Claims
from ..engine.discover import Discovery
from ..engine.editors import Editors
from ..engine.endings import Endings
from ..engine.ensure import Ensurer
from ..engine.environments import Environments
from ..engine.events import Events, Log
from ..engine.explain import Explainer
from ..engine.facilities import TOKEN_VARIABLE, Facilities
from ..engine.flights import Flights
from ..engine.followup import Followup
from ..engine.health import Health
from ..engine.housekeeping import Housekeeping
from ..engine.inquiry import Inquiry
from ..engine.launch import Launcher
from ..engine.leases import Leases
from ..engine.logcap import LogCap
from ..engine.logtail import LogTail
from ..engine.placement import Placement
from ..engine.planning import Planner
from ..engine.reap import Reaper
from ..engine.rebuild import Rebuilder
from ..engine.recognise import Recogniser
from ..engine.records import Records, Store
from ..engine.recover import Recovery
from ..engine.rehearsal import Rehearsal
from ..engine.relaunch import Relauncher
from ..engine.replace import Replacer
from ..engine.restart import Restarter
from ..engine.snapshot import Gatherer
from ..engine.spawner import Spawner
from ..engine.stop import Stopper
from ..engine.supervisor import Strangers, Supervisor
from ..engine.takeover import Takeover
from ..engine.watcher import Watcher
from ..errors import StateNotWritable, SupervisorError
from ..frozen import frozen
from ..kinds.catalog import Catalog
from ..native import inherited
from ..native.api import Wing
from ..native.facts import Folders
from ..native.services import Nobody, ServiceManager
from ..native.wing import file_replacer, open_wing, raise_descriptor_limit
from ..registry.store import FileStore
from ..wire.messages.session import PROTOCOL_MAX, PROTOCOL_MIN
from . import loop, version
from .instance import MOMENT_S, Instance, own_home, who_runs
from .logs import LOG_NAME, LogFile, open_log
from .mending import Mender


@frozen
class Engine:
    """The engine, put together on one platform wing."""

    facilities: Facilities
    recovery: Recovery
    supervisor: Supervisor
    claims: Claims
    watcher: Watcher
    housekeeping: Housekeeping
    notes: tuple[Callable[[], str | None], ...]


@frozen
class Site:
    """Where an engine works. `environments`: the folder of private environments. `environment`: variables.

    `discover`: whether servers that others started are looked for.
    """

    home_id: str
    logs: Path
    environments: Path
    environment: Mapping[str, str]
    discover: str = "off"


def assemble(wing: Wing, store: Store, log: Log, catalog: Catalog, me: ProcessIdentity, site: Site) -> Engine:
    """Put an engine together. Nothing runs yet, and nothing is read."""
    events = Events(log, wing.clock)
    records = Records(store, events)
    stopper = Stopper(wing, records, events, me, TOKEN_VARIABLE)
    environments = Environments(
        site.environments, wing.processes, wing.exits, wing.probe, stopper.stop_child, environment=site.environment
    )
    facilities = Facilities(
        wing=wing,
        records=records,
        events=events,
        catalog=catalog,
        environments=environments,
        home_id=site.home_id,
        me=me,
        logs=site.logs,
        environment=site.environment,
        discover=site.discover,
    )
    inquiry = Inquiry(facilities)
    recogniser = Recogniser(facilities)
    gatherer = Gatherer(facilities, inquiry, recogniser)
    planner = Planner(facilities, gatherer)
    takeover = Takeover(facilities, inquiry, recogniser)
    reaper = Reaper(facilities, inquiry)
    spawner = Spawner(facilities)
    ensurer = Ensurer(facilities, inquiry, planner, takeover, Launcher(facilities, inquiry, spawner, stopper), stopper)
    rehearsal = Rehearsal(facilities, planner, ensurer, spawner)
    restarter = Restarter(facilities, ensurer)
    flights = Flights(wing.clock, events)
    editors = Editors(facilities)
    endings = Endings(facilities, stopper, inquiry, reaper, restarter)
    relauncher = Relauncher(facilities, rehearsal, endings, restarter, ensurer)
    log_cap = LogCap(wing.files, wing.clock, events)
    health = Health(facilities, flights, inquiry)
    watcher = Watcher(wing.exits)
    followup = Followup(facilities, flights, editors, ensurer, endings, restarter, reaper, watcher, log_cap, health)
    strangers = Strangers(
        Placement(facilities, planner, gatherer, endings, flights),
        Replacer(facilities, planner, ensurer, rehearsal, endings, restarter, takeover),
        Adopter(facilities, recogniser, takeover),
        Discovery(facilities, recogniser, takeover),
        Explainer(facilities, recogniser),
    )
    supervisor = Supervisor(
        facilities, flights, editors, ensurer, relauncher, endings, restarter, reaper, followup, health, strangers
    )
    claims = Claims(facilities, editors, Leases(facilities, flights), followup)
    recovery = Recovery(facilities, Rebuilder(facilities, inquiry))
    notes = (wing.exits.note, wing.files.note, log_cap.note, records.note)
    return Engine(facilities, recovery, supervisor, claims, watcher, Housekeeping(facilities), notes)


def run(folders: Folders, *, console: bool, manager: ServiceManager | None = None) -> int:
    """Be the daemon of a home until told to stop. The exit status. `manager`: who looks after it, if anybody does.

    Raises:
        ConfigInvalid: the configuration cannot be used.
        NotOurs, StateNotWritable: the home folder cannot be used.
    """
    inherited.begin_daemon()
    manager = manager or Nobody()
    config = load(folders.config, os.environ)
    choice = loop.choose(config)
    with naming(folders.config):
        catalog = Catalog.build(config.kinds)
    instance = Instance(folders.lock)
    try:
        own_home(folders.home)
        taken = instance.take(MOMENT_S)
    except OSError as error:
        raise StateNotWritable(f"the home folder cannot be used: {error}", hint="make it a folder of yours") from error
    if not taken:
        sys.stdout.write(f"already running: {who_runs(folders)}\n")
        manager.ready()
        return 0
    instance.sign()
    try:
        return loop.run(Daemon(folders, config, catalog, manager, choice, console=console).live(), choice)
    finally:
        instance.release()


class Daemon:
    """One life of the daemon."""

    def __init__(
        self,
        folders: Folders,
        config: Config,
        catalog: Catalog,
        manager: ServiceManager,
        choice: loop.Choice,
        *,
        console: bool,
    ) -> None:
        self._loop = choice
        self._folders = folders
        self._config = config
        """What it was started with: some of it holds until it goes."""
        self._catalog = catalog
        self._manager = manager
        self._log_file = LogFile(folders.logs)
        self._log = open_log(self._log_file, config.log_level, console=console)
        self._instance_id = secrets.token_hex(8)
        self._token = secrets.token_urlsafe(32)
        self._version = version.installed()
        self._with_servers = False
        self._stop: asyncio.Event
        self._me: ProcessIdentity
        self._mender: Mender
        self._open_listener: Listener | None = None

    async def live(self) -> int:
        """Recover, open the door, wait to be told, and leave in order. The servers live on."""
        running_loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        store = FileStore(self._folders.registry, file_replacer())
        engine = self._engine(store)
        self._me = engine.facilities.me
        listener = self._listener(engine)
        events = engine.facilities.events
        self._mender = Mender(events, listener, partial(self._publish, listener), self._loop)
        running_loop.set_exception_handler(self._mender)
        with loop.heeding(running_loop, self._stop.set, partial(self._reload_quietly, engine)):
            await self._serve(engine, store, listener)
        return 0

    async def _serve(self, engine: Engine, store: FileStore, listener: Listener) -> None:
        events = engine.facilities.events
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
        await engine.recovery.run(store.load())
        engine.supervisor.begin()
        engine.claims.begin()
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
            listener.begin_shutdown()
            await engine.supervisor.close(servers=self._with_servers)
            await listener.close()
            events.publish("daemon.stopped")
            endpoint.withdraw(self._folders.endpoint, self._instance_id)

    def _engine(self, store: FileStore) -> Engine:
        wing = open_wing(raise_descriptor_limit())
        me = wing.probe.identify(os.getpid())
        if me is None:
            raise OSError("the system does not tell about this very process")
        site = Site(
            home_id=self._folders.home_id,
            logs=self._folders.logs,
            environments=self._config.environments or self._folders.environments,
            environment={name: value for name, value in os.environ.items() if name != TOKEN_VARIABLE},
            discover=self._config.discover,
        )
        return assemble(wing, store, self._log, self._catalog, me, site)

    def _listener(self, engine: Engine) -> Listener:
        facilities = engine.facilities
        about = About(
            pid=facilities.me.pid,
            instance_id=self._instance_id,
            version=self._version,
            started_at=facilities.wing.clock.wall(),
            home=str(self._folders.home),
            event_loop=self._loop.name,
            notes=lambda: self._notes(engine),
            reload=lambda: self._reload(engine),
            shut_down=self._shut_down,
        )
        views = Views(facilities, engine.supervisor.reaper, engine.watcher)
        logs = LogTail(facilities, self._folders.logs / LOG_NAME)
        methods = Methods(engine.supervisor, engine.claims, facilities, views, about, logs, engine.housekeeping)
        door = Door(
            verbs=methods.table(),
            instance_id=self._instance_id,
            version=self._version,
            token=self._token,
            peers=facilities.wing.peers,
            log=self._log,
        )
        return Listener(door, self._folders.socket)

    def _notes(self, engine: Engine) -> tuple[str, ...]:
        notes = (*engine.notes, self._log_file.note, self._loop.note, self._mender.note)
        return (*(told for note in notes if (told := note())), *inherited.notes())

    def _publish(self, listener: Listener) -> None:
        endpoint.publish(
            self._folders.endpoint,
            Endpoint(
                schema=1,
                pid=self._me.pid,
                start_token=self._me.start_token,
                instance_id=self._instance_id,
                version=self._version,
                protocol=ProtocolRange(PROTOCOL_MIN, PROTOCOL_MAX),
                token=self._token,
                transports=listener.transports,
            ),
        )

    def _reload(self, engine: Engine) -> tuple[str, ...]:
        """Publish the endpoint anew, and read the configuration. Settings that changed and wait for the next start.

        Raises:
            StateNotWritable: the endpoint cannot be published.
            ConfigInvalid: the configuration cannot be used; everything is as it was.
        """
        if self._open_listener is not None:
            try:
                self._publish(self._open_listener)
            except OSError as error:
                raise StateNotWritable(f"the endpoint cannot be published: {error}") from error
        config = load(self._folders.config, os.environ)
        loop.choose(config)
        with naming(self._folders.config):
            self._catalog.reload(config.kinds)
        lasting = ("log_level", "event_loop", "discover", "environments")
        waiting = tuple(f"daemon.{key}" for key in lasting if getattr(config, key) != getattr(self._config, key))
        engine.facilities.events.publish("daemon.reloaded", kinds=self._catalog.names(), waiting=waiting)
        engine.supervisor.look_again()
        return waiting

    def _reload_quietly(self, engine: Engine) -> None:
        """SIGHUP: nobody waits for an answer."""
        try:
            self._reload(engine)
        except SupervisorError as error:
            engine.facilities.events.warn("daemon.not_reloaded", reason=error.message)

    def _shut_down(self, servers: bool) -> None:  # noqa: FBT001 (the protocol's own flag)
        self._with_servers = servers
        asyncio.get_running_loop().call_soon(self._stop.set)
