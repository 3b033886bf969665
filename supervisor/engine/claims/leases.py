"""Leases: claims on servers by holders that are no editors. A lease expires unless its holder renews it in time."""

import asyncio
from collections.abc import Callable
from dataclasses import replace

from ...core.model import Lease, ServerRecord, ServerState
from ...core.single_flight import Operation
from ...errors import Busy, NotFound
from ...native import facts
from ..operations.coordinator import Operations
from ..state.context import EngineContext

NOT_LEASABLE = (ServerState.STOPPING, ServerState.FAILED)
RETRY_AFTER_MS = 1000

LOOK_EVERY_S = 2.5
STALLED_S = 2.5
"""While there are leases, the clock is looked at every `LOOK_EVERY_S`. A look that is later than `STALLED_S` shows that
the daemon or the machine stood still. So every gap over 5 s is noticed.
"""


class Leases:
    """Grants, renews and ends leases. A timer ends those that expire.

    `on_expired` gets the server of a lease that has expired; `engine.assembly` sets it.
    """

    def __init__(self, context: EngineContext, operations: Operations) -> None:
        self._operations = operations
        self._records = context.records
        self._clock = context.platform.clock
        self._random = context.random
        self._events = context.events
        self._timer: asyncio.TimerHandle | None = None
        self._due: float | None = None
        self._next_look = 0.0
        self.on_expired: Callable[[str], None]

    def begin(self) -> None:
        """Start the timer for the leases that a recovery has found."""
        self._set_timer()

    def acquire(self, server_id: str, holder: str, ttl_s: float) -> Lease:
        """Grant a lease on a server.

        Raises:
            NotFound: no such server.
            Busy: the server is stopping, or does not run.
        """
        self._look_at_the_clock()
        record = self._records.server(server_id)
        running = self._operations.running(server_id)
        if record.state in NOT_LEASABLE or (running and running.request.operation is Operation.STOP):
            raise Busy(f"{server_id} is stopping, or has failed", hint="ensure it first", retry_after_ms=RETRY_AFTER_MS)
        lease = Lease(f"lease-{self._random.token(6)}", holder, ttl_s, self._clock.monotonic() + ttl_s)
        self._set_leases(record, (*record.leases, lease))
        self._events.publish("lease.acquired", server=server_id, lease=lease.id, holder=holder, ttl_s=ttl_s)
        return lease

    def renew(self, lease_id: str) -> tuple[str, Lease]:
        """Give a lease its full time again, and return it after the id of its server.

        Raises:
            NotFound: no such lease, or it has expired.
        """
        record, lease = self._find(lease_id)
        renewed = self._with_full_time(lease)
        self._set_leases(record, (*_without(record, lease_id), renewed))
        return record.id, renewed

    def release(self, lease_id: str) -> tuple[str, Lease]:
        """End a lease, and return it after the id of its server.

        Raises:
            NotFound: no such lease, or it has expired.
        """
        record, lease = self._find(lease_id)
        self._set_leases(record, _without(record, lease_id))
        self._events.publish("lease.released", server=record.id, lease=lease_id, holder=lease.holder)
        return record.id, replace(lease, expires=self._clock.monotonic())

    def _find(self, lease_id: str) -> tuple[ServerRecord, Lease]:
        self._look_at_the_clock()
        for record in self._records.servers.values():
            for lease in record.leases:
                if lease.id == lease_id:
                    return record, lease
        raise NotFound(f"no lease {lease_id!r}", hint="it was released, or has expired: acquire another")

    def _set_leases(self, record: ServerRecord, leases: tuple[Lease, ...]) -> None:
        self._records.set_claims(record.id, leases=leases)
        self._set_timer()

    def _with_full_time(self, lease: Lease) -> Lease:
        return replace(lease, expires=self._clock.monotonic() + lease.ttl_s)

    def _set_timer(self) -> None:
        """Set the timer for the next lease that expires.

        Expired leases are removed, because the next daemon would give them their full time again.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ends = [lease.expires for record in self._records.servers.values() for lease in record.leases]
        self._due = min(ends, default=None)
        if self._due is not None:
            now = self._clock.monotonic()
            left_s = min(max(0.0, self._due - now), LOOK_EVERY_S) + facts.TICK_S + 0.001
            self._next_look = now + left_s
            self._timer = asyncio.get_running_loop().call_later(left_s, self._look_at_the_clock)

    def _look_at_the_clock(self) -> None:
        """End the leases that have expired, or renew all of them after a standstill."""
        now = self._clock.monotonic()
        if self._due is None:
            return
        if now > self._next_look + STALLED_S:
            self._renew_all()
        else:
            self._expire(now)
        self._set_timer()

    def _renew_all(self) -> None:
        """Give every lease its full time again: no holder could renew while the daemon or the machine stood still."""
        for record in list(self._records.servers.values()):
            if record.leases:
                self._records.set_claims(
                    record.id, leases=tuple(self._with_full_time(lease) for lease in record.leases)
                )

    def _expire(self, now: float) -> None:
        for record in list(self._records.servers.values()):
            expired = [lease for lease in record.leases if lease.expires <= now]
            for lease in expired:
                self._events.publish("lease.expired", server=record.id, lease=lease.id, holder=lease.holder)
            if expired:
                self._records.set_claims(
                    record.id, leases=tuple(lease for lease in record.leases if lease.expires > now)
                )
                self.on_expired(record.id)


def _without(record: ServerRecord, lease_id: str) -> tuple[Lease, ...]:
    return tuple(lease for lease in record.leases if lease.id != lease_id)
