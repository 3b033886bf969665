"""The engine's values as messages of the protocol. Pure: everything shown is in the value."""

from ..core.model import Bridge, ClientName, EndedLaunch, Liveness, Occupant, Ownership, PassedOverPort, ServerRecord
from ..engine.housekeeping import BuildLeftover, ListedEnvironment
from ..engine.logs.excerpt import limit_tail
from ..engine.starting.port_report import PortFinding
from ..wire.messages.common import BridgeInfo, FailureInfo, OccupantInfo, Owner, RelocatedPort
from ..wire.messages.daemon import ExplainedPort
from ..wire.messages.environments import EnvironmentInfo, EnvironmentLeftover
from ..wire.messages.servers import EndedServer
from .client_views import client_name


def failure_info(record: ServerRecord) -> FailureInfo | None:
    """Return why a server has failed, or None if it has not."""
    failed = record.failure
    if failed is None:
        return None
    # A registry that an earlier release wrote can have longer excerpts of logs.
    return FailureInfo(failed.code, failed.message, failed.exit, limit_tail(failed.log_tail))


def version_source(record: ServerRecord) -> str | None:
    """Return what has chosen the version of a server, or None if another program started the server."""
    return None if record.chosen is None or record.foreign else record.chosen.source.value


def relocated_port(passed_over: PassedOverPort) -> RelocatedPort:
    """Return a port that was passed over."""
    return RelocatedPort(passed_over.port, _occupant_info(passed_over.occupant), passed_over.reason)


def ended_server(launch: EndedLaunch) -> EndedServer:
    """Return how a server has ended."""
    return EndedServer(
        id=launch.id,
        kind=launch.kind,
        version=launch.version,
        project=launch.project,
        launch=launch.launch,
        ports=launch.ports,
        url=launch.url,
        log=launch.log,
        since=launch.since,
        ended=launch.ended,
        how=launch.how,
        exit=launch.exit,
        by=launch.by,
        detail=launch.detail,
    )


def bridge_info(seen: Bridge) -> BridgeInfo:
    """Return a bridge of an AI client."""
    return BridgeInfo(seen.pid, seen.client, seen.client_pid)


def environment_info(kept: ListedEnvironment) -> EnvironmentInfo:
    """Return a private environment and what uses it."""
    found = kept.environment
    used_by = (*kept.named_by, *kept.used_by)
    return EnvironmentInfo(
        package=found.package,
        version=found.version,
        path=str(found.path),
        size=kept.size,
        used_by=used_by,
        id=found.key,
        installed=found.installed,
        broken=kept.broken,
    )


def environment_leftover(left: BuildLeftover) -> EnvironmentLeftover:
    """Return a folder that lies beside the private environments."""
    return EnvironmentLeftover(str(left.path), left.size, left.what, left.removable)


def explained_port(finding: PortFinding) -> ExplainedPort:
    """Return a port and what `server.ensure` would do about it."""
    return ExplainedPort(finding.port, _occupant_info(finding.occupant), finding.decision, finding.reason)


def owner_info(ownership: Ownership, liveness: Liveness, client: ClientName | None) -> Owner:
    """Return an owner of a server."""
    return Owner(ownership.editor, ownership.process.pid, liveness.value, ownership.leaving, client_name(client))


def _occupant_info(occupant: Occupant | None) -> OccupantInfo | None:
    if occupant is None:
        return None
    return OccupantInfo(occupant.pid, occupant.brief, occupant.user, occupant.since)
