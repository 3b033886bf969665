"""`ports.explain`: which process holds a port, and what `core.reconcile` would do about it. Changes nothing."""

from collections.abc import Sequence
from functools import partial

from ...core.foreign import ConflictingServer, compatible
from ...core.model import Occupant, PortFact, Ports, VersionChoice, VersionSource
from ...core.ports import obstacle
from ...core.reconcile import Adopt, LeaveAlone, Replace, ServerSpec, Snapshot, plan_for_foreign, reconcile
from ...errors import InvalidParams
from ...kinds.kind import Kind
from ...kinds.versions import choose_version
from ...values import frozen
from ..identification.recognise import Recogniser
from ..operations.shared_answers import SharedAnswers
from ..state.context import EngineContext
from ..state.names import canonical_project
from .planning import port_sets
from .versions.addon_versions import AddonVersions
from .versions.choice import first_ports, plugin_looks_text


@frozen
class PortFinding:
    """One port. `decision` is what a `server.ensure` would do about it: use, reuse, adopt, replace or relocate."""

    port: int
    occupant: Occupant | None
    decision: str
    reason: str


@frozen
class PortReport:
    """The ports of a kind, or those that were asked about.

    `version` is the one that a `server.ensure` would choose, `chosen` says why. Both are None if no kind was asked
    about. `notes` are for people.
    """

    ports: tuple[PortFinding, ...]
    version: str | None = None
    chosen: VersionChoice | None = None
    notes: tuple[str, ...] = ()


