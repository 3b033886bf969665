"""Takes the samples that the reaper judges: what keeps a server at this moment. Also counts sessions for clients."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from ...core.lifecycle import SERVING
from ...core.model import Liveness, Origin, Ownership, ServerRecord
from ...core.reaping import OwnerFact, ServerSample, is_deserted
from ...core.reconcile import Answer
from ...kinds.kind import Kind
from ..identification.adoption_marks import find_other_adoption_of_server, keep_mark
from ..identification.server_client import ServerClient, answer_of
from ..operations.shared_answers import SharedAnswers
from ..state.context import EngineContext
from ..state.exit_watches import ExitWatches
from .successors import Successors


class Sampler:
    """Takes samples of servers. `on_answered` gets the answer of each server that was asked who it is."""

    def __init__(self, context: EngineContext, server_client: ServerClient, exit_watches: ExitWatches) -> None:
        """`exit_watches` knows the processes whose end is noticed without a sample."""
        self._context = context
        self._server_client = server_client
        self._exit_watches = exit_watches
        self._successors = Successors(context)
        self.on_answered: Callable[[ServerRecord, Answer], None]
        self._deserted_since: dict[str, float] = {}
        """When no owner and no lease of the daemon held the server any more, monotonic seconds."""
        self._session_counts: dict[str, int | None] = {}
        self._counting: SharedAnswers[None] = SharedAnswers()
        self.revision = 0
        """Rises with every count of sessions."""

    def last_session_count(self, server_id: str) -> int | None:
        """Return the last count of sessions, None if there was none or the number is unknown."""
        return self._session_counts.get(server_id)

    async def count_sessions(self, server_id: str) -> None:
        """Count the sessions of a server that serves, once for all callers that wait.

        Clients ask for this. A sample counts sessions only where the number may change the verdict.
        """
        await self._counting.ask(server_id, partial(self._count_sessions_now, server_id))

    async def _count_sessions_now(self, server_id: str) -> None:
        record = self._context.records.servers.get(server_id)
        if record is None or record.state not in SERVING or record.kind not in self._context.catalog.kinds:
            return
        count = await self._server_client.count_sessions(record, self._context.kind_of(record))
        current = self._context.records.servers.get(server_id)
        if current is not None and current.launch == record.launch and current.state in SERVING:
            self._store_session_count(server_id, count)

    def _store_session_count(self, server_id: str, count: int | None) -> None:
        self._session_counts[server_id] = count
        self.revision += 1

    def forget(self, server_id: str) -> None:
        """Forget a server that has gone or is being stopped."""
        self._deserted_since.pop(server_id, None)
        self._session_counts.pop(server_id, None)

    async def take(self, record: ServerRecord, kind: Kind) -> ServerSample:
        """Return a sample of a server that serves."""
        began = self._context.platform.clock.monotonic()
        owners = self._owner_facts(record, kind, began)
        held_by_owner = any(owner.holds for owner in owners)
        daemon_leases = sum(lease.expires > began for lease in record.leases)
        server_leases: int | None = 0
        sessions: int | None = 0
        exemption = self.exemption(record)
        if exemption is None and record.foreign:
            needed = record.until_stopped or record.owners_unknown or daemon_leases > 0 or held_by_owner
            exemption = await self._context.platform.lanes.do(self._exchange_marks, record, needed)
        ends_unused = (record.ever_owned and not record.until_stopped) or kind.idle_s > 0
        if ends_unused and exemption is None and not daemon_leases and not held_by_owner:
            self._deserted_since.setdefault(record.id, began)
            server_leases = await self._count_server_leases(record, kind)
            sessions = await self._server_client.count_sessions(record, kind)
            self._store_session_count(record.id, sessions)
        else:
            self._deserted_since.pop(record.id, None)
        # Count only silence since the last owner died. Earlier silence is a matter between server and owner.
        deserted_s = began - self._deserted_since.get(record.id, began)
        sample = ServerSample(
            launch=record.launch,
            generation=record.generation,
            began=began,
            ended=self._context.platform.clock.monotonic(),
            grace_s=kind.grace_s,
            ever_owned=record.ever_owned,
            owners_unknown=record.owners_unknown,
            owners=owners,
            daemon_leases=daemon_leases,
            server_leases=server_leases,
            sessions=sessions,
            exemption=exemption,
            silent_s=min(deserted_s, self._server_client.outage(record).seconds),
            idle_s=kind.idle_s,
            until_stopped=record.until_stopped,
        )
        if not sample.ends_with_owners or not is_deserted(sample):
            return sample
        successor = await self._successors.find(record, owners)
        return replace(sample, successor=successor, ended=self._context.platform.clock.monotonic())

    def exemption(self, record: ServerRecord) -> str | None:
        """Return why the record says that the daemon must not end the server, None if it does not say so."""
        if record.other_home is not None:
            return f"it belongs to another godot-supervisor home ({record.other_home})"
        if record.origin is Origin.EXTERNAL and record.started_by_bridge:
            return "an AI client's bridge started it: it ends by itself when the bridge has gone"
        if record.origin is Origin.EXTERNAL:
            return "another program started it, and it has no owner: it is only listed"
        if record.origin is Origin.DISCOVERED and self._context.discover == "observe":
            return "it was found, and discovery only observes"
        if record.kind not in self._context.catalog.kinds:
            return "its kind was removed from the configuration: its sessions cannot be counted"
        return None

    def _exchange_marks(self, record: ServerRecord, needed: bool) -> str | None:  # noqa: FBT001 (for a thread)
        """Mark for the other homes whether this home needs the server, and return why another home may. Blocks."""
        keep_mark(self._context, record, needed=needed)
        return find_other_adoption_of_server(self._context, record)

    def _owner_facts(self, record: ServerRecord, kind: Kind, now: float) -> tuple[OwnerFact, ...]:
        """Return the facts about each owner. `now`: monotonic seconds.

        Once one owner is seen to hold the server, no other owner changes the verdict. So owners whose end would be
        noticed are not sampled then, and the ends of hundreds of owners do not cost hundreds of samples each.
        """
        found: list[OwnerFact] = []
        held = False
        for owner in record.owners:
            fact = self._owner_fact(
                owner, kind, now, counts_as_alive=held and self._exit_watches.is_watched(owner.process)
            )
            held = held or fact.holds
            found.append(fact)
        return tuple(found)

    def _owner_fact(self, owner: Ownership, kind: Kind, now: float, *, counts_as_alive: bool) -> OwnerFact:
        released = owner.leaving_since is not None and now >= owner.leaving_since + kind.linger_s
        return OwnerFact(
            owner.editor,
            Liveness.ALIVE if counts_as_alive else self._context.platform.probe.sample(owner.process),
            lingering=owner.leaving and not released,
            released=released,
        )

    async def _count_server_leases(self, record: ServerRecord, kind: Kind) -> int | None:
        """Ask the server, and return the number of leases that it has granted, None if it does not say."""
        if kind.identify is None:
            return 0
        said = await self._server_client.ask(record, kind)
        self.on_answered(record, answer_of(record, kind, said))
        if not kind.identify.leases:
            return 0
        return said.leases if said is not None else None
