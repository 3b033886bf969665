"""Plans how to fulfil a request for a server, given the facts. Every plan carries its reason. Pure.

`plan_for_running` plans for a server that runs already under the requested id. `reconcile` plans for all others, and
asks `plan_for_foreign`. Each has its rules in its docstring: the first rule that applies decides.
"""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from enum import StrEnum

from ..values import frozen
from .foreign import ConflictingServer, ForeignServer, ForeignServers, Outage, Use, compatible
from .model import PassedOverPort, PortFact, Ports, ProcessIdentity, ServerRecord, Topology
from .ports import obstacle, obstacles
from .processes.owners import LivingOwner
from .processes.proof import Held, Stoppable, Unrecognised


class Answer(StrEnum):
    """The answer of the daemon's own server when it was asked for its identity."""

    RIGHT = "right"
    WRONG = "wrong"
    NO_ANSWER = "no answer"


@frozen
class ServerSpec:
    """A requested server. `version` is None if any version is accepted; `wanted` are port sets, best first.

    `intended_owner` is the process that is to own it. No answer tells which project a foreign server serves, so a
    `per-editor` request accepts one only if the intended owner owns it already.
    """

    server: str
    version: str | None
    wanted: Sequence[Ports]
    explicit_ports: Ports = field(default_factory=dict)
    intended_owner: ProcessIdentity | None = None
    topology: Topology = Topology.SHARED


@frozen
class OwnServer:
    """The running server of the requested id: its answer, its users other than the intended owner, and its outage.

    `proof` says whether it may be stopped without a user's request.
    """

    record: ServerRecord
    answer: Answer
    use: Use = Use()
    proof: Stoppable | Held = Held("not looked at")
    outage: Outage = Outage()


@frozen
class Snapshot:
    """The facts about ports and foreign servers at one moment.

    `reserved` maps ports to the ids of the servers that they are promised to. `own_ports` are those of them whose
    servers the daemon looks after. A set with an own port is skipped and not looked at: a process that listens there is
    that server, so no other is in the way.
    """

    ports: Mapping[int, PortFact] = field(default_factory=dict)
    reserved: Mapping[int, str] = field(default_factory=dict)
    foreign_servers: ForeignServers = field(default_factory=dict)
    own_ports: AbstractSet[int] = frozenset()


@frozen
class Reuse:
    """The server runs already."""

    record: ServerRecord
    reason: str = "it runs, answers, and has a matching version"


@frozen
class Adopt:
    """A foreign server fulfils the request: manage it from now on."""

    foreign_server: ForeignServer
    reason: str


@frozen
class Replace:
    """Stop this server and start another on its ports. The old one is restored if the new one does not become ready."""

    old: ServerRecord | ForeignServer
    ports: Ports
    reason: str
    proof: str


@frozen
class Spawn:
    """Start the server on its preferred ports."""

    ports: Ports
    reason: str = "nothing holds these ports"


@frozen
class Relocate:
    """Start the server on other ports, because its preferred ones are held, perhaps by `conflicting_servers`."""

    ports: Ports
    occupied: tuple[PassedOverPort, ...]
    conflicting_servers: tuple[ConflictingServer, ...] = ()
    reason: str = "its preferred ports are in use"


class Refusal(StrEnum):
    """Why a request cannot be fulfilled."""

    PORTS_DIFFER = "ports differ"
    UNHEALTHY = "unhealthy"
    EXHAUSTED = "exhausted"


@frozen
class Refuse:
    """The request cannot be fulfilled. `reason` is for people."""

    refusal: Refusal
    reason: str
    occupied: tuple[PassedOverPort, ...] = ()


@frozen
class StartAnother:
    """Leave the server of that id as it is and start another one beside it."""

    conflicting_server: ConflictingServer


@frozen
class LeaveAlone:
    """A foreign server is no use for the request and no server of its kind to start beside. `reason` is for people."""

    reason: str


Plan = Adopt | Replace | Spawn | Relocate | Refuse


def reconcile(spec: ServerSpec, snapshot: Snapshot) -> Plan:
    """Return the plan for a server that does not run.

    For each set of ports that has no port of the daemon's other servers, best set first:

    1. Spawn: the ports are free, and no set was passed over. Relocate: they are free, and a set was.
    2. Adopt or Replace: `plan_for_foreign` says so of a foreign server that listens on one of the ports.
    3. Otherwise the set is passed over.

    Refuse if no set is left.
    """
    conflicting_servers: list[ConflictingServer] = []
    occupied: list[PassedOverPort] = []
    for ports in without_own_ports(spec.wanted, snapshot.own_ports):
        in_the_way = obstacles(ports, snapshot.ports, snapshot.reserved)
        if not in_the_way:
            return _start_on(ports, occupied, conflicting_servers)
        for foreign_server in _foreign_servers(ports, snapshot):
            plan = plan_for_foreign(spec, foreign_server, snapshot.reserved)
            if isinstance(plan, Adopt | Replace):
                return plan
            if isinstance(plan, ConflictingServer):
                conflicting_servers.append(plan)
        occupied += in_the_way
    own_obstacles = [
        found
        for ports in spec.wanted
        for port in ports.values()
        if port in snapshot.own_ports and (found := obstacle(port, snapshot.ports.get(port), snapshot.reserved))
    ]
    return Refuse(Refusal.EXHAUSTED, f"no free ports for {spec.server}", (*own_obstacles, *occupied))


def without_own_ports(wanted: Sequence[Ports], own_ports: AbstractSet[int]) -> list[Ports]:
    """Return the sets without a port of the daemon's other servers. Skipping such a set is not a relocation."""
    return [ports for ports in wanted if own_ports.isdisjoint(ports.values())]


