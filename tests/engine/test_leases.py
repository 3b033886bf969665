import asyncio

import pytest

from supervisor.core.model import Lease, ProcessIdentity, ServerState
from supervisor.engine.claims.leases import LOOK_EVERY_S
from supervisor.errors import Busy, NotFound
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakeSystem

GRACE_S = 5
TTL_S = 60.0


def toys(system: FakeSystem) -> list[ProcessIdentity]:
    """The living servers, whichever daemon started them."""
    return [process.identity for process in system.processes.values() if process.command[:1] == ("toy",)]


async def leased_alone(harness: EngineHarness, ttl_s: float = TTL_S) -> Lease:
    """Return a server that only a lease keeps, because its owner has died."""
    owner = harness.editor()
    await harness.up(owner)
    _, lease = harness.attachments.acquire_lease("toy", "an AI client", ttl_s)
    harness.system.end(owner)
    return lease


def test_a_lease_keeps_a_server_whose_owner_has_died_until_it_expires(harness: EngineHarness) -> None:
    async def story() -> None:
        await leased_alone(harness)
        await asyncio.sleep(TTL_S - 1)
        assert harness.events.of("server.suspected") == []
        assert len(toys(harness.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(harness.system) == []
        (acquired,), (suspected,), (reaped,) = (
            harness.events.of(name) for name in ("lease.acquired", "server.suspected", "server.reaped")
        )
        assert (acquired["holder"], acquired["ttl_s"]) == ("an AI client", TTL_S)
        assert suspected["mono"] - acquired["mono"] == pytest.approx(TTL_S, abs=0.1)
        assert reaped["mono"] - suspected["mono"] == pytest.approx(GRACE_S, abs=0.1)
        assert "no lease" in reaped["reasons"]

    harness.run(story)


def test_only_a_renewed_lease_keeps_its_server(harness: EngineHarness) -> None:
    async def story() -> None:
        lease = await leased_alone(harness)
        for _ in range(20):
            await asyncio.sleep(TTL_S / 2)
            server, renewed = harness.attachments.renew_lease(lease.id)
            assert (server, renewed.id) == ("toy", lease.id)
            assert renewed.expires == harness.system.clock.now + TTL_S
        assert len(toys(harness.system)) == 1
        assert harness.events.of("server.suspected") == []
        await asyncio.sleep(TTL_S + GRACE_S + 1)
        assert toys(harness.system) == []

    harness.run(story)


def test_a_lease_that_is_given_back_ends_at_once(harness: EngineHarness) -> None:
    async def story() -> None:
        lease = await leased_alone(harness)
        await asyncio.sleep(10)
        harness.attachments.release_lease(lease.id)
        await asyncio.sleep(1)
        assert len(harness.events.of("server.suspected")) == 1
        await asyncio.sleep(GRACE_S)
        assert toys(harness.system) == []
        assert harness.events.of("lease.released")[0]["holder"] == "an AI client"

    harness.run(story)


def test_the_last_of_several_leases_counts(harness: EngineHarness) -> None:
    async def story() -> None:
        lease = await leased_alone(harness, 30)
        harness.attachments.acquire_lease("toy", "another", 90)
        harness.attachments.release_lease(lease.id)
        await asyncio.sleep(89)
        assert len(toys(harness.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(harness.system) == []

    harness.run(story)


def test_a_lease_of_ours_is_not_looked_at_every_second(harness: EngineHarness) -> None:
    async def story() -> None:
        await leased_alone(harness, 3600)
        harness.system.connections[9500] = 1
        await asyncio.sleep(1)
        counted = harness.system.calls["count_connections"]
        sampled = harness.engine.inspector.reaper.last_verdict("toy")
        await asyncio.sleep(3590)
        assert harness.engine.inspector.reaper.last_verdict("toy") is sampled
        assert harness.system.calls["count_connections"] == counted
        await asyncio.sleep(20)
        # From now on only the session keeps the server, and no event reports its end.
        assert harness.system.calls["count_connections"] >= counted + 9

    harness.run(story)


def test_a_lease_within_the_grace_clears_the_suspicion(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        await harness.up(owner)
        harness.system.end(owner)
        await asyncio.sleep(GRACE_S - 1)
        harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(harness.system)) == 1
        assert harness.events.of("server.suspicion_cleared")[0]["reasons"] == ("leases: 1",)

    harness.run(story)


def test_a_server_that_never_had_an_owner_outlives_its_leases(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up()
        harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        await asyncio.sleep(3600)
        assert len(toys(harness.system)) == 1

    harness.run(story)


@pytest.mark.parametrize("end", ["expired", "given back"])
def test_a_lease_that_has_ended_is_not_known_any_more(harness: EngineHarness, end: str) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        _, lease = harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        if end == "expired":
            await asyncio.sleep(TTL_S)
        else:
            harness.attachments.release_lease(lease.id)
        for ask in (harness.attachments.renew_lease, harness.attachments.release_lease):
            with pytest.raises(NotFound, match=lease.id):
                ask(lease.id)

    harness.run(story)


def test_the_end_of_a_lease_is_reported(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        _, lease = harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        await asyncio.sleep(TTL_S + 1)
        (expired,) = harness.events.of("lease.expired")
        assert (expired["server"], expired["lease"], expired["holder"]) == ("toy", lease.id, "an AI client")
        assert harness.records.server("toy").leases == ()

    harness.run(story)


def test_an_unknown_server_gives_no_lease(harness: EngineHarness) -> None:
    async def story() -> None:
        with pytest.raises(NotFound):
            harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        with pytest.raises(NotFound):
            harness.attachments.renew_lease("lease-1")

    harness.run(story)


@pytest.mark.parametrize("ending", ["stop", "failure"])
def test_a_stopping_or_failed_server_gives_no_lease(harness: EngineHarness, ending: str) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        if ending == "stop":
            harness.system.processes[record.process.pid].ignores_sigterm = True
            stop = asyncio.create_task(harness.supervisor.stop("toy"))
            await asyncio.sleep(1)
        else:
            harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
            harness.system.end(record.process, 3)
            await asyncio.sleep(60)
            assert harness.records.server("toy").state is ServerState.FAILED
        with pytest.raises(Busy) as caught:
            harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        assert caught.value.retry_after_ms
        assert harness.records.server("toy").leases == ()
        if ending == "stop":
            await stop

    harness.run(story)


def test_a_lease_alone_has_a_server_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        await leased_alone(harness)
        (process,) = toys(harness.system)
        harness.system.end(process, 3)
        await asyncio.sleep(1)
        (again,) = toys(harness.system)
        assert again != process
        assert harness.records.server("toy").restarts == 1
        await asyncio.sleep(TTL_S + GRACE_S)
        assert toys(harness.system) == []

    harness.run(story)


def test_a_lease_that_expires_during_a_pause_ends_the_waiting(harness: EngineHarness) -> None:
    async def story() -> None:
        await leased_alone(harness, 2)
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        (process,) = toys(harness.system)
        harness.system.end(process, 3)
        await asyncio.sleep(60)
        assert harness.records.servers == {}
        assert harness.events.of("server.given_up") == []

    harness.run(story)


def test_a_failed_server_is_forgotten_when_its_last_lease_expires(harness: EngineHarness) -> None:
    async def story() -> None:
        await leased_alone(harness)
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        (process,) = toys(harness.system)
        harness.system.end(process, 3)
        await asyncio.sleep(TTL_S / 2)
        assert harness.records.server("toy").state is ServerState.FAILED
        await asyncio.sleep(TTL_S)
        assert harness.records.servers == {}

    harness.run(story)


def test_a_lease_expires_although_timers_fire_a_tick_of_the_clock_early(harness: EngineHarness) -> None:
    async def story() -> None:
        # As on Windows before Python 3.13.
        asyncio.get_running_loop()._clock_resolution = 0.0156  # type: ignore[attr-defined]
        await leased_alone(harness)
        # Something wakes the loop shortly before it would look at the clock.
        await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(TTL_S)
        assert harness.records.server("toy").leases == ()

    harness.run(story)


def test_a_lease_outlives_the_daemon_and_has_its_full_time_again(harness: EngineHarness) -> None:
    async def first() -> None:
        await leased_alone(harness)
        await asyncio.sleep(TTL_S - 10)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(later.system)) == 1
        (lease,) = later.records.server("toy").leases
        later.attachments.renew_lease(lease.id)
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(later.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(later.system) == []

    later.run(second)


def test_a_lease_that_expired_does_not_come_back_with_the_next_daemon(harness: EngineHarness) -> None:
    owner = harness.editor()
    leases: list[Lease] = []

    async def first() -> None:
        await harness.up(owner)
        leases.append(harness.attachments.acquire_lease("toy", "an AI client", TTL_S)[1])
        await asyncio.sleep(2 * TTL_S)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        with pytest.raises(NotFound):
            later.attachments.renew_lease(leases[0].id)
        later.system.end(owner)
        await asyncio.sleep(GRACE_S + 1)
        assert toys(later.system) == []

    later.run(second)


def test_a_stall_gives_every_lease_its_full_time_again(harness: EngineHarness) -> None:
    async def story() -> None:
        lease = await leased_alone(harness)
        await asyncio.sleep(TTL_S / 2)
        # The machine slept, or the daemon was stopped: the holder had no chance to renew.
        harness.system.clock.advance(10 * TTL_S)
        await asyncio.sleep(TTL_S / 2)
        assert len(toys(harness.system)) == 1
        harness.attachments.renew_lease(lease.id)

    harness.run(story)


def test_a_lease_on_a_server_that_waits_to_be_started_again_is_kept(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.tables = {"toy": TOY}
        owner = harness.editor()
        record = await harness.up(owner)
        harness.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        assert record.process is not None
        harness.system.end(record.process, 3)
        await asyncio.sleep(0.1)
        assert harness.records.server("toy").state is ServerState.BACKOFF
        _, lease = harness.attachments.acquire_lease("toy", "an AI client", TTL_S)
        assert harness.records.server("toy").leases == (lease,)

    harness.run(story)
