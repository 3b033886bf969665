"""What a `server.ensure` comes down to: which server, in which version, for which project."""

from dataclasses import field

from ...core.foreign import RivalServer, compatible
from ...core.lifecycle import RUNNING
from ...core.model import (
    Chosen,
    Editor,
    Ports,
    ProcessIdentity,
    ServerRecord,
    Topology,
    VersionSource,
)
from ...errors import InvalidParams
from ...kinds.addon import AddonSeen
from ...kinds.kind import Kind
from ...kinds.stamp import moved
from ...kinds.versions import choose
from ...values import frozen
from ..state.context import EngineContext
from ..state.names import canonical_project, folder_name


@frozen
class EnsureRequest:
    """`server.ensure` as it was asked for. `engine_version` is the editor's, where it is known.

    `addon` is what the project's addon wants, None where it has none.
    """

    kind: str
    editor: Editor | None = None
    project: str | None = None
    version: str | None = None
    engine_version: str | None = None
    ports: Ports = field(default_factory=dict)
    request_id: str | None = None
    addon: AddonSeen | None = None


@frozen
class ResolvedRequest:
    """A resolved request.

    `required` is the version that must run, None: any. `version` is the one to start, None: the kind has no versions.
    `ports` are the only ones that will do; `first` is the set to try before others. `asker` is the
    process that it is for, `fresh` if that one owned nothing of the server before. `rivals` are servers of the kind in
    another version, that stay beside it. `chosen` is why it is this version, None for what others started.
    """

    kind: Kind
    server: str
    project: str | None
    required: str | None
    version: str | None
    ports: Ports = field(default_factory=dict)
    first: Ports | None = None
    asker: ProcessIdentity | None = None
    fresh: bool = True
    rival_servers: tuple[RivalServer, ...] = ()
    chosen: Chosen | None = None


def project_of(request: EnsureRequest) -> str | None:
    """Return the project that a request is for, also where its server is shared.

    Raises:
        InvalidParams: there is no such project.
    """
    return canonical_project(request.project) or (request.editor.project if request.editor else None)


def resolve(context: EngineContext, request: EnsureRequest) -> ResolvedRequest:
    """The demand behind a request.

    Raises:
        KindUnknown, InvalidParams, VersionConflict: there is none.
    """
    kind = context.catalog.get(request.kind)
    project = project_of(request)
    engine_version = request.engine_version or (request.editor.engine_version if request.editor else None)
    version, chosen = choose(kind, request.version, engine_version, request.addon)
    required = version if request.version or engine_version or chosen.source is VersionSource.ADDON else None
    if request.ports and set(request.ports) != set(kind.ports):
        raise InvalidParams(
            "ports", f"{kind.name} has the ports {', '.join(kind.ports) or 'none'}", hint="name them all"
        )
    if kind.topology is Topology.SHARED:
        project = None
    elif project is None:
        raise InvalidParams("project", f"{kind.name} has one server for each project", hint="pass --project")
    asker = request.editor.process if request.editor else None
    server = _id_for(context, kind, project, required, asker)
    record = context.records.servers.get(server)
    fresh = record is None or all(owner.process != asker for owner in record.owners)
    return ResolvedRequest(
        kind, server, project, required, version, request.ports, asker=asker, fresh=fresh, chosen=chosen
    )


def again(kind: Kind, record: ServerRecord) -> ResolvedRequest:
    """What a server that exists is started again with: the same version, and the same ports if they are free.

    Where its recipe has other ports now, it gets new ones. Where its version is not known, because it did not answer
    when it was found, it gets the one that its recipe has.
    """
    first = None if moved(record, kind) else record.ports
    version, chosen = record.version, record.chosen
    if version is None and kind.version is not None:
        version, chosen = choose(kind, None, chosen.engine if chosen else None, None)
    return ResolvedRequest(kind, record.id, record.project, record.version, version, first=first, chosen=chosen)


def of_kind(
    context: EngineContext, kind: Kind, project: str | None, asker: ProcessIdentity | None
) -> list[ServerRecord]:
    """The servers that could answer a demand, ours before those that were merely found.

    Nobody can tell which project a found one serves, but its very owner means it when it asks.
    """

    def fits(row: ServerRecord) -> bool:
        if row.kind != kind.name or row.other_home is not None:
            return False
        return row.project == project or (row.observed_only and any(owner.process == asker for owner in row.owners))

    rows = [row for row in context.records.servers.values() if fits(row)]
    return sorted(rows, key=lambda row: row.observed_only)


def free_id(context: EngineContext, base: str) -> str:
    """The id, or the first of those with a number that no server has."""
    name, number = base, 1
    while name in context.records.servers:
        number += 1
        name = f"{base}-{number}"
    return name


def base_id(kind: Kind, project: str | None) -> str:
    """The id of the first server of a kind, for a project or for all."""
    return kind.name if project is None else f"{kind.name}@{folder_name(project)}"


def _id_for(
    context: EngineContext,
    kind: Kind,
    project: str | None,
    required: str | None,
    asker: ProcessIdentity | None,
) -> str:
    """One that runs in a version that will do; else one that is to make room for it; else a new one."""
    rows = of_kind(context, kind, project, asker)
    fit = [row for row in rows if compatible(required, row.version)]
    running = [row for row in fit if row.state in RUNNING]
    chosen = next(iter(running or fit or rows), None)
    return free_id(context, base_id(kind, project)) if chosen is None else chosen.id
