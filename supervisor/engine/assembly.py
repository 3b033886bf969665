"""The construction of an engine. No other module constructs its parts or sets their callbacks."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ..core.model import ProcessIdentity
from ..kinds.catalog import Catalog
from ..native.api import Platform
from ..values import frozen
from .attachments import Attachments
from .claims.ai_clients import AiClients
from .claims.calls.changes import CallChanges
from .claims.calls.tool_calls import ToolCalls
from .claims.editors import Editors
from .claims.leases import Leases
from .claims.registration import Registrar
from .ending.automatic_restart import AutomaticRestarter
from .ending.reap import Reaper
from .ending.replace import Replacer
from .ending.requested_restart import RequestedRestarter
from .ending.sampling import Sampler
from .ending.shutdown import Shutdown
from .ending.termination import Termination
from .ensuring import Ensurer
from .environments.private_environments import Environments
from .housekeeping import Housekeeping
from .identification.health import Health
from .identification.queries import OVER_LOOPBACK, ServerQueries
from .identification.recognise import Recogniser
from .identification.server_client import ServerClient
from .identification.snapshot import SnapshotReader
from .logs.cap import LogCap
from .monitor import Monitor
from .operations.coordinator import Operations
from .operations.known_requests import KnownRequests
from .processes.spawn import Spawner
from .processes.stop import Stopper
from .recovery.rebuild import Rebuilder
from .recovery.recover import Recovery
from .starting.adopt import Adopter
from .starting.discover import Discovery
from .starting.launch import Launches
from .starting.placement import Placement
from .starting.planning import Planner
from .starting.port_report import PortReporter
from .starting.rehearsal import Rehearsal
from .starting.reuse import Reuser
from .starting.start import Starter
from .starting.takeover import Takeover
from .state.context import TOKEN_VARIABLE, EngineContext
from .state.events import Events, Log
from .state.exit_watches import ExitWatches
from .state.randomness import SYSTEM_RANDOM, RandomSource
from .state.records import Records
from .state.registry_writer import Store
from .state.standing import Standing
from .supervisor import Inspector, Supervisor


@frozen
class Engine:
    """The parts of an engine that the daemon uses. Each of `notes` returns a note for users, None if it has none."""

    context: EngineContext
    recovery: Recovery
    supervisor: Supervisor
    inspector: Inspector
    requests: KnownRequests
    attachments: Attachments
    ai_clients: AiClients
    call_changes: CallChanges
    exit_watches: ExitWatches
    housekeeping: Housekeeping
    notes: tuple[Callable[[], str | None], ...]


@frozen
class Site:
    """Where an engine works. `environments`: the folder of private environments. `variables`: environment variables.

    `discover` says how to treat servers that other programs started: watch, observe or off.
    """

    home_id: str
    logs: Path
    environments: Path
    variables: Mapping[str, str]
    discover: str = "off"


def assemble(
    platform: Platform,
    store: Store,
    log: Log,
    catalog: Catalog,
    me: ProcessIdentity,
    site: Site,
    queries: ServerQueries = OVER_LOOPBACK,
    random: RandomSource = SYSTEM_RANDOM,
) -> Engine:
    """Put an engine together. Nothing runs yet, and nothing is read.

    `queries` sends questions to servers; `random` makes ids. Tests hand in others.
    """
    events = Events(log, platform.clock)
    records = Records(store, events)
    stopper = Stopper(platform, records, events, me, TOKEN_VARIABLE)
    environments = Environments(site.environments, platform, stopper.stop_child, variables=site.variables)
    context = EngineContext(
        platform=platform,
        records=records,
        events=events,
        catalog=catalog,
        environments=environments,
        home_id=site.home_id,
        me=me,
        logs=site.logs,
        variables=site.variables,
        discover=site.discover,
        random=random,
    )
    server_client = ServerClient(context, queries)
    recogniser = Recogniser(context, server_client)
    snapshot_reader = SnapshotReader(context, server_client, recogniser)
    planner = Planner(context, snapshot_reader)
    takeover = Takeover(context, server_client)
    exit_watches = ExitWatches(platform.exits)
    sampler = Sampler(context, server_client, exit_watches)
    reaper = Reaper(context, sampler, exit_watches)
    spawner = Spawner(context)
    starter = Starter(context, server_client, planner, takeover, Launches(context, server_client, spawner, stopper))
    rehearsal = Rehearsal(context, planner, starter, spawner)
    automatic_restarter = AutomaticRestarter(context, starter)
    standing = Standing(context)
    operations = Operations(platform.clock, events)
    editors = Editors(context, exit_watches)
    registrar = Registrar(context, exit_watches)
    leases = Leases(context, operations)
    termination = Termination(context, standing, stopper, server_client, reaper, automatic_restarter)
    placement = Placement(context, planner, snapshot_reader, standing, operations)
    discovery = Discovery(context, recogniser, takeover)
    tool_calls = ToolCalls(context)
    log_cap = LogCap(platform.files, platform.clock, events)
    health = Health(context, operations, server_client)
    monitor = Monitor(
        context=context,
        operations=operations,
        editors=editors,
        starter=starter,
        termination=termination,
        standing=standing,
        automatic_restarter=automatic_restarter,
        reaper=reaper,
        exit_watches=exit_watches,
        log_cap=log_cap,
        health=health,
    )
    ensuring = Ensurer(
        context=context,
        operations=operations,
        placement=placement,
        registrar=registrar,
        reuser=Reuser(context, planner, takeover),
        starter=starter,
        replacer=Replacer(context, planner, starter, rehearsal, termination, takeover),
        takeover=takeover,
        termination=termination,
        automatic_restarter=automatic_restarter,
        standing=standing,
        monitor=monitor,
    )
    supervisor = Supervisor(
        context=context,
        operations=operations,
        editors=editors,
        registrar=registrar,
        ensuring=ensuring,
        adopter=Adopter(context, recogniser, takeover),
        requested_restarter=RequestedRestarter(context, rehearsal, termination, starter, placement.versions),
        termination=termination,
        shutdown=Shutdown(context, operations, discovery, termination),
        monitor=monitor,
        discovery=discovery,
    )
    inspector = Inspector(
        context=context,
        monitor=monitor,
        reaper=reaper,
        health=health,
        versions=placement.versions,
        discovery=discovery,
        port_reporter=PortReporter(context, recogniser, placement.versions),
    )
    # The monitor follows up on these events, and starts the daemon's own operations.
    operations.on_ended = monitor.operation_ended
    automatic_restarter.on_due = monitor.follow_up
    reaper.on_orphan = monitor.request_reap
    reaper.on_living_owner = monitor.watch_owner
    sampler.on_answered = health.record_answer
    registrar.on_unregistered = monitor.follow_up
    discovery.on_found = monitor.server_found
    leases.on_expired = monitor.follow_up
    events.subscribe(tool_calls.note_event)
    return Engine(
        context=context,
        recovery=Recovery(context, Rebuilder(context, server_client)),
        supervisor=supervisor,
        inspector=inspector,
        requests=KnownRequests(operations, events),
        attachments=Attachments(context, editors, leases, monitor, tool_calls),
        ai_clients=AiClients(context, tool_calls),
        call_changes=tool_calls.changes,
        exit_watches=exit_watches,
        housekeeping=Housekeeping(context),
        notes=(platform.exits.note, platform.files.note, platform.marks.note, log_cap.note, records.note),
    )
