"""The reaper: takes samples when something has changed, and asks for an operation when a server is an orphan."""

import asyncio
from collections.abc import Callable
from functools import partial

from ...core.lifecycle import SERVING
from ...core.model import Liveness, Origin, Ownership, ServerRecord
from ...core.reaping import Keep, OwnerFact, Reap, ServerSample, Suspect, Suspicion, Verdict, judge
from ...core.reconcile import Answer
from ...kinds.kind import Kind
from ...native import facts
from ...native.lane import Lane, take
from ..identification.adoption_marks import claimed_beside, keep_mark
from ..identification.server_client import ServerClient, answer_of
from ..operations.shared_answers import SharedAnswers
from ..state.context import EngineContext
from ..state.exit_watches import ExitWatches

SESSION_INTERVAL_S = 1.0
"""The interval of looks at sessions, while only sessions keep a server whose owners are all dead."""

AFTER_FAILURE_S = 5.0
"""The pause before a look that failed is repeated."""

MARKS_INTERVAL_S = 20.0
"""How often the marks of an adopted server are looked at, and made again where another program has removed them; also
how often a server is looked at that another home may need."""

IDLE_SAMPLES = 10
"""The number of looks at a server without owners within its `idle_s`, because sessions may come and go in between."""


class Reaper:
    """Judges servers, and never stops one.

    `on_orphan` requests an operation, admitted like those of clients, which judges the server again. `on_answered` gets
    a server's answer. `on_living_owner` gets an owner that keeps a server, so that its exit is watched.
    """

    def __init__(self, context: EngineContext, server_client: ServerClient, exit_watches: ExitWatches) -> None:
        """`exit_watches` knows the processes whose end would be noticed without a look."""
        self._context = context
        self._exit_watches = exit_watches
        self._server_client = server_client
        self.on_orphan: Callable[[str], None]
        self.on_living_owner: Callable[[Ownership], None]
        self.on_answered: Callable[[ServerRecord, Answer], None]
        self._suspicions: dict[str, Suspicion] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._counted: dict[str, int | None] = {}
        self._deserted_since: dict[str, float] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._looks: dict[str, asyncio.Task[None]] = {}
        self._again: set[str] = set()
        self._shared: SharedAnswers[None] = SharedAnswers()
        self._closed = False
        self.revision = 0
        """Rises with every verdict, and with every count of sessions."""

    def verdict(self, server_id: str) -> Verdict | None:
        """Return the last verdict on a server, None if there was no look yet."""
        return self._verdicts.get(server_id)

    def sessions(self, server_id: str) -> int | None:
        """Return the last count of sessions, None if there was none or the count is unknown."""
        return self._counted.get(server_id)

    async def count(self, server_id: str) -> None:
        """Count the sessions of a server that serves, once for all callers that wait.

        A sample counts sessions only where the count matters.
        """
        await self._shared.ask(server_id, partial(self._count_now, server_id))

    async def _count_now(self, server_id: str) -> None:
        record = self._context.records.servers.get(server_id)
        if record is None or record.state not in SERVING or record.kind not in self._context.catalog.kinds:
            return
        sessions = await self._server_client.count_sessions(record, self._context.kind_of(record))
        now = self._context.records.servers.get(server_id)
        if now is not None and (now.launch, now.state in SERVING) == (record.launch, True):
            self._count(server_id, sessions)

    def look(self, server_id: str) -> None:
        """Take a sample soon. If a look is under way, another one follows."""
        if self._closed:
            return
        if server_id in self._looks:
            self._again.add(server_id)
            return
        self._set_timer(server_id, None)
        task = asyncio.get_running_loop().create_task(self._look(server_id), name=f"look {server_id}")
        self._looks[server_id] = task
        task.add_done_callback(lambda done: self._looked(server_id, done))

    async def sample(self, server_id: str) -> Verdict | None:
        """Take a sample now, and return the verdict, None if the server is in a state that cannot be judged."""
        while True:
            record = self._context.records.servers.get(server_id)
            if record is None or record.state not in SERVING:
                self.forget(server_id)
                return None
            seen = await self._collect_facts(record, self._context.kind_of(record))
            now = self._context.records.servers.get(server_id)
            if now is not None and (now.launch, now.generation) == (seen.launch, seen.generation):
                break
        verdict = judge(self._suspicions.get(server_id), seen)
        self._note(server_id, verdict, seen)
        return verdict

    def forget(self, server_id: str) -> None:
        """Forget a server that has gone or is being stopped."""
        self._suspicions.pop(server_id, None)
        self._verdicts.pop(server_id, None)
        self._deserted_since.pop(server_id, None)
        self._counted.pop(server_id, None)
        self.revision += 1
        self._set_timer(server_id, None)

    def close(self) -> None:
        """Stop looking."""
        self._closed = True
        for server_id in list(self._timers):
            self._set_timer(server_id, None)
        for task in self._looks.values():
            task.cancel()

    def _count(self, server_id: str, sessions: int | None) -> None:
        self._counted[server_id] = sessions
        self.revision += 1

    async def _look(self, server_id: str) -> None:
        take(Lane.JUDGING)
        verdict = await self.sample(server_id)
        if isinstance(verdict, Reap) and not self._closed:
            self.on_orphan(server_id)

    def _looked(self, server_id: str, task: asyncio.Task[None]) -> None:
        del self._looks[server_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._context.events.failed("reaper.failed", error, server=server_id)
            self._set_timer(server_id, AFTER_FAILURE_S)
        if server_id in self._again:
            self._again.discard(server_id)
            self.look(server_id)

    def _note(self, server_id: str, verdict: Verdict, seen: ServerSample) -> None:
        """Remember a verdict, publish what is new in it, and plan the next look."""
        before = self._suspicions.pop(server_id, None)
        self._verdicts[server_id] = verdict
        self.revision += 1
        events = self._context.events
        match verdict:
            case Keep(reasons, watch_sessions):
                if before is not None:
                    events.publish("server.suspicion_cleared", server=server_id, launch=seen.launch, reasons=reasons)
                self._set_timer(server_id, self._next_look(server_id, seen, watch_sessions=watch_sessions))
                owners = self._context.records.servers[server_id].owners
                keeping = [owner for owner, fact in zip(owners, seen.owners, strict=True) if fact.holds]
                for number, owner in enumerate(keeping):
                    # Only the first was sampled. The others are reported unless their end would be noticed anyway.
                    if number == 0 or not self._exit_watches.lives(owner.process):
                        self.on_living_owner(owner)
            case Suspect(suspicion, reasons):
                self._suspicions[server_id] = suspicion
                if suspicion != before:
                    events.publish(
                        "server.suspected",
                        server=server_id,
                        launch=seen.launch,
                        sampled=seen.now,
                        due=suspicion.due,
                        reasons=reasons,
                    )
                pause = seen.idle_s / IDLE_SAMPLES if not seen.ends_with_owners else seen.grace_s
                self._set_timer(server_id, min(suspicion.due - seen.now, max(pause, SESSION_INTERVAL_S)))
            case Reap(suspicion):
                self._suspicions[server_id] = suspicion

    def _next_look(self, server_id: str, seen: ServerSample, *, watch_sessions: bool) -> float | None:
        if watch_sessions:
            return SESSION_INTERVAL_S
        record = self._context.records.servers[server_id]
        linger_s = self._context.kind_of(record).linger_s
        lingering = {owner.editor for owner in seen.owners if owner.lingering}
        ends = [
            owner.leaving_since + linger_s
            for owner in record.owners
            if owner.editor in lingering and owner.leaving_since is not None
        ]
        ends += [lease.expires for lease in record.leases if lease.expires > seen.began]
        if record.foreign and self._hands_off(record) is None:
            claimed_elsewhere = seen.hands_off is not None
            if record.origin is Origin.ADOPTED or claimed_elsewhere:
                ends.append(seen.now + MARKS_INTERVAL_S)
        return max(0.0, min(ends) - seen.now) if ends else None

    def _set_timer(self, server_id: str, delay_s: float | None) -> None:
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()
        if delay_s is not None and not self._closed:
            # A timer may fire one clock tick early, and the sample must not come before its time.
            delay_s = max(0.0, delay_s) + facts.TICK_S + 0.001
            self._timers[server_id] = asyncio.get_running_loop().call_later(delay_s, self.look, server_id)

    async def _collect_facts(self, record: ServerRecord, kind: Kind) -> ServerSample:
        now = self._context.platform.clock.monotonic()
        owners = self._owners(record, kind, now)
        leases = sum(lease.expires > now for lease in record.leases)
        server_leases: int | None = 0
        sessions: int | None = 0
        hands_off = self._hands_off(record)
        if hands_off is None and record.foreign:
            unending = record.until_stopped or record.owners_unknown
            needed = unending or bool(leases) or any(owner.holds for owner in owners)
            hands_off = await self._context.platform.lanes.do(self._told_beside, record, needed)
        judgeable = ((record.ever_owned and not record.until_stopped) or kind.idle_s > 0) and hands_off is None
        if judgeable and not leases and not any(owner.holds for owner in owners):
            self._deserted_since.setdefault(record.id, now)
            server_leases = await self._server_leases(record, kind)
            sessions = await self._server_client.count_sessions(record, kind)
            self._count(record.id, sessions)
        else:
            self._deserted_since.pop(record.id, None)
        # Count only silence since the last owner died. Earlier silence is a matter between server and owner.
        deserted_s = now - self._deserted_since.get(record.id, now)
        return ServerSample(
            launch=record.launch,
            generation=record.generation,
            began=now,
            now=self._context.platform.clock.monotonic(),
            grace_s=kind.grace_s,
            ever_owned=record.ever_owned,
            owners_unknown=record.owners_unknown,
            owners=owners,
            leases=leases,
            server_leases=server_leases,
            sessions=sessions,
            hands_off=hands_off,
            silent_s=min(deserted_s, self._server_client.outage(record).seconds),
            idle_s=kind.idle_s,
            until_stopped=record.until_stopped,
        )

    def _told_beside(self, record: ServerRecord, needed: bool) -> str | None:  # noqa: FBT001 (for a thread)
        """Mark for the other homes whether this home needs the server, and return why another home may. Blocks."""
        keep_mark(self._context, record, needed=needed)
        return claimed_beside(self._context, record)

    def _hands_off(self, record: ServerRecord) -> str | None:
        """Return why the daemon leaves a server alone, None if the server is to be judged."""
        if record.other_home is not None:
            return f"it belongs to another godot-supervisor home ({record.other_home})"
        if record.origin is Origin.EXTERNAL and record.by_client:
            return "an AI client's bridge started it: it ends by itself when the bridge has gone"
        if record.origin is Origin.EXTERNAL:
            return "another program started it, and it has no owner: it is only listed"
        if record.origin is Origin.DISCOVERED and self._context.discover == "observe":
            return "it was found, and discovery only observes"
        if record.kind not in self._context.catalog.kinds:
            return "its kind was removed from the configuration: its sessions cannot be counted"
        return None

    def _owners(self, record: ServerRecord, kind: Kind, now: float) -> tuple[OwnerFact, ...]:
        """Return the facts about each owner.

        Once one owner is seen to hold the server, no other owner changes the verdict. So owners whose end would be
        noticed are not sampled then, and the ends of hundreds of owners do not cost hundreds of samples each.
        """
        facts: list[OwnerFact] = []
        held = False
        for owner in record.owners:
            fact = self._owner(owner, kind, now, watched=held and self._exit_watches.lives(owner.process))
            held = held or fact.holds
            facts.append(fact)
        return tuple(facts)

    def _owner(self, owner: Ownership, kind: Kind, now: float, *, watched: bool) -> OwnerFact:
        passed = owner.leaving_since is not None and now >= owner.leaving_since + kind.linger_s
        return OwnerFact(
            owner.editor,
            Liveness.ALIVE if watched else self._context.platform.probe.sample(owner.process),
            lingering=owner.leaving and not passed,
            released=passed,
        )

    async def _server_leases(self, record: ServerRecord, kind: Kind) -> int | None:
        """Return the leases that the server itself grants, None if it does not say.

        The answer is reported too, because it shows whether the server is healthy.
        """
        if kind.identify is None:
            return 0
        said = await self._server_client.ask(record, kind)
        self.on_answered(record, answer_of(record, kind, said))
        if not kind.identify.leases:
            return 0
        return said.leases if said is not None else None
