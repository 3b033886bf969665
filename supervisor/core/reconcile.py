"""What to do about a request for a server, given what there is. Every plan carries its reason."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import field
from enum import StrEnum

from ..values import frozen
from .foreign import ForeignServer, ForeignServers, RivalServer, Silence, Use, compatible
from .model import Occupied, PortFact, Ports, ProcessIdentity, ServerRecord, Topology
from .ports import obstacle, obstacles
from .processes.owners import LivingOwner
from .processes.proof import Held, Stoppable, Unrecognised


class Answer(StrEnum):
    """What our own server said when it was asked who it is."""

    RIGHT = "right"
    WRONG = "wrong"
    MUTE = "mute"


@frozen
class ServerSpec:
    """A server as asked for. `version` is None where any will do; `wanted` are port sets, best first.

    `asker` is the process that will own it. A stranger serves a project that nobody can tell: in `per-editor` it will
    do only for the very process that owns it.
    """

    server: str
    version: str | None
    wanted: Sequence[Ports]
    explicit_ports: Ports = field(default_factory=dict)
    asker: ProcessIdentity | None = None
    topology: Topology = Topology.SHARED


@frozen
class OwnServer:
    """The server of that id, alive, how it answers, who uses it, and whether it may be ended without being named."""

    record: ServerRecord
    answer: Answer
    use: Use = Use()
    right: Stoppable | Held = Held("not looked at")
    silence: Silence = Silence()


@frozen
class Snapshot:
    """The facts about ports at one moment. `reserved` maps them to the servers that they are promised to.

    `own`: those of them that are promised to servers of ours. Where those are, no other process stands in the way.
    """

    ports: Mapping[int, PortFact] = field(default_factory=dict)
    reserved: Mapping[int, str] = field(default_factory=dict)
    foreign_servers: ForeignServers = field(default_factory=dict)
    own: AbstractSet[int] = frozenset()


@frozen
class Reuse:
    """It runs already."""

    record: ServerRecord
    reason: str = "it runs, answers, and will do"


@frozen
class Adopt:
    """Somebody else's server will do: look after it from now on."""

    foreign_server: ForeignServer
    reason: str


@frozen
class Replace:
    """End this one, and start another on its ports. The old one comes back if the new one does not become ready."""

    old: ServerRecord | ForeignServer
    ports: Ports
    reason: str
    proof: str


@frozen
class Spawn:
    """Start it on the ports that it likes best."""

    ports: Ports
    reason: str = "nothing holds these ports"


@frozen
class Relocate:
    """Start it on other ports: those it likes better are held. `rivals`: beside other versions of itself."""

    ports: Ports
    occupied: tuple[Occupied, ...]
    rival_servers: tuple[RivalServer, ...] = ()
    reason: str = "its preferred ports are in use"


class Refusal(StrEnum):
    """Why a request cannot be met."""

    PORTS_DIFFER = "ports differ"
    UNHEALTHY = "unhealthy"
    EXHAUSTED = "exhausted"


@frozen
class Refuse:
    """It cannot be done. `reason` is for people."""

    refusal: Refusal
    reason: str
    occupied: tuple[Occupied, ...] = ()


@frozen
class Beside:
    """The server of that id stays as it is; the request needs another one beside it."""

    rival_server: RivalServer


Plan = Adopt | Replace | Spawn | Relocate | Refuse


def reconcile(spec: ServerSpec, snapshot: Snapshot) -> Plan:
    """The plan for a server that does not run. `with_own` has it for one that does."""
    rival_servers: list[RivalServer] = []
    occupied: list[Occupied] = []
    for ports in untaken(spec.wanted, snapshot.own):
        plan = _with_set(spec, snapshot, ports, occupied, rival_servers)
        if plan is not None:
            return plan
    ours = [
        found
        for ports in spec.wanted
        for port in ports.values()
        if port in snapshot.own and (found := obstacle(port, snapshot.ports.get(port), snapshot.reserved))
    ]
    return Refuse(Refusal.EXHAUSTED, f"no free ports for {spec.server}", (*ours, *occupied))


def untaken(wanted: Sequence[Ports], own: AbstractSet[int]) -> list[Ports]:
    """The sets without a port that is promised to another server of ours: taking the next one is no relocation."""
    return [ports for ports in wanted if own.isdisjoint(ports.values())]


def with_own(spec: ServerSpec, own: OwnServer) -> Reuse | Replace | Refuse | Beside:
    """What becomes of the server that has the wanted id."""
    record = own.record
    if record.other_home is not None:
        return Beside(RivalServer(record.id, record.version, "it belongs to another godot-supervisor home"))
    if any(record.ports.get(name) != port for name, port in spec.explicit_ports.items()):
        held = ", ".join(f"{name} {port}" for name, port in record.ports.items())
        return Refuse(Refusal.PORTS_DIFFER, f"{record.id} runs on other ports ({held})")
    if not compatible(spec.version, record.version):
        return _another_version(spec, own)
    if own.answer is Answer.RIGHT:
        return Reuse(record)
    return _unhealthy(own)


