"""Servers that stand in the way of a request, or answer it: ours and foreign, and what may be done with them. Pure."""

from collections.abc import Mapping

from ..values import frozen
from .model import Occupant, Ports, ProcessIdentity, ServerRecord
from .pep440 import same
from .processes.owners import DeadOwner, LivingOwner, NoOwner, OwnerSeen, UnknownOwner
from .processes.proof import Held, Recognised, Stoppable, Unrecognised

MUTE_S = 30.0
"""A server that has not answered for this long is mute."""

MUTE_PROBES = 2


@frozen
class Use:
    """Who uses a server besides whoever asks. A count that is None cannot be told, and counts as use.

    `owners` are the names of those that are not proven dead; `leases` those of ours and of the server itself.
    """

    owners: tuple[str, ...] = ()
    leases: int | None = 0
    sessions: int | None = 0

    @property
    def reason(self) -> str | None:
        """Why it is in use, for people; None: it is not."""
        if self.owners:
            return f"it belongs to {', '.join(self.owners)}"
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
    """A process that no daemon of this home started, and that listens on a port of a kind.

    `process` listens; `root` is its launcher, or itself. `ports` are those that it has, by name. `other_home`: it
    belongs to another daemon. `stray`: it carries a launch token of ours that no row knows, so it may have owners that
    nobody remembers. `claimed`: why another home, or this one once, may need it. `by_client`: a bridge of an AI
    client has started it from our environment.
    """

    kind: str
    process: ProcessIdentity
    root: ProcessIdentity
    occupant: Occupant
    ports: Ports
    recognition: Recognised | Unrecognised
    version: str | None = None
    owner: OwnerSeen = NoOwner()
    leases: int | None = 0
    sessions: int | None = 0
    other_home: str | None = None
    stray: bool = False
    claimed: str | None = None
    by_client: bool = False

    def use(self, asker: ProcessIdentity | None) -> Use:
        """Who uses it besides the asker."""
        match self.owner:
            case LivingOwner(process) if process != asker:
                owners: tuple[str, ...] = (f"pid {process.pid}",)
            case UnknownOwner(reason):
                owners = (f"somebody: {reason}",)
            case _:
                owners = ()
        if self.claimed is not None:
            owners = (*owners, f"somebody: {self.claimed}")
        return Use(owners, self.leases, self.sessions)

    def stoppable(self) -> Stoppable | Held:  # noqa: PLR0911 (one for each case)
        """Whether it may be ended without a user naming it: recognised, and its owner proven dead."""
        if self.other_home is not None:
            return Held("it belongs to another godot-supervisor home")
        if isinstance(self.recognition, Unrecognised):
            return Held(self.recognition.reason)
        if self.claimed is not None:
            return Held(self.claimed)
        if self.stray:
            return Held("it may have owners that are not known")
        match self.owner:
            case DeadOwner(pid):
                return Stoppable(f"it is recognised, and its owner, pid {pid}, is dead")
            case LivingOwner(process):
                return Held(f"its owner, pid {process.pid}, lives")
            case UnknownOwner(reason):
                return Held(reason)
            case NoOwner():
                return Held("it has no owner that could be proven dead")


@frozen
class Silence:
    """For how long a server has not answered, and how often it was asked in vain."""

    seconds: float = 0.0
    probes: int = 0

    @property
    def mute(self) -> bool:
        """Whether it is more than slow."""
        return self.seconds >= MUTE_S and self.probes >= MUTE_PROBES


@frozen
class RivalServer:
    """A server of the wanted kind in a version that was not asked for, which stays where it is."""

    what: str
    version: str | None
    reason: str


def server_stoppable(record: ServerRecord, *, owners_dead: bool) -> Stoppable | Held:
    """Whether a server with a row may be ended without a user naming it. `owners_dead`: all that are known are."""
    if record.other_home is not None:
        return Held("it belongs to another godot-supervisor home")
    if not record.foreign and not record.owners_unknown:
        return Stoppable("this daemon's home spawned it")
    if record.owners_unknown:
        return Held("it may have owners that are not known")
    if record.ever_owned and owners_dead:
        return Stoppable("it is recognised, and every owner it ever had is dead")
    return Held("it was not started by this daemon, and no owner of it is proven dead")


def left_to_others(record: ServerRecord) -> str | None:
    """Why `stop --servers` leaves this one: it may have users that are not known here. None: it does not."""
    if record.by_client:
        return None
    if record.observed_only:
        return "it was only found: others started it"
    if record.foreign and record.owners_unknown:
        return "others started it, and it may have owners that are not known"
    return None


def compatible(wanted: str | None, version: str | None) -> bool:
    """Whether a server of this version will do."""
    return wanted is None or (version is not None and same(wanted, version))


ForeignServers = Mapping[int, ForeignServer]
"""By each port that they hold."""
