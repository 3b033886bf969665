"""Resolves a `server.ensure`: which server, in which version, for which project. Starts nothing, and asks no server."""

from dataclasses import field

from ...core.foreign import ConflictingServer, compatible
from ...core.lifecycle import RUNNING
from ...core.model import (
    Editor,
    Ports,
    ProcessIdentity,
    ServerRecord,
    Topology,
    VersionChoice,
    VersionSource,
)
from ...errors import InvalidParams
from ...kinds.addon import AddonSeen
from ...kinds.kind import Kind
from ...kinds.stamp import has_moved_ports
from ...kinds.versions import choose_version
from ...values import frozen
from ..state.context import EngineContext
from ..state.names import canonical_project, folder_name


@frozen
class EnsureRequest:
    """`server.ensure` as it was asked for.

    `engine_version` is that of the editor, if it is known. `addon` is the version that the project's addon needs, None
    if the project has no addon.
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
    """The server that a request comes down to. `server` is its id, which may be new.

    `required` is the version that must run, None if any version fits. `version` is the version to start, None if the
    kind has no versions; `chosen` says why it was chosen, None for a foreign server. `explicit_ports` are the ports
    that the caller asked for, empty if none; `preferred_ports` are to be tried before others. `intended_owner` is the
    process that is to own the server, None if the request names no editor; `newly_owned`: it did not own this server
    before. `conflicting_servers` are servers of the kind in another version, which stay beside this one.
    """

    kind: Kind
    server: str
    project: str | None
    required: str | None
    version: str | None
    explicit_ports: Ports = field(default_factory=dict)
    preferred_ports: Ports | None = None
    intended_owner: ProcessIdentity | None = None
    newly_owned: bool = True
    conflicting_servers: tuple[ConflictingServer, ...] = ()
    chosen: VersionChoice | None = None


def project_of(request: EnsureRequest) -> str | None:
    """Return the project that a request is for, even if projects share the server; None if the request names none.

    Raises:
        InvalidParams: there is no such project.
    """
    return canonical_project(request.project) or (request.editor.project if request.editor else None)


def resolve(context: EngineContext, request: EnsureRequest) -> ResolvedRequest:
    """Resolve a request by the records as they are now. A server that fits is preferred to a new one.

    Raises:
        KindUnknown, InvalidParams, VersionConflict: no server can answer the request.
    """
    kind = context.catalog.get(request.kind)
    project = project_of(request)
    engine_version = request.engine_version or (request.editor.engine_version if request.editor else None)
    version, chosen = choose_version(kind, request.version, engine_version, request.addon)
    required = version if request.version or engine_version or chosen.source is VersionSource.ADDON else None
    if request.ports and set(request.ports) != set(kind.ports):
        raise InvalidParams(
            "ports", f"{kind.name} has the ports {', '.join(kind.ports) or 'none'}", hint="name them all"
        )
    if kind.topology is Topology.SHARED:
        project = None
    elif project is None:
        raise InvalidParams("project", f"{kind.name} has one server for each project", hint="pass --project")
    intended_owner = request.editor.process if request.editor else None
    server = _id_for(context, kind, project, required, intended_owner)
    record = context.records.servers.get(server)
    newly_owned = record is None or all(owner.process != intended_owner for owner in record.owners)
    return ResolvedRequest(
        kind,
        server,
        project,
        required,
        version,
        request.ports,
        intended_owner=intended_owner,
        newly_owned=newly_owned,
        chosen=chosen,
    )


def resolve_with_same_version(kind: Kind, record: ServerRecord) -> ResolvedRequest:
    """Return the request that starts an existing server again: in the same version, on the same ports if they are free.

    If the recipe has other ports now, the server gets new ones. If the version is unknown, because the server did not
    answer when it was found, the server gets the version of its recipe.
    """
    preferred = None if has_moved_ports(record, kind) else record.ports
    version, chosen = record.version, record.chosen
    if version is None and kind.version is not None:
        version, chosen = choose_version(kind, None, chosen.engine if chosen else None, None)
    return ResolvedRequest(
        kind, record.id, record.project, record.version, version, preferred_ports=preferred, chosen=chosen
    )


def records_that_could_answer(
    context: EngineContext, kind: Kind, project: str | None, intended_owner: ProcessIdentity | None
) -> list[ServerRecord]:
    """Return the records of the kind's servers that could answer a request, in any version, observed servers last.

    The project of an observed server is unknown, so such a server only answers the request of its own owner.
    """

    def could_answer(record: ServerRecord) -> bool:
        if record.kind != kind.name or record.other_home is not None:
            return False
        owned_by_intended_owner = any(owner.process == intended_owner for owner in record.owners)
        return record.project == project or (record.observed_only and owned_by_intended_owner)

    records = [record for record in context.records.servers.values() if could_answer(record)]
    return sorted(records, key=lambda record: record.observed_only)


def free_id(context: EngineContext, base: str) -> str:
    """Return an id that no server has: `base`, else `base-2`, `base-3` and so on."""
    name, number = base, 1
    while name in context.records.servers:
        number += 1
        name = f"{base}-{number}"
    return name


def base_id(kind: Kind, project: str | None) -> str:
    """Return the id of the first server of a kind: `kind`, or `kind@folder` if a project has its own server."""
    return kind.name if project is None else f"{kind.name}@{folder_name(project)}"


def _id_for(
    context: EngineContext,
    kind: Kind,
    project: str | None,
    required: str | None,
    intended_owner: ProcessIdentity | None,
) -> str:
    """Return the id of a running server that fits, else of one that fits, else of any of the kind, else a new id."""
    records = records_that_could_answer(context, kind, project, intended_owner)
    fitting = [record for record in records if compatible(required, record.version)]
    running = [record for record in fitting if record.state in RUNNING]
    found = next(iter(running or fitting or records), None)
    return free_id(context, base_id(kind, project)) if found is None else found.id