def _another_version(spec: ServerSpec, own: OwnServer) -> Replace | Beside:
    record = own.record
    in_use = own.use.reason
    if in_use is not None:
        return Beside(RivalServer(record.id, record.version, in_use))
    if isinstance(own.right, Held):
        return Beside(RivalServer(record.id, record.version, own.right.reason))
    reason = f"{record.id} runs version {record.version}, asked for {spec.version}, and nobody else uses it"
    return Replace(record, record.ports, reason, own.right.reason)


def _unhealthy(own: OwnServer) -> Replace | Refuse:
    """One that is slow because it works is never taken from those who use it."""
    record = own.record
    if own.silence.mute and own.use.reason is None and isinstance(own.right, Stoppable):
        reason = f"{record.id} has not answered for {own.silence.seconds:.0f} s, and nobody else uses it"
        return Replace(record, record.ports, reason, own.right.reason)
    why = f": {own.use.reason}" if own.use.reason else ""
    return Refuse(Refusal.UNHEALTHY, f"{record.id} is running but does not answer as {record.kind}{why}")


def _with_set(
    spec: ServerSpec, snapshot: Snapshot, ports: Ports, occupied: list[Occupied], rival_servers: list[RivalServer]
) -> Plan | None:
    """The plan for one set of ports; None: it is passed over, and what stands there is added to the lists."""
    free = not (found := obstacles(ports, snapshot.ports, snapshot.reserved))
    if free:
        if not occupied and not rival_servers:
            return Spawn(ports)
        beside = f"; beside {rival_servers[0].what}: {rival_servers[0].reason}" if rival_servers else ""
        return Relocate(ports, tuple(occupied), tuple(rival_servers), f"its preferred ports are in use{beside}")
    for foreign_server in _foreign_servers(ports, snapshot):
        plan = with_stranger(spec, foreign_server, snapshot.reserved)
        if isinstance(plan, Adopt | Replace):
            return plan
        if isinstance(plan, RivalServer):
            rival_servers.append(plan)
    occupied += found
    return None


def _foreign_servers(ports: Ports, snapshot: Snapshot) -> list[ForeignServer]:
    found: list[ForeignServer] = []
    for port in ports.values():
        foreign_server = snapshot.foreign_servers.get(port)
        if foreign_server is not None and port not in snapshot.reserved and foreign_server not in found:
            found.append(foreign_server)
    return found


def with_stranger(  # noqa: PLR0911 (one for each case)
    spec: ServerSpec, foreign_server: ForeignServer, reserved: Mapping[int, str]
) -> Adopt | Replace | RivalServer | str:
    """What becomes of a stranger on a wanted port. A text: it is none of our business, and why."""
    if isinstance(foreign_server.recognition, Unrecognised):
        return foreign_server.recognition.reason
    if foreign_server.other_home is not None:
        return "it belongs to another godot-supervisor home"
    if not reserved.keys().isdisjoint(foreign_server.ports.values()):
        return "some of its ports are promised to another server"
    if spec.explicit_ports and dict(spec.explicit_ports) != dict(foreign_server.ports):
        return "it is on other ports than those asked for"
    if spec.topology is Topology.PER_EDITOR and not _its_own(spec, foreign_server):
        return "nobody can tell which project it serves"
    if compatible(spec.version, foreign_server.version):
        version = f" {foreign_server.version}" if foreign_server.version else ""
        what = f"{foreign_server.kind}{version} of pid {foreign_server.process.pid}"
        return Adopt(foreign_server, f"{what} will do: {foreign_server.recognition.reason}")
    return _other_strangers_version(spec, foreign_server)


def _other_strangers_version(spec: ServerSpec, foreign_server: ForeignServer) -> Replace | RivalServer:
    what = f"{foreign_server.kind} of pid {foreign_server.process.pid}"
    in_use = foreign_server.use(spec.asker).reason
    if in_use is not None:
        return RivalServer(what, foreign_server.version, in_use)
    right = foreign_server.stoppable()
    if isinstance(right, Held):
        return RivalServer(what, foreign_server.version, right.reason)
    reason = f"{what} runs version {foreign_server.version}, asked for {spec.version}, and nobody uses it"
    return Replace(foreign_server, foreign_server.ports, reason, right.reason)


def _its_own(spec: ServerSpec, foreign_server: ForeignServer) -> bool:
    return isinstance(foreign_server.owner, LivingOwner) and foreign_server.owner.process == spec.asker
