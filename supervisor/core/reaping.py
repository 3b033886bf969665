"""Judges whether a server is an orphan: by two samples, one grace period apart; any doubt keeps the server. Pure."""

from collections.abc import Sequence

from ..values import frozen
from .model import Liveness
from .processes.successors import Successor

SILENCE_S = 30.0
"""A server that has not answered for this long, and whose owners are all dead, counts as without sessions and leases.

Only the sessions and leases that the server itself would report are meant.
"""

LATE_S = 5.0
"""A second sample that begins later than this after it was due proves nothing: daemon or machine were suspended.

The suspicion is renewed then, but only once: a daemon that is always late reaps later, and does reap.
"""


@frozen
class OwnerFact:
    """The state of an owner. `editor` is its id.

    `lingering`: it has detached, and its linger time has not passed. `released`: it has detached, and that time has
    passed.
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
    """A sample of one server, taken between `began` and `ended`.

    Times are monotonic seconds; a count of None is unknown. `launch` and `generation` are those of the server's record:
    a later launch or a changed claim is another case. `grace_s` is the time between the two samples that make an
    orphan. `daemon_leases` are those that the daemon has granted, `server_leases` those that the server itself has
    granted. `silent_s`: how long the server has failed to answer while every owner was dead. `until_stopped`: it was
    requested without an owner. `idle_s`: after how long such a server, or one that never had an owner, counts as
    unused; 0: never. `exemption`: why the daemon must not end it at all. `successor`: an editor that is starting in the
    place of an owner; looked for if nothing else keeps the server.
    """

    launch: str
    generation: int
    began: float
    ended: float
    grace_s: float
    ever_owned: bool
    owners_unknown: bool
    owners: Sequence[OwnerFact]
    daemon_leases: int
    server_leases: int | None
    sessions: int | None
    exemption: str | None = None
    silent_s: float = 0.0
    idle_s: float = 0.0
    until_stopped: bool = False
    successor: Successor | None = None

    @property
    def ends_with_owners(self) -> bool:
        """Whether the server runs for its owners only."""
        return self.ever_owned and not self.until_stopped


@frozen
class Suspicion:
    """The first of the two samples that make an orphan, remembered until the second. Times are monotonic seconds.

    `since`: the first sample ended then. `due`: the second sample may begin then. `renewed`: this suspicion replaces
    one whose second sample came too late.
    """

    launch: str
    generation: int
    since: float
    due: float
    renewed: bool = False

    def concerns(self, sample: ServerSample) -> bool:
        """Return whether a sample shows the same launch with the same claims."""
        return (self.launch, self.generation) == (sample.launch, sample.generation)


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


def judge(suspicion: Suspicion | None, sample: ServerSample) -> Verdict:
    """Return the verdict on one more sample. `suspicion` is that of the last verdict, None if there was none.

    The first rule that applies decides:

    1. Keep: the server is exempt. The daemon must not end it, or nothing says when it is unused.
    2. Keep: an owner holds it; or, if no owner does, a lease that the daemon has granted.
    3. Keep, and watch its sessions: it has sessions or leases of its own, or their number is unknown.
    4. Keep: an editor is starting in the place of one of its owners.
    5. Suspect: no suspicion concerns this launch and these claims.
    6. Suspect, renewed: the sample began more than `LATE_S` after it was due, for the first time.
    7. Suspect, unchanged: the sample began before it was due.
    8. Reap.
    """
    return _keep(sample) or _suspect_or_reap(suspicion, sample)


def is_deserted(sample: ServerSample) -> bool:
    """Return whether nothing in this sample keeps the server."""
    return _keep(sample) is None


def _keep(sample: ServerSample) -> Keep | None:
    """Return what keeps the server, by the rules 1 to 4 of `judge`; None if nothing does."""
    exempt = _exempt(sample)
    if exempt is not None:
        return Keep((exempt,))
    holders = tuple(_why_it_holds(owner) for owner in sample.owners if owner.holds)
    if holders:
        return Keep(holders)
    if sample.daemon_leases:
        return Keep((f"leases: {sample.daemon_leases}",))
    claims = _claims(sample)
    if claims:
        return Keep(claims, watch_sessions=True)
    if sample.successor is not None:
        return Keep((f"an editor of its project is starting: pid {sample.successor.process.pid}",))
    return None


def _suspect_or_reap(suspicion: Suspicion | None, sample: ServerSample) -> Suspect | Reap:
    """Return the verdict on a server that nothing keeps, by the rules 5 to 8 of `judge`."""
    owners = tuple(_why_it_is_gone(owner) for owner in sample.owners) or ("no owner",)
    reasons = (*owners, "no lease", "no session")
    if suspicion is None or not suspicion.concerns(sample):
        return Suspect(_new_suspicion(sample, renewed=False), reasons)
    if sample.began > suspicion.due + LATE_S and not suspicion.renewed:
        return Suspect(_new_suspicion(sample, renewed=True), reasons)
    if sample.began < suspicion.due:
        return Suspect(suspicion, reasons)
    return Reap(suspicion, reasons)


def _new_suspicion(sample: ServerSample, *, renewed: bool) -> Suspicion:
    wait_s = sample.grace_s if sample.ends_with_owners else max(sample.grace_s, sample.idle_s)
    return Suspicion(sample.launch, sample.generation, sample.ended, sample.ended + wait_s, renewed=renewed)


def _exempt(sample: ServerSample) -> str | None:
    """Return why the server is not to be judged, None if it is."""
    if sample.exemption is not None:
        return sample.exemption
    if sample.owners_unknown:
        return "it may have unknown owners"
    if not sample.ends_with_owners and not sample.idle_s:
        return "it was requested without an owner" if sample.ever_owned else "it never had an owner"
    return None


def _why_it_holds(owner: OwnerFact) -> str:
    if owner.lingering:
        return f"{owner.editor} detached and may come back"
    return f"{owner.editor} is {owner.liveness}"


def _why_it_is_gone(owner: OwnerFact) -> str:
    return f"{owner.editor} has detached" if owner.released else f"{owner.editor} is dead"


def _claims(sample: ServerSample) -> tuple[str, ...]:
    """Return the claims that no record has, for people: leases that the server has granted, and sessions.

    An unknown number counts as a claim, unless the server has been silent for `SILENCE_S`.
    """
    silent = sample.silent_s >= SILENCE_S
    claims = []
    if sample.server_leases is None and not silent:
        claims.append("its leases are unknown")
    if sample.server_leases:
        claims.append(f"leases: {sample.server_leases}")
    if sample.sessions is None and not silent:
        claims.append("its sessions are unknown")
    if sample.sessions:
        claims.append(f"open sessions: {sample.sessions}")
    return tuple(claims)