class PortReporter:
    """Answers `ports.explain`."""

    def __init__(self, context: EngineContext, recogniser: Recogniser, versions: AddonVersions) -> None:
        self._versions = versions
        self._context = context
        self._records = context.records
        self._recogniser = recogniser
        self._shared: SharedAnswers[PortReport] = SharedAnswers()

    async def explain(self, kind: str | None, ports: Sequence[int], project: str | None = None) -> PortReport:
        """Return a report on the ports of a kind, for a project if one is given, or on these ports.

        Equal questions at one time share one answer.

        Raises:
            KindUnknown, InvalidParams: there is nothing to explain, or no such project.
        """
        question = partial(self._report, kind, ports, project)
        return await self._shared.ask((kind, tuple(ports), project), question)

    async def _report(self, kind: str | None, ports: Sequence[int], project: str | None) -> PortReport:
        if kind is not None:
            return await self._report_kind(self._context.catalog.get(kind), canonical_project(project))
        return PortReport(tuple(await self._report_numbers(ports)))

    async def _report_kind(self, kind: Kind, project: str | None) -> PortReport:
        seen = await self._versions.read_addon(kind, project) if project is not None else None
        engine = await self._versions.read_engine(kind, project, seen) if project is not None else None
        version, chosen = choose_version(kind, None, engine, seen)
        required = version if chosen.source in {VersionSource.ADDON, VersionSource.ENGINE} else None
        findings = await self._report_sets(kind, port_sets(kind), required)
        ports = tuple(findings[port] for each in kind.ports.values() for port in each.numbers)
        notes = [chosen.passed_over] if chosen.passed_over else []
        first = [findings[port] for port in first_ports(kind).values()]
        held = [finding for finding in first if finding.decision == "relocate"]
        if seen is not None and held:
            notes.append(f"{plugin_looks_text(kind)}; port {held[0].port}: {held[0].reason}")
        return PortReport(ports, version, chosen, tuple(notes))

    async def _report_numbers(self, ports: Sequence[int]) -> list[PortFinding]:
        """Return the findings on these ports, in their order. Of several kinds with a port, the last one judges it."""
        if not ports:
            raise InvalidParams("kind", "name a kind, or ports", hint="godot-supervisor ports godot-ai")
        findings: dict[int, PortFinding] = {}
        for kind in self._context.catalog.kinds.values():
            sets = [wanted for wanted in port_sets(kind) if not set(ports).isdisjoint(wanted.values())]
            findings |= await self._report_sets(kind, sets) if sets else {}
        rest = [port for port in ports if port not in findings]
        facts = await self._context.platform.lanes.look(self._context.platform.ports.facts, rest) if rest else {}
        findings |= {port: self._report_of_no_kind(facts[port]) for port in rest}
        return [findings[port] for port in ports]

    async def _report_sets(
        self, kind: Kind, sets: Sequence[Ports], version: str | None = None
    ) -> dict[int, PortFinding]:
        """Return the findings on the ports of these port sets, by port. `version` is the required one, None for any."""
        numbers = {port for ports in sets for port in ports.values()}
        facts = await self._context.platform.lanes.look(self._context.platform.ports.facts, numbers) if numbers else {}
        foreign_servers = await self._recogniser.find_servers(kind, facts)
        snapshot = Snapshot(facts, self._records.reserved_ports(), foreign_servers)
        specs = [ServerSpec(kind.name, version, (ports,), topology=kind.topology) for ports in sets]
        return {port: self._report_port(spec, port, snapshot) for spec in specs for port in spec.wanted[0].values()}

    def _report_port(self, spec: ServerSpec, port: int, snapshot: Snapshot) -> PortFinding:
        fact = snapshot.ports[port]
        occupant = fact.listeners[0].occupant if fact.listeners else None
        if port in snapshot.reserved:
            return self._report_own(port, occupant, snapshot.reserved[port], spec.version)
        plan = reconcile(spec, snapshot)
        foreign_server = snapshot.foreign_servers.get(port)
        if isinstance(plan, Adopt | Replace) and foreign_server is not None:
            return PortFinding(port, occupant, type(plan).__name__.lower(), plan.reason)
        found = obstacle(port, fact, snapshot.reserved)
        if found is None:
            return self._report_free(port, spec.wanted[0], snapshot)
        why = plan_for_foreign(spec, foreign_server, snapshot.reserved) if foreign_server is not None else None
        reason = why.reason if isinstance(why, ConflictingServer | LeaveAlone) else None
        return PortFinding(port, found.occupant, "relocate", f"{found.reason}: {reason}" if reason else found.reason)

    def _report_free(self, port: int, ports: Ports, snapshot: Snapshot) -> PortFinding:
        """Return the finding on a free port. The ports of a set are used together, so none is of use if one is held."""
        held = [other for other in ports.values() if obstacle(other, snapshot.ports.get(other), snapshot.reserved)]
        if held:
            return PortFinding(port, None, "relocate", f"it is free, but {held[0]} goes with it and is held")
        return PortFinding(port, None, "use", "it is free")

    def _report_own(self, port: int, occupant: Occupant | None, server: str, version: str | None = None) -> PortFinding:
        """Return the finding on a recorded server's port. `version` is the required one, None if any version fits."""
        record = self._records.servers[server]
        if record.other_home is not None:
            return PortFinding(port, occupant, "relocate", "it belongs to another godot-supervisor home")
        if not compatible(version, record.version):
            reason = f"it is the port of {server} {record.version}, which makes room for {version} only while unused"
            return PortFinding(port, occupant, "relocate", reason)
        how = f", which another program started ({record.origin})" if record.foreign else ""
        return PortFinding(port, occupant, "reuse", f"it is the port of {server}{how}")

    def _report_of_no_kind(self, fact: PortFact) -> PortFinding:
        """Return the finding on a port that lies in no range of a kind."""
        reserved = self._records.reserved_ports()
        if fact.port in reserved:
            return self._report_own(
                fact.port, fact.listeners[0].occupant if fact.listeners else None, reserved[fact.port]
            )
        found = obstacle(fact.port, fact, {})
        if found is None:
            return PortFinding(fact.port, None, "use", "it is free")
        return PortFinding(fact.port, found.occupant, "relocate", found.reason)
