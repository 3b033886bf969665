"""Judges servers that may be in the way of a request: who uses them, and whether they may be stopped. Pure."""

from collections.abc import Mapping

from ..values import frozen
from .model import Occupant, Ports, ProcessIdentity, ServerRecord
from .pep440 import matches
from .processes.owners import DeadOwner, ForeignOwner, LivingOwner, NoOwner, UnknownOwner
from .processes.proof import Held, Recognised, Stoppable, Unrecognised

UNRESPONSIVE_S = 30.0
"""A server that has not answered for this long, and as often as `UNRESPONSIVE_PROBES`, is unresponsive."""

UNRESPONSIVE_PROBES = 2


@frozen
class Use:
    """The users of a server other than the intended owner. A count of None is unknown and counts as use.

    `held_by` names for people what keeps the server: owners that are not proven dead, and another home that may need
    it. `leases` counts the daemon's leases and the server's own.
    """

    held_by: tuple[str, ...] = ()
    leases: int | None = 0
    sessions: int | None = 0

    @property
    def reason(self) -> str | None:
        """Why the server is in use, for people; None if it is not."""
        if self.held_by:
            return f"it belongs to {', '.join(self.held_by)}"
        if self.leases is None:
            return "its leases are unknown"
        if self.leases:
            return f"leases: {self.leases}"
        if self.sessions is None:
            return "its sessions are unknown"
        if self.sessions:
            return f"open sessions: {self.sessions}"
        return None


@frozen
class ForeignServer:
    """A process that listens on a port of a kind and that no daemon of this home started.

    `process` listens. `root` is its launcher, or the process itself. `ports` are the ports that it holds, by name.
    `recognition` says whether it is proven to be a server of this kind.
    `other_home` is the home whose launch token it carries, if that is another one: the server belongs to its daemon.
    `stray`: it carries a launch token of this home that no server record has, so it may have owners that no record
    names. `other_adoption`: why another home, or this one earlier, may need it.
    `started_by_bridge`: a bridge of an AI client has started it from this home's private environment.
    """

    kind: str
    process: ProcessIdentity
    root: ProcessIdentity
    occupant: Occupant
    ports: Ports
    recognition: Recognised | Unrecognised
    version: str | None = None
    owner: ForeignOwner = NoOwner()
    leases: int | None = 0
    sessions: int | None = 0
    other_home: str | None = None
    stray: bool = False
    other_adoption: str | None = None
    started_by_bridge: bool = False

    def use(self, intended_owner: ProcessIdentity | None) -> Use:
        """Return the users of the server other than the intended owner."""
        match self.owner:
            case LivingOwner(process) if process != intended_owner:
                held_by: tuple[str, ...] = (f"pid {process.pid}",)
            case UnknownOwner(reason):
                held_by = (f"an unknown owner: {reason}",)
            case _:
                held_by = ()
        if self.other_adoption is not None:
            held_by = (*held_by, f"another home: {self.other_adoption}")
        return Use(held_by, self.leases, self.sessions)

    def judge_stop(self) -> Stoppable | Held:  # noqa: PLR0911 (one for each case)
        """Return whether the daemon may stop the server without a user's request.

        Its kind and the death of its owner must be proven.
        """
        if self.other_home is not None:
            return Held("it belongs to another godot-supervisor home")
        if isinstance(self.recognition, Unrecognised):
            return Held(self.recognition.reason)
        if self.other_adoption is not None:
            return Held(self.other_adoption)
        if self.stray:
            return Held("it may have unknown owners")
        match self.owner:
            case DeadOwner(pid):
                return Stoppable(f"it is recognised, and its owner, pid {pid}, is dead")
            case LivingOwner(process):
                return Held(f"its owner, pid {process.pid}, lives")
            case UnknownOwner(reason):
                return Held(reason)
            case NoOwner():
                return Held("it has no owner whose death could be proven")


@frozen
class Outage:
    """How long a server has not answered, and how many probes have failed in that time."""

    seconds: float = 0.0
    probes: int = 0

    @property
    def unresponsive(self) -> bool:
        """Whether the outage is too long for a server that is only slow."""
        return self.seconds >= UNRESPONSIVE_S and self.probes >= UNRESPONSIVE_PROBES


@frozen
class ConflictingServer:
    """A server of the requested kind that can be neither used nor stopped, mostly because of its version."""

    what: str
    version: str | None
    reason: str


def judge_stop(record: ServerRecord, *, owners_dead: bool) -> Stoppable | Held:
    """Return whether a recorded server may be stopped without a user's request.

    A server that this home spawned may be stopped, unless it may have unknown owners. A foreign server may be stopped
    if it ever had an owner, and `owners_dead`: all its known owners are proven dead.
    """
    if record.other_home is not None:
        return Held("it belongs to another godot-supervisor home")
    if not record.foreign and not record.owners_unknown:
        return Stoppable("this daemon's home spawned it")
    if record.owners_unknown:
        return Held("it may have unknown owners")
    if record.ever_owned and owners_dead:
        return Stoppable("it is recognised, and every owner it ever had is dead")
    return Held("this daemon did not start it, and none of its owners is proven dead")


def left_to_others(record: ServerRecord) -> str | None:
    """Return why `stop --servers` leaves this server: it may have unknown users. None if it may be stopped."""
    if record.started_by_bridge:
        return None
    if record.observed_only:
        return "this daemon only found it; another program started it"
    if record.foreign and record.owners_unknown:
        return "another program started it, and it may have unknown owners"
    return None


def compatible(wanted: str | None, version: str | None) -> bool:
    """Return whether a server of this version fulfils a request for `wanted`."""
    return wanted is None or (version is not None and matches(wanted, version))


ForeignServers = Mapping[int, ForeignServer]
"""Foreign servers by each port that they hold."""