def _start_on(
    ports: Ports, occupied: Sequence[PassedOverPort], conflicting_servers: Sequence[ConflictingServer]
) -> Spawn | Relocate:
    if not occupied and not conflicting_servers:
        return Spawn(ports)
    beside = f"; beside {conflicting_servers[0].what}: {conflicting_servers[0].reason}" if conflicting_servers else ""
    return Relocate(ports, tuple(occupied), tuple(conflicting_servers), f"its preferred ports are in use{beside}")


def _foreign_servers(ports: Ports, snapshot: Snapshot) -> list[ForeignServer]:
    found: list[ForeignServer] = []
    for port in ports.values():
        foreign_server = snapshot.foreign_servers.get(port)
        if foreign_server is not None and port not in snapshot.reserved and foreign_server not in found:
            found.append(foreign_server)
    return found


def plan_for_running(spec: ServerSpec, own: OwnServer) -> Reuse | Replace | Refuse | StartAnother:
    """Return what to do with the running server that has the requested id.

    1. Start another: it belongs to another home.
    2. Refuse: it runs on other ports than were explicitly requested.
    3. Its version does not fulfil the request. Start another: it is in use, or must not be stopped. Replace: otherwise.
    4. Reuse: it gives the right answer.
    5. Replace: it has not answered for long, has no other user, and may be stopped.
    6. Refuse: it runs, but does not answer as its kind.
    """
    record = own.record
    if record.other_home is not None:
        return StartAnother(ConflictingServer(record.id, record.version, "it belongs to another godot-supervisor home"))
    if any(record.ports.get(name) != port for name, port in spec.explicit_ports.items()):
        ports = ", ".join(f"{name} {port}" for name, port in record.ports.items())
        return Refuse(Refusal.PORTS_DIFFER, f"{record.id} runs on other ports ({ports})")
    if not compatible(spec.version, record.version):
        return _replace_or_start_another(spec, own)
    if own.answer is Answer.RIGHT:
        return Reuse(record)
    return _replace_or_refuse(own)


def _replace_or_start_another(spec: ServerSpec, own: OwnServer) -> Replace | StartAnother:
    """Return the plan for a running server of another version."""
    record = own.record
    in_use = own.use.reason
    if in_use is not None:
        return StartAnother(ConflictingServer(record.id, record.version, in_use))
    if isinstance(own.proof, Held):
        return StartAnother(ConflictingServer(record.id, record.version, own.proof.reason))
    reason = f"{record.id} runs version {record.version}, {spec.version} was requested, and it has no other user"
    return Replace(record, record.ports, reason, own.proof.reason)


def _replace_or_refuse(own: OwnServer) -> Replace | Refuse:
    """Return the plan for a running server without the right answer. It may be slow with the work of other users."""
    record = own.record
    if own.outage.unresponsive and own.use.reason is None and isinstance(own.proof, Stoppable):
        reason = f"{record.id} has not answered for {own.outage.seconds:.0f} s and has no other user"
        return Replace(record, record.ports, reason, own.proof.reason)
    why = f": {own.use.reason}" if own.use.reason else ""
    return Refuse(Refusal.UNHEALTHY, f"{record.id} is running but does not answer as {record.kind}{why}")


def plan_for_foreign(
    spec: ServerSpec, foreign_server: ForeignServer, reserved: Mapping[int, str]
) -> Adopt | Replace | ConflictingServer | LeaveAlone:
    """Return what to do with a foreign server on a wanted port.

    1. Leave alone: it is not recognised, belongs to another home, has a port that is promised to another server, or
       does not have exactly the ports that were explicitly requested.
    2. Leave alone: each project has a server of its own, and the intended owner does not own this one.
    3. Adopt: its version fulfils the request.
    4. Conflicting server: it is in use, or must not be stopped.
    5. Replace.
    """
    no_use = _why_no_use(spec, foreign_server, reserved)
    if no_use is not None:
        return LeaveAlone(no_use)
    if compatible(spec.version, foreign_server.version):
        version = f" {foreign_server.version}" if foreign_server.version else ""
        what = f"{foreign_server.kind}{version} of pid {foreign_server.process.pid}"
        return Adopt(foreign_server, f"{what} fulfils the request: {foreign_server.recognition.reason}")
    what = f"{foreign_server.kind} of pid {foreign_server.process.pid}"
    in_use = foreign_server.use(spec.intended_owner).reason
    if in_use is not None:
        return ConflictingServer(what, foreign_server.version, in_use)
    proof = foreign_server.judge_stop()
    if isinstance(proof, Held):
        return ConflictingServer(what, foreign_server.version, proof.reason)
    reason = f"{what} runs version {foreign_server.version}, {spec.version} was requested, and it has no user"
    return Replace(foreign_server, foreign_server.ports, reason, proof.reason)


def _why_no_use(spec: ServerSpec, foreign_server: ForeignServer, reserved: Mapping[int, str]) -> str | None:
    """Return why a foreign server is left alone, by the rules 1 and 2 of `plan_for_foreign`; None if it is not."""
    if isinstance(foreign_server.recognition, Unrecognised):
        return foreign_server.recognition.reason
    if foreign_server.other_home is not None:
        return "it belongs to another godot-supervisor home"
    if not reserved.keys().isdisjoint(foreign_server.ports.values()):
        return "some of its ports are promised to another server"
    if spec.explicit_ports and dict(spec.explicit_ports) != dict(foreign_server.ports):
        return "it does not use the requested ports"
    if spec.topology is Topology.PER_EDITOR and not _belongs_to_intended_owner(spec, foreign_server):
        return "it is not known which project it serves"
    return None


def _belongs_to_intended_owner(spec: ServerSpec, foreign_server: ForeignServer) -> bool:
    return isinstance(foreign_server.owner, LivingOwner) and foreign_server.owner.process == spec.intended_owner
