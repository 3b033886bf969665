"""Whether a server is an orphan: two samples, one grace apart, and every doubt keeps it."""

from collections.abc import Sequence

from ..values import frozen
from .model import Liveness

SILENCE_S = 30.0
"""A server that has not answered for this long, with every owner dead, has no sessions and holds no leases."""

LATE_S = 5.0
"""A second sample later than this says nothing: the daemon or the machine stood still in between. That counts once for
a suspicion: a daemon that lags all the time reaps later, and reaps."""


@frozen
class OwnerFact:
    """One owner. `lingering`: it detached, and its linger has not passed. `released`: it has."""

    editor: str
    liveness: Liveness
    lingering: bool = False
    released: bool = False

    @property
    def holds(self) -> bool:
        """Whether it keeps the server."""
        return not self.released and self.liveness is not Liveness.DEAD


@frozen
class Observation:
    """One sample, taken between `began` and `now`. Times are monotonic seconds; None for a count: cannot tell.

    `leases` are those that we grant, `own_leases` those of the server itself. `silent_s`: for how long the server has
    failed to answer while every owner was dead. `until_stopped`: it was asked for without an owner. `idle_s`: after how
    long such a server, or one that never had an owner, counts as unused; 0: never. `hands_off`: why it
    is none of our business at all.
    """

    launch: str
    generation: int
    began: float
    now: float
    grace_s: float
    ever_owned: bool
    owners_unknown: bool
    owners: Sequence[OwnerFact]
    leases: int
    own_leases: int | None
    sessions: int | None
    hands_off: str | None = None
    silent_s: float = 0.0
    idle_s: float = 0.0
    until_stopped: bool = False

    @property
    def ends_with_owners(self) -> bool:
        """Whether it is there for its owners alone."""
        return self.ever_owned and not self.until_stopped


@frozen
class Suspicion:
    """The first sample, remembered. It speaks of one launch and one set of claims.

    `renewed`: it took the place of one whose second sample came too late.
    """

    launch: str
    generation: int
    since: float
    due: float
    renewed: bool = False


@frozen
class Keep:
    """Not an orphan. `watch_sessions`: only sessions or the server's own leases keep it, and nobody tells their end."""

    reasons: tuple[str, ...]
    watch_sessions: bool = False


@frozen
class Suspect:
    """Looks like an orphan; to be looked at again when the suspicion is due."""

    suspicion: Suspicion
    reasons: tuple[str, ...]


@frozen
class Reap:
    """Was and is an orphan."""

    suspicion: Suspicion
    reasons: tuple[str, ...]


Verdict = Keep | Suspect | Reap


def judge(suspicion: Suspicion | None, seen: Observation) -> Verdict:
    """The verdict on one more sample."""
    exempt = _exempt(seen)
    if exempt is not None:
        return Keep((exempt,))
    holding = [_holding(owner) for owner in seen.owners if owner.holds]
    if not holding and seen.leases:
        holding = [f"leases: {seen.leases}"]
    if holding:
        return Keep(tuple(holding))
    claims = _claims(seen)
    if claims:
        return Keep(claims, watch_sessions=True)
    owners = tuple(_gone(owner) for owner in seen.owners) or ("no owner",)
    reasons = (*owners, "no lease", "no session")
    same = suspicion is not None and _same_case(suspicion, seen)
    late = suspicion is not None and same and not suspicion.renewed and seen.began > suspicion.due + LATE_S
    if suspicion is None or not same or late:
        wait_s = seen.grace_s if seen.ends_with_owners else max(seen.grace_s, seen.idle_s)
        fresh = Suspicion(seen.launch, seen.generation, seen.now, seen.now + wait_s, renewed=late)
        return Suspect(fresh, reasons)
    if seen.began < suspicion.due:
        return Suspect(suspicion, reasons)
    return Reap(suspicion, reasons)


def _exempt(seen: Observation) -> str | None:
    if seen.hands_off is not None:
        return seen.hands_off
    if seen.owners_unknown:
        return "it may have owners that are not known"
    if not seen.ends_with_owners and not seen.idle_s:
        return "it was asked for without an owner" if seen.ever_owned else "it never had an owner"
    return None


def _same_case(suspicion: Suspicion, seen: Observation) -> bool:
    return (suspicion.launch, suspicion.generation) == (seen.launch, seen.generation)


def _holding(owner: OwnerFact) -> str:
    if owner.lingering:
        return f"{owner.editor} detached and may come back"
    return f"{owner.editor} is {owner.liveness}"


def _gone(owner: OwnerFact) -> str:
    return f"{owner.editor} has detached" if owner.released else f"{owner.editor} is dead"


def _claims(seen: Observation) -> tuple[str, ...]:
    """What only the server or its connections tell."""
    silent = seen.silent_s >= SILENCE_S
    claims = []
    if seen.own_leases is None and not silent:
        claims.append("its leases are unknown")
    if seen.own_leases:
        claims.append(f"leases: {seen.own_leases}")
    if seen.sessions is None and not silent:
        claims.append("its sessions are unknown")
    if seen.sessions:
        claims.append(f"open sessions: {seen.sessions}")
    return tuple(claims)
