"""The reaper: judges a server when something has changed, and requests an operation when the server is an orphan."""

import asyncio
from collections.abc import Callable

from ...core.lifecycle import SERVING
from ...core.model import Origin, Ownership
from ...core.reaping import Keep, Reap, ServerSample, Suspect, Suspicion, Verdict, judge
from ...native import facts
from ...native.lane import Lane, take
from ..state.context import EngineContext
from ..state.exit_watches import ExitWatches
from .sampling import Sampler

SESSION_INTERVAL_S = 1.0
"""How often a server is judged while only its sessions or leases keep it, because no event reports their end."""

AFTER_FAILURE_S = 5.0
"""The pause before a server is judged again, if judging it has failed."""

MARKS_INTERVAL_S = 20.0
"""How often the mark of an adopted server is made again, if another program has removed it; also how often a server is
judged that another home may need."""

IDLE_SAMPLES = 10
"""The number of samples of a server without owners within its `idle_s`, because sessions may come and go in between."""


class Reaper:
    """Judges servers, and never stops one.

    `on_orphan` gets the id of an orphan, and requests an operation. That is admitted like those of clients, and judges
    the server again. `on_living_owner` gets an owner that keeps a server, so that the owner's exit is watched.
    """

    def __init__(self, context: EngineContext, sampler: Sampler, exit_watches: ExitWatches) -> None:
        """`exit_watches` knows the processes whose end is noticed without a sample."""
        self._context = context
        self.sampler = sampler
        self._exit_watches = exit_watches
        self.on_orphan: Callable[[str], None]
        self.on_living_owner: Callable[[Ownership], None]
        self._suspicions: dict[str, Suspicion] = {}
        self._verdicts: dict[str, Verdict] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._judge_once_more: set[str] = set()
        self._closed = False
        self._verdict_revision = 0

    @property
    def revision(self) -> int:
        """A number that rises with every verdict, and with every count of sessions."""
        return self._verdict_revision + self.sampler.revision

    def last_verdict(self, server_id: str) -> Verdict | None:
        """Return the last verdict on a server, None if it was not judged yet."""
        return self._verdicts.get(server_id)

    def judge_soon(self, server_id: str) -> None:
        """Judge a server in a task of its own, and report an orphan to `on_orphan`.

        If such a task is under way, the server is judged once more after it.
        """
        if self._closed:
            return
        if server_id in self._tasks:
            self._judge_once_more.add(server_id)
            return
        self._set_timer(server_id, None)
        task = asyncio.get_running_loop().create_task(self._report_orphan(server_id), name=f"judge {server_id}")
        self._tasks[server_id] = task
        task.add_done_callback(lambda done: self._task_ended(server_id, done))

    async def judge_now(self, server_id: str) -> Verdict | None:
        """Take a sample, and return the verdict, None if the server is in a state in which it is not judged."""
        while True:
            record = self._context.records.servers.get(server_id)
            if record is None or record.state not in SERVING:
                self.forget(server_id)
                return None
            sample = await self.sampler.take(record, self._context.kind_of(record))
            # A record that has got another launch or other claims since then needs a new sample.
            current = self._context.records.servers.get(server_id)
            if current is not None and (current.launch, current.generation) == (sample.launch, sample.generation):
                break
        verdict = judge(self._suspicions.get(server_id), sample)
        self._follow_up(server_id, verdict, sample)
        return verdict

    def forget(self, server_id: str) -> None:
        """Forget a server that has gone or is being stopped."""
        self._suspicions.pop(server_id, None)
        self._verdicts.pop(server_id, None)
        self.sampler.forget(server_id)
        self._exit_watches.disarm(_watch_of_successor(server_id))
        self._verdict_revision += 1
        self._set_timer(server_id, None)

    def close(self) -> None:
        """Judge no more servers."""
        self._closed = True
        for server_id in list(self._timers):
            self._set_timer(server_id, None)
        for task in self._tasks.values():
            task.cancel()

    async def _report_orphan(self, server_id: str) -> None:
        take(Lane.JUDGING)
        verdict = await self.judge_now(server_id)
        if isinstance(verdict, Reap) and not self._closed:
            self.on_orphan(server_id)

    def _task_ended(self, server_id: str, task: asyncio.Task[None]) -> None:
        del self._tasks[server_id]
        if not task.cancelled() and (error := task.exception()) is not None:
            self._context.events.report_failure("reaper.failed", error, server=server_id)
            self._set_timer(server_id, AFTER_FAILURE_S)
        if server_id in self._judge_once_more:
            self._judge_once_more.discard(server_id)
            self.judge_soon(server_id)

    def _follow_up(self, server_id: str, verdict: Verdict, sample: ServerSample) -> None:
        """Remember a verdict, publish what is new in it, and plan when the server is judged again."""
        suspicion_before = self._suspicions.pop(server_id, None)
        self._verdicts[server_id] = verdict
        self._verdict_revision += 1
        publish = self._context.events.publish
        self._watch_successor(server_id, sample)
        match verdict:
            case Keep(reasons, watch_sessions):
                if suspicion_before is not None:
                    publish("server.suspicion_cleared", server=server_id, launch=sample.launch, reasons=reasons)
                pause_s = SESSION_INTERVAL_S if watch_sessions else self._pause_s(server_id, sample)
                self._set_timer(server_id, pause_s)
                self._report_living_owners(server_id, sample)
            case Suspect(suspicion, reasons):
                self._suspicions[server_id] = suspicion
                if suspicion != suspicion_before:
                    publish(
                        "server.suspected",
                        server=server_id,
                        launch=sample.launch,
                        sampled=sample.ended,
                        due=suspicion.due,
                        reasons=reasons,
                    )
                pause_s = sample.grace_s if sample.ends_with_owners else sample.idle_s / IDLE_SAMPLES
                self._set_timer(server_id, min(suspicion.due - sample.ended, max(pause_s, SESSION_INTERVAL_S)))
            case Reap(suspicion):
                self._suspicions[server_id] = suspicion

    def _watch_successor(self, server_id: str, sample: ServerSample) -> None:
        """Judge a server again as soon as the editor has ended that was starting for it."""
        name = _watch_of_successor(server_id)
        if sample.successor is None:
            self._exit_watches.disarm(name)
        else:
            self._exit_watches.arm(name, sample.successor.process, lambda: self.judge_soon(server_id))

    def _report_living_owners(self, server_id: str, sample: ServerSample) -> None:
        """Report the owners that keep a server, unless their end would be noticed anyway."""
        owners = self._context.records.servers[server_id].owners
        keeping = [owner for owner, fact in zip(owners, sample.owners, strict=True) if fact.holds]
        for number, owner in enumerate(keeping):
            # The first was sampled and lives. So a report of its exit came too early, and it is watched again.
            if number == 0 or not self._exit_watches.is_watched(owner.process):
                self.on_living_owner(owner)

    def _pause_s(self, server_id: str, sample: ServerSample) -> float | None:
        """Return after how many seconds something that keeps the server may end without an event, None if nothing."""
        record = self._context.records.servers[server_id]
        linger_s = self._context.kind_of(record).linger_s
        lingering = {owner.editor for owner in sample.owners if owner.lingering}
        ends = [
            owner.leaving_since + linger_s
            for owner in record.owners
            if owner.editor in lingering and owner.leaving_since is not None
        ]
        if sample.successor is not None:
            ends.append(sample.successor.until)
        ends += [lease.expires for lease in record.leases if lease.expires > sample.began]
        if record.foreign and self.sampler.exemption(record) is None:
            # The record itself exempts nothing, so an exemption in the sample comes from the mark of another home.
            adopted_elsewhere = sample.exemption is not None
            if record.origin is Origin.ADOPTED or adopted_elsewhere:
                ends.append(sample.ended + MARKS_INTERVAL_S)
        return max(0.0, min(ends) - sample.ended) if ends else None

    def _set_timer(self, server_id: str, delay_s: float | None) -> None:
        """Judge the server after a delay, and not at the time that was planned before. None: plan no time."""
        timer = self._timers.pop(server_id, None)
        if timer is not None:
            timer.cancel()
        if delay_s is not None and not self._closed:
            # A timer may fire one clock tick early, and the sample must not come before its time.
            delay_s = max(0.0, delay_s) + facts.TICK_S + 0.001
            self._timers[server_id] = asyncio.get_running_loop().call_later(delay_s, self.judge_soon, server_id)


def _watch_of_successor(server_id: str) -> str:
    return f"successor for {server_id}"
