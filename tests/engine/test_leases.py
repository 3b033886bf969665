import asyncio
from pathlib import Path

import pytest

from supervisor.core.model import Lease, ProcessIdentity, ServerState
from supervisor.engine.holders.leases import LOOK_EVERY_S
from supervisor.errors import Busy, NotFound
from tests.engine.house import TOY, House
from tests.fakes import FakeSystem

GRACE_S = 5
TTL_S = 60.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def toys(system: FakeSystem) -> list[ProcessIdentity]:
    """The living servers, whichever daemon started them."""
    return [process.identity for process in system.processes.values() if process.command[:1] == ("toy",)]


async def leased_alone(house: House, ttl_s: float = TTL_S) -> Lease:
    """A server that only a lease keeps: its owner has died."""
    owner = house.editor()
    await house.up(owner)
    _, lease = house.claims.acquire("toy", "an AI client", ttl_s)
    house.system.end(owner)
    return lease


def test_a_lease_keeps_a_server_whose_owner_has_died_until_it_expires(house: House) -> None:
    async def story() -> None:
        await leased_alone(house)
        await asyncio.sleep(TTL_S - 1)
        assert house.ear.of("server.suspected") == []
        assert len(toys(house.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(house.system) == []
        (acquired,), (suspected,), (reaped,) = (
            house.ear.of(name) for name in ("lease.acquired", "server.suspected", "server.reaped")
        )
        assert (acquired["holder"], acquired["ttl_s"]) == ("an AI client", TTL_S)
        assert suspected["mono"] - acquired["mono"] == pytest.approx(TTL_S, abs=0.1)
        assert reaped["mono"] - suspected["mono"] == pytest.approx(GRACE_S, abs=0.1)
        assert "no lease" in reaped["reasons"]

    house.live(story)


def test_a_lease_that_is_renewed_keeps_its_server_and_one_that_is_not_does_not(house: House) -> None:
    async def story() -> None:
        lease = await leased_alone(house)
        for _ in range(20):
            await asyncio.sleep(TTL_S / 2)
            server, renewed = house.claims.renew(lease.id)
            assert (server, renewed.id) == ("toy", lease.id)
            assert renewed.expires == house.system.clock.now + TTL_S
        assert len(toys(house.system)) == 1
        assert house.ear.of("server.suspected") == []
        await asyncio.sleep(TTL_S + GRACE_S + 1)
        assert toys(house.system) == []

    house.live(story)


def test_a_lease_that_is_given_back_ends_at_once(house: House) -> None:
    async def story() -> None:
        lease = await leased_alone(house)
        await asyncio.sleep(10)
        house.claims.give_back(lease.id)
        await asyncio.sleep(1)
        assert len(house.ear.of("server.suspected")) == 1
        await asyncio.sleep(GRACE_S)
        assert toys(house.system) == []
        assert house.ear.of("lease.released")[0]["holder"] == "an AI client"

    house.live(story)


def test_the_last_of_several_leases_counts(house: House) -> None:
    async def story() -> None:
        lease = await leased_alone(house, 30)
        house.claims.acquire("toy", "another", 90)
        house.claims.give_back(lease.id)
        await asyncio.sleep(89)
        assert len(toys(house.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(house.system) == []

    house.live(story)


def test_a_lease_of_ours_is_not_looked_at_every_second(house: House) -> None:
    async def story() -> None:
        await leased_alone(house, 3600)
        house.system.connections[9500] = 1
        await asyncio.sleep(1)
        counted = house.system.calls["connections"]
        sampled = house.supervisor.reaper.verdict("toy")
        await asyncio.sleep(3590)
        assert house.supervisor.reaper.verdict("toy") is sampled
        assert house.system.calls["connections"] == counted
        await asyncio.sleep(20)
        # From now on only the session keeps it, and nobody tells its end.
        assert house.system.calls["connections"] >= counted + 9

    house.live(story)


def test_a_lease_within_the_grace_clears_the_suspicion(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        await house.up(owner)
        house.system.end(owner)
        await asyncio.sleep(GRACE_S - 1)
        house.claims.acquire("toy", "an AI client", TTL_S)
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(house.system)) == 1
        assert house.ear.of("server.suspicion_cleared")[0]["reasons"] == ("leases: 1",)

    house.live(story)


def test_a_server_that_never_had_an_owner_outlives_its_leases(house: House) -> None:
    async def story() -> None:
        await house.up()
        house.claims.acquire("toy", "an AI client", TTL_S)
        await asyncio.sleep(3600)
        assert len(toys(house.system)) == 1

    house.live(story)


@pytest.mark.parametrize("end", ["expired", "given back"])
def test_a_lease_that_has_ended_is_not_known_any_more(house: House, end: str) -> None:
    async def story() -> None:
        await house.up(house.editor())
        _, lease = house.claims.acquire("toy", "an AI client", TTL_S)
        if end == "expired":
            await asyncio.sleep(TTL_S)
        else:
            house.claims.give_back(lease.id)
        for ask in (house.claims.renew, house.claims.give_back):
            with pytest.raises(NotFound, match=lease.id):
                ask(lease.id)

    house.live(story)


def test_the_end_of_a_lease_is_told(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        _, lease = house.claims.acquire("toy", "an AI client", TTL_S)
        await asyncio.sleep(TTL_S + 1)
        (expired,) = house.ear.of("lease.expired")
        assert (expired["server"], expired["lease"], expired["holder"]) == ("toy", lease.id, "an AI client")
        assert house.records.server("toy").leases == ()

    house.live(story)


def test_there_is_no_lease_on_what_nobody_knows(house: House) -> None:
    async def story() -> None:
        with pytest.raises(NotFound):
            house.claims.acquire("toy", "an AI client", TTL_S)
        with pytest.raises(NotFound):
            house.claims.renew("lease-1")

    house.live(story)


@pytest.mark.parametrize("ending", ["stop", "failure"])
def test_there_is_no_lease_on_a_server_that_is_on_its_way_out_or_has_failed(house: House, ending: str) -> None:
    async def story() -> None:
        record = await house.up(house.editor())
        assert record.process is not None
        if ending == "stop":
            house.system.processes[record.process.pid].ignores_sigterm = True
            stop = asyncio.create_task(house.supervisor.stop("toy"))
            await asyncio.sleep(1)
        else:
            house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
            house.system.end(record.process, 3)
            await asyncio.sleep(60)
            assert house.records.server("toy").state is ServerState.FAILED
        with pytest.raises(Busy) as caught:
            house.claims.acquire("toy", "an AI client", TTL_S)
        assert caught.value.retry_after_ms
        assert house.records.server("toy").leases == ()
        if ending == "stop":
            await stop

    house.live(story)


def test_a_lease_alone_has_a_server_started_again(house: House) -> None:
    async def story() -> None:
        await leased_alone(house)
        (process,) = toys(house.system)
        house.system.end(process, 3)
        await asyncio.sleep(1)
        (again,) = toys(house.system)
        assert again != process
        assert house.records.server("toy").restarts == 1
        await asyncio.sleep(TTL_S + GRACE_S)
        assert toys(house.system) == []

    house.live(story)


def test_a_lease_that_expires_during_a_pause_ends_the_waiting(house: House) -> None:
    async def story() -> None:
        await leased_alone(house, 2)
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        (process,) = toys(house.system)
        house.system.end(process, 3)
        await asyncio.sleep(60)
        assert house.records.servers == {}
        assert house.ear.of("server.given_up") == []

    house.live(story)


def test_a_failed_server_that_only_a_lease_wanted_is_forgotten_when_that_expires(house: House) -> None:
    async def story() -> None:
        await leased_alone(house)
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        (process,) = toys(house.system)
        house.system.end(process, 3)
        await asyncio.sleep(TTL_S / 2)
        assert house.records.server("toy").state is ServerState.FAILED
        await asyncio.sleep(TTL_S)
        assert house.records.servers == {}

    house.live(story)


def test_a_lease_expires_although_timers_fire_a_tick_of_the_clock_early(house: House) -> None:
    async def story() -> None:
        # As on Windows before Python 3.13.
        asyncio.get_running_loop()._clock_resolution = 0.0156  # type: ignore[attr-defined]
        await leased_alone(house)
        # Something wakes the loop shortly before it would look at the clock.
        await asyncio.sleep(LOOK_EVERY_S)
        await asyncio.sleep(TTL_S)
        assert house.records.server("toy").leases == ()

    house.live(story)


def test_a_lease_outlives_the_daemon_and_has_its_full_time_again(house: House) -> None:
    async def first() -> None:
        await leased_alone(house)
        await asyncio.sleep(TTL_S - 10)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(later.system)) == 1
        (lease,) = later.records.server("toy").leases
        later.claims.renew(lease.id)
        await asyncio.sleep(TTL_S - 1)
        assert len(toys(later.system)) == 1
        await asyncio.sleep(1 + GRACE_S + 1)
        assert toys(later.system) == []

    later.live(second)


def test_a_lease_that_expired_does_not_come_back_with_the_next_daemon(house: House) -> None:
    owner = house.editor()
    leases: list[Lease] = []

    async def first() -> None:
        await house.up(owner)
        leases.append(house.claims.acquire("toy", "an AI client", TTL_S)[1])
        await asyncio.sleep(2 * TTL_S)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        with pytest.raises(NotFound):
            later.claims.renew(leases[0].id)
        later.system.end(owner)
        await asyncio.sleep(GRACE_S + 1)
        assert toys(later.system) == []

    later.live(second)


def test_after_a_time_in_which_nothing_ran_every_lease_has_its_full_time_again(house: House) -> None:
    async def story() -> None:
        lease = await leased_alone(house)
        await asyncio.sleep(TTL_S / 2)
        # The machine slept, or the daemon was stopped: whoever renews had no chance to.
        house.system.clock.advance(10 * TTL_S)
        await asyncio.sleep(TTL_S / 2)
        assert len(toys(house.system)) == 1
        house.claims.renew(lease.id)

    house.live(story)


def test_a_lease_on_a_server_that_waits_to_be_started_again_is_kept(house: House) -> None:
    async def story() -> None:
        house.tables = {"toy": TOY}
        owner = house.editor()
        record = await house.up(owner)
        house.system.programs["toy"] = lambda system, process, _: system.end(process.identity, 3)
        assert record.process is not None
        house.system.end(record.process, 3)
        await asyncio.sleep(0.1)
        assert house.records.server("toy").state is ServerState.BACKOFF
        _, lease = house.claims.acquire("toy", "an AI client", TTL_S)
        assert house.records.server("toy").leases == (lease,)

    house.live(story)
