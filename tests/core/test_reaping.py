from dataclasses import replace

import pytest

from supervisor.core.model import Liveness
from supervisor.core.reaping import LATE_S, SILENCE_S, Keep, OwnerFact, Reap, ServerSample, Suspect, Suspicion, judge

DEAD = OwnerFact("game-1", Liveness.DEAD)
ORPHAN = ServerSample(
    launch="a",
    generation=3,
    began=100.0,
    ended=100.1,
    grace_s=5.0,
    ever_owned=True,
    owners_unknown=False,
    owners=(DEAD,),
    daemon_leases=0,
    server_leases=0,
    sessions=0,
)


def first_sample(sample: ServerSample = ORPHAN) -> Suspicion:
    verdict = judge(None, sample)
    assert isinstance(verdict, Suspect)
    return verdict.suspicion


def later(seconds: float, sample: ServerSample = ORPHAN) -> ServerSample:
    return replace(sample, began=sample.began + seconds, ended=sample.ended + seconds)


def test_the_first_sample_only_suspects() -> None:
    assert first_sample() == Suspicion("a", 3, since=100.1, due=105.1)


def test_the_second_sample_one_grace_later_reaps() -> None:
    verdict = judge(first_sample(), later(5.1))
    assert isinstance(verdict, Reap)
    assert "game-1 is dead" in verdict.reasons


def test_sample_begun_within_the_grace_does_not_reap() -> None:
    suspicion = first_sample()
    assert judge(suspicion, later(4.99)) == Suspect(suspicion, ("game-1 is dead", "no lease", "no session"))


def test_very_late_second_sample_starts_over() -> None:
    verdict = judge(first_sample(), later(5.2 + LATE_S))
    assert isinstance(verdict, Suspect)
    assert verdict.suspicion.since > 105


def test_lateness_counts_only_once_per_suspicion() -> None:
    first = judge(first_sample(), later(6 + LATE_S))
    assert isinstance(first, Suspect)
    renewed = first.suspicion
    assert renewed.renewed
    early = replace(ORPHAN, began=renewed.due - 0.1, ended=renewed.due)
    assert judge(renewed, early) == Suspect(renewed, ("game-1 is dead", "no lease", "no session"))
    late = replace(ORPHAN, began=renewed.due + 10 * LATE_S, ended=renewed.due + 10 * LATE_S)
    assert isinstance(judge(renewed, late), Reap)


@pytest.mark.parametrize("change", [{"launch": "b"}, {"generation": 4}])
def test_renewed_suspicion_concerns_one_case(change: dict[str, object]) -> None:
    renewed = replace(first_sample(), renewed=True)
    verdict = judge(renewed, replace(later(6), **change))
    assert isinstance(verdict, Suspect)
    assert not verdict.suspicion.renewed


@pytest.mark.parametrize("change", [{"launch": "b"}, {"generation": 4}])
def test_suspicion_concerns_one_launch_and_one_set_of_claims(change: dict[str, object]) -> None:
    assert isinstance(judge(first_sample(), replace(later(6), **change)), Suspect)


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"owners": (OwnerFact("game-1", Liveness.ALIVE),)}, "game-1 is alive"),
        ({"owners": (OwnerFact("game-1", Liveness.UNKNOWN),)}, "game-1 is unknown"),
        ({"owners": (DEAD, OwnerFact("tools-1", Liveness.ALIVE))}, "tools-1 is alive"),
        ({"owners": (OwnerFact("game-1", Liveness.ALIVE, lingering=True),)}, "game-1 detached and may come back"),
        ({"daemon_leases": 1}, "leases: 1"),
        ({"server_leases": 1}, "leases: 1"),
        ({"server_leases": None}, "its leases are unknown"),
        ({"sessions": 2}, "open sessions: 2"),
        ({"sessions": None}, "its sessions are unknown"),
        ({"ever_owned": False, "owners": ()}, "it never had an owner"),
        ({"owners_unknown": True}, "it may have unknown owners"),
    ],
)
def test_every_doubt_keeps_the_server(facts: dict[str, object], reason: str) -> None:
    for suspicion in (None, first_sample()):
        verdict = judge(suspicion, replace(later(6), **facts))
        assert isinstance(verdict, Keep)
        assert reason in verdict.reasons


def test_released_owner_does_not_keep_the_server() -> None:
    released = replace(ORPHAN, owners=(OwnerFact("game-1", Liveness.ALIVE, released=True),))
    assert isinstance(judge(None, released), Suspect)


@pytest.mark.parametrize("claim", ["sessions", "server_leases"])
def test_sessions_and_leases_of_the_server_are_watched(claim: str) -> None:
    verdict = judge(None, replace(ORPHAN, **{claim: 1}))
    assert isinstance(verdict, Keep)
    assert verdict.watch_sessions


def test_lease_of_the_daemon_needs_no_watch() -> None:
    assert judge(None, replace(ORPHAN, daemon_leases=1, sessions=1)) == Keep(("leases: 1",))


def test_long_silence_clears_unknown_claims() -> None:
    mute = replace(ORPHAN, sessions=None, server_leases=None)
    assert isinstance(judge(None, replace(mute, silent_s=SILENCE_S - 0.1)), Keep)
    assert isinstance(judge(None, replace(mute, silent_s=SILENCE_S)), Suspect)


def test_silence_does_not_override_a_visible_session() -> None:
    assert isinstance(judge(None, replace(ORPHAN, sessions=1, silent_s=SILENCE_S * 2)), Keep)


def test_server_without_owner_is_reaped_after_its_idle_time() -> None:
    idle = replace(ORPHAN, ever_owned=False, owners=(), idle_s=60.0)
    suspicion = first_sample(idle)
    assert suspicion.due == pytest.approx(160.1)
    assert isinstance(judge(suspicion, later(59, idle)), Suspect)
    assert isinstance(judge(suspicion, later(61, idle)), Reap)
