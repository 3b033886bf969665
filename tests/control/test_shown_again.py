"""What lists show is kept until something happens: everything that happens has to be seen in them."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from supervisor.control.methods.assembly import all_methods
from supervisor.control.methods.daemon import About
from supervisor.control.methods.table import MethodTable
from supervisor.control.views import Views
from supervisor.core.model import ProcessIdentity
from supervisor.engine.logs.tail import LogTail
from supervisor.engine.state.exit_watches import ExitWatches
from supervisor.wire import fields, framing, text
from supervisor.wire.messages.daemon import Status, StatusResult
from tests.engine.house import House

Story = Callable[[House, Views, ProcessIdentity], Awaitable[None]]


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def views(house: House) -> Views:
    return Views(house.engine.context, house.supervisor.reaper, house.engine.exit_watches)


async def nothing_waits() -> tuple[str, ...]:
    return ()


def methods(house: House, views: Views, notes: list[str]) -> MethodTable:
    context, engine = house.engine.context, house.engine
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
        shut_down=lambda servers: None,  # noqa: ARG005 (nobody asks)
    )
    logs = LogTail(context, Path("daemon.log"))
    return all_methods(engine.supervisor, engine.claims, context, views, about, logs, engine.housekeeping)


def tell(house: House, story: Story) -> None:
    """A server that is ready, for an editor that lives."""

    async def life() -> None:
        editor = house.editor()
        await house.up(editor)
        await asyncio.sleep(1)
        await story(house, views(house), editor)

    house.live(life)


def test_what_rests_is_looked_at_once(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        servers, editors = views.servers(), views.editors()
        await asyncio.sleep(3600)
        assert views.servers() is servers
        assert views.editors() is editors

    tell(house, story)


def test_an_owner_that_has_ended_is_shown_so_at_once(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:
        assert views.servers()[0].owners[0].liveness == "alive"
        house.system.end(editor)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert [owner.liveness for owner in views.servers()[0].owners] == ["dead"]
        assert views.editors()[0].liveness == "dead"

    tell(house, story)


def test_what_counts_down_is_looked_at_each_time(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        views.servers()
        lease = house.claims.acquire("toy", "an AI client", 60)[1]
        assert views.servers()[0].leases[0].expires_in_s == pytest.approx(60)
        house.system.clock.now += 10
        assert views.servers()[0].leases[0].expires_in_s == pytest.approx(50)
        house.claims.give_back(lease.id)
        assert views.servers()[0].leases == ()
        house.claims.detach(next(iter(house.records.editors)), stop=True)
        await asyncio.sleep(1)
        first = views.servers()[0].reap
        house.system.clock.now += 2
        second = views.servers()[0].reap
        assert (first.verdict, second.verdict) == ("suspect", "suspect")
        assert first.due_in_s is not None
        assert second.due_in_s == pytest.approx(first.due_in_s - 2)

    tell(house, story)


def test_whose_end_nobody_would_notice_is_asked_for_each_time(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:
        views = Views(house.engine.context, house.supervisor.reaper, ExitWatches(house.engine.context.platform.exits))
        assert (views.servers()[0].owners[0].liveness, views.editors()[0].liveness) == ("alive", "alive")
        house.system.end(editor)
        assert (views.servers()[0].owners[0].liveness, views.editors()[0].liveness) == ("dead", "dead")

    tell(house, story)


def test_every_watch_and_every_verdict_is_news(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        exit_watches, reaper = house.engine.exit_watches, house.supervisor.reaper
        seen = [exit_watches.revision]
        other = house.editor()
        exit_watches.arm("other", other, lambda: None)
        seen.append(exit_watches.revision)
        exit_watches.disarm("other")
        seen.append(exit_watches.revision)
        assert seen == sorted(set(seen)), "armed, and disarmed"
        seen = [reaper.revision]
        await reaper.sample("toy")
        seen.append(reaper.revision)
        reaper.forget("toy")
        seen.append(reaper.revision)
        assert seen == sorted(set(seen)), "judged, and forgotten"

    tell(house, story)


def test_a_busy_editor_is_shown_until_its_time_is_over(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        (name,) = house.records.editors
        assert views.editors()[0].state == "ready"
        house.claims.occupy(name, "exports", 30)
        assert (views.editors()[0].state, views.editors()[0].busy) == ("busy", "exports")
        await asyncio.sleep(31)
        assert views.editors()[0].state == "ready"

    tell(house, story)


def test_sessions_and_verdicts_are_shown_as_they_are_counted(house: House) -> None:
    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:
        assert views.servers()[0].sessions is None
        await house.supervisor.check("toy")
        assert views.servers()[0].sessions == house.supervisor.reaper.sessions("toy")
        house.claims.detach(next(iter(house.records.editors)), stop=True)
        await asyncio.sleep(1)
        assert views.servers()[0].reap.verdict == "suspect"
        await house.up(editor)
        await asyncio.sleep(1)
        assert views.servers()[0].reap.verdict == "keep"
        await house.supervisor.stop("toy")
        assert views.servers() == ()

    tell(house, story)


def test_a_status_is_put_together_once(house: House) -> None:
    notes: list[str] = []

    async def story(house: House, views: Views, editor: ProcessIdentity) -> None:  # noqa: ARG001 (the story's)
        method = methods(house, views, notes).find("status")

        def status() -> StatusResult:
            answer = method.answer(Status())
            assert isinstance(answer, StatusResult)
            assert text.json_of(answer) == framing.to_text(fields.encode(answer))
            return answer

        first = status()
        assert status() is first
        notes.append("the disk is full")
        assert status().daemon.notes == ("the disk is full",)
        house.claims.acquire("toy", "an AI client", 60)
        assert status().servers[0].leases

    tell(house, story)
