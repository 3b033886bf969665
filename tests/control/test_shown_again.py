"""Views are kept until an event, and every event is visible in them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from supervisor.control.methods.assembly import all_methods
from supervisor.control.methods.daemon import About
from supervisor.control.methods.table import MethodTable
from supervisor.control.views import Views
from supervisor.core.model import ProcessIdentity
from supervisor.engine.logs.reader import LogReader
from supervisor.engine.state.exit_watches import ExitWatches
from supervisor.wire import fields, framing, json_text
from supervisor.wire.messages.daemon import Status, StatusResult
from tests.engine.harness import EngineHarness

Story = Callable[[EngineHarness, Views, ProcessIdentity], Awaitable[None]]


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def views(harness: EngineHarness) -> Views:
    return Views(
        harness.engine.context, harness.engine.inspector.reaper, harness.engine.exit_watches, harness.engine.ai_clients
    )


async def nothing_waits() -> tuple[str, ...]:
    return ()


def methods(harness: EngineHarness, views: Views, notes: list[str]) -> MethodTable:
    context, engine = harness.engine.context, harness.engine
    about = About(
        pid=1,
        instance_id="one",
        version="0",
        started_at=0.0,
        home="/home",
        config="/config.toml",
        logs="/logs",
        environments="/environments",
        event_loop="a loop",
        notes=lambda: tuple(notes),
        reload=nothing_waits,
        shut_down=lambda servers: None,  # noqa: ARG005 (not called)
    )
    logs = LogReader(context, Path("daemon.log"))
    return all_methods(engine, views, about, logs)


def tell(harness: EngineHarness, story: Story) -> None:
    """Run a story with a ready server and a living editor."""

    async def life() -> None:
        editor = harness.editor()
        await harness.up(editor)
        await asyncio.sleep(1)
        await story(harness, views(harness), editor)

    harness.run(life)


def test_an_unchanged_view_is_built_once(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        servers, editors = views.servers(), views.editors()
        await asyncio.sleep(3600)
        assert views.servers() is servers
        assert views.editors() is editors

    tell(harness, story)


def test_an_ended_owner_is_shown_at_once(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:
        assert views.servers()[0].owners[0].liveness == "alive"
        harness.system.end(editor)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [owner.liveness for owner in views.servers()[0].owners] == ["dead"]
        assert views.editors()[0].liveness == "dead"

    tell(harness, story)


def test_a_view_with_a_countdown_is_built_each_time(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        views.servers()
        lease = harness.attachments.acquire_lease("toy", "an AI client", 60)[1]
        assert views.servers()[0].leases[0].expires_in_s == pytest.approx(60)
        harness.system.clock.now += 10
        assert views.servers()[0].leases[0].expires_in_s == pytest.approx(50)
        harness.attachments.release_lease(lease.id)
        assert views.servers()[0].leases == ()
        harness.attachments.detach(next(iter(harness.records.editors)), stop=True)
        await asyncio.sleep(1)
        first = views.servers()[0].reap
        harness.system.clock.now += 2
        second = views.servers()[0].reap
        assert (first.verdict, second.verdict) == ("suspect", "suspect")
        assert first.due_in_s is not None
        assert second.due_in_s == pytest.approx(first.due_in_s - 2)

    tell(harness, story)


def test_an_unwatched_owner_is_probed_for_each_view(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:
        engine = harness.engine
        unwatched = ExitWatches(engine.context.platform.exits)
        views = Views(engine.context, engine.inspector.reaper, unwatched, engine.ai_clients)
        assert (views.servers()[0].owners[0].liveness, views.editors()[0].liveness) == ("alive", "alive")
        harness.system.end(editor)
        assert (views.servers()[0].owners[0].liveness, views.editors()[0].liveness) == ("dead", "dead")

    tell(harness, story)


def test_every_new_watch_and_verdict_is_shown(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        exit_watches, reaper = harness.engine.exit_watches, harness.engine.inspector.reaper
        seen = [exit_watches.revision]
        other = harness.editor()
        exit_watches.arm("other", other, lambda: None)
        seen.append(exit_watches.revision)
        exit_watches.disarm("other")
        seen.append(exit_watches.revision)
        assert seen == sorted(set(seen)), "armed, and disarmed"
        seen = [reaper.revision]
        await reaper.judge_now("toy")
        seen.append(reaper.revision)
        reaper.forget("toy")
        seen.append(reaper.revision)
        assert seen == sorted(set(seen)), "judged, and forgotten"

    tell(harness, story)


def test_a_busy_editor_is_shown_as_busy_until_its_time_is_over(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        (name,) = harness.records.editors
        assert views.editors()[0].state == "ready"
        harness.attachments.occupy(name, "exports", 30)
        assert (views.editors()[0].state, views.editors()[0].busy) == ("busy", "exports")
        await asyncio.sleep(31)
        assert views.editors()[0].state == "ready"

    tell(harness, story)


def test_sessions_and_verdicts_are_shown_at_once(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:
        assert views.servers()[0].sessions is None
        await harness.engine.inspector.check("toy")
        assert views.servers()[0].sessions == harness.engine.inspector.reaper.sampler.last_session_count("toy")
        harness.attachments.detach(next(iter(harness.records.editors)), stop=True)
        await asyncio.sleep(1)
        assert views.servers()[0].reap.verdict == "suspect"
        await harness.up(editor)
        await asyncio.sleep(1)
        assert views.servers()[0].reap.verdict == "keep"
        await harness.supervisor.stop("toy")
        assert views.servers() == ()

    tell(harness, story)


def test_an_unchanged_status_is_built_once(harness: EngineHarness) -> None:
    notes: list[str] = []

    async def story(harness: EngineHarness, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        method = methods(harness, views, notes).find("status")

        def status() -> StatusResult:
            answer = method.answer(Status())
            assert isinstance(answer, StatusResult)
            assert json_text.json_of(answer) == framing.to_text(fields.encode(answer))
            return answer

        first = status()
        assert status() is first
        notes.append("the disk is full")
        assert status().daemon.notes == ("the disk is full",)
        harness.attachments.acquire_lease("toy", "an AI client", 60)
        assert status().servers[0].leases

    tell(harness, story)
