"""Judges whether a server is an orphan: by two samples, one grace period apart; any doubt keeps the server. Pure."""

from collections.abc import Sequence

from ..values import frozen
from .model import Liveness

SILENCE_S = 30.0
"""After this long without an answer, and with all owners dead, a server has no sessions and holds no leases."""

LATE_S = 5.0
"""A second sample later than this proves nothing, because the daemon or the machine was suspended in between.

Lateness counts once per suspicion, so that a daemon which always lags reaps later, but reaps.
"""


@frozen
class OwnerFact:
    """The state of an owner. `lingering`: it detached, and its linger time has not passed.

    `released`: that time has passed.
    """

    editor: str
    liveness: Liveness
    lingering: bool = False
    released: bool = False

    @property
    def holds(self) -> bool:
        """Whether this owner keeps the server."""
        return not self.released and self.liveness is not Liveness.DEAD


@frozen
class ServerSample:
    """A sample of one server, taken between `began` and `now`. Times are monotonic seconds; a count of None is unknown.

    `launch` and `generation` are those of the server's record: a later launch or a changed claim is another case.
    `grace_s` is the time between the two samples that make an orphan. `leases` are those that the daemon has granted,
    `server_leases` those that the server itself has granted. `silent_s`: how long the server has failed to answer while
    every owner was dead. `until_stopped`: it was requested without an owner. `idle_s`: after how long such a server, or
    one that never had an owner, counts as unused; 0: never. `hands_off`: why the daemon must not end it at all.
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
    server_leases: int | None
    sessions: int | None
    hands_off: str | None = None
    silent_s: float = 0.0
    idle_s: float = 0.0
    until_stopped: bool = False

    @property
    def ends_with_owners(self) -> bool:
        """Whether the server runs for its owners only."""
        return self.ever_owned and not self.until_stopped


@frozen
class Suspicion:
    """The first sample, remembered, of one launch and one set of claims.

    `renewed`: it replaces a suspicion whose second sample came too late.
    """

    launch: str
    generation: int
    since: float
    due: float
    renewed: bool = False


@frozen
class Keep:
    """The server is not an orphan.

    `watch_sessions`: only sessions or the server's own leases keep it, and no event reports their end.
    """

    reasons: tuple[str, ...]
    watch_sessions: bool = False


@frozen
class Suspect:
    """The server looks like an orphan; sample it again when the suspicion is due."""

    suspicion: Suspicion
    reasons: tuple[str, ...]


@frozen
class Reap:
    """Both samples show an orphan."""

    suspicion: Suspicion
    reasons: tuple[str, ...]


Verdict = Keep | Suspect | Reap


def judge(suspicion: Suspicion | None, seen: ServerSample) -> Verdict:
    """Return the verdict on one more sample."""
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


def _exempt(seen: ServerSample) -> str | None:
    if seen.hands_off is not None:
        return seen.hands_off
    if seen.owners_unknown:
        return "it may have unknown owners"
    if not seen.ends_with_owners and not seen.idle_s:
        return "it was requested without an owner" if seen.ever_owned else "it never had an owner"
    return None


def _same_case(suspicion: Suspicion, seen: ServerSample) -> bool:
    return (suspicion.launch, suspicion.generation) == (seen.launch, seen.generation)


def _holding(owner: OwnerFact) -> str:
    if owner.lingering:
        return f"{owner.editor} detached and may come back"
    return f"{owner.editor} is {owner.liveness}"


def _gone(owner: OwnerFact) -> str:
    return f"{owner.editor} has detached" if owner.released else f"{owner.editor} is dead"


def _claims(seen: ServerSample) -> tuple[str, ...]:
    """Return the claims that only the server or its connections can report."""
    silent = seen.silent_s >= SILENCE_S
    claims = []
    if seen.server_leases is None and not silent:
        claims.append("its leases are unknown")
    if seen.server_leases:
        claims.append(f"leases: {seen.server_leases}")
    if seen.sessions is None and not silent:
        claims.append("its sessions are unknown")
    if seen.sessions:
        claims.append(f"open sessions: {seen.sessions}")
    return tuple(claims)
