"""Tool calls in the engine: what ends them, who waits for whom, and what is told of it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.tool_calls import WAIT_S, WAITING_MAX
from supervisor.engine.claims.calls.events import LONG_S, TOLD_EVERY_S, TOLD_MAX
from supervisor.engine.claims.calls.tool_calls import CALLS_MAX, ToolCalls
from supervisor.engine.claims.calls.tracked import CallMaker, NewCall
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.starting.resolve import EnsureRequest
from supervisor.errors import Busy, Cancelled, EditorBusy, InvalidParams, NotFound
from tests.engine.harness import TOY, EngineHarness

Story = Callable[[EngineHarness, ToolCalls], Awaitable[None]]


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def tell(harness: EngineHarness, story: Story, gate: str = "serialize") -> None:
    """Run a story with a ready server, whose kind has this gate."""
    harness.tables = {"toy": {**TOY, "gate": gate}, "solo": {**TOY, "topology": "per-editor", "gate": gate}}

    async def life() -> None:
        await harness.up()
        await story(harness, harness.engine.ai_clients.tool_calls)

    harness.run(life)


def maker(name: str = "claude-code 2", project: str | None = None) -> CallMaker:
    return CallMaker(name, project=project)


def call(number: int = 1, tool: str = "write", server: str = "toy", **fields: Any) -> NewCall:
    return NewCall(number, server, tool, **fields)


def test_a_call_waits_for_another_clients_call(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        first, second = maker(), maker()
        assert calls.begin(first, call()) is None
        waits = calls.begin(second, call())
        assert waits is not None
        assert [each.waits for each in calls.of_server("toy")] == [False, True]
        await asyncio.sleep(1)
        assert calls.end(first, 1) == pytest.approx(1, abs=0.01)
        await waits
        assert [each.maker for each in calls.of_server("toy")] == [second]
        assert (first.calls, second.calls) == (1, 1)

    tell(harness, story)


def test_the_refusal_says_who_runs_what_and_since_when(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        first, second = maker(), maker()
        first.client, first.pid = "claude-code-1", 77
        calls.begin(first, call(tool="scene_create"))
        waits = calls.begin(second, call())
        assert waits is not None
        with pytest.raises(EditorBusy, match=r"claude-code 2 runs scene_create, for 2\.0 s") as caught:
            await waits
        assert (caught.value.retryable, caught.value.retry_after_ms) == (True, 1000)
        running = caught.value.data["running"]
        expected = {"client": "claude-code-1", "name": "claude-code 2", "pid": 77, "tool": "scene_create"}
        assert running == {**running, **expected, "elapsed_ms": WAIT_S * 1000}
        assert second.calls == 0
        [refused] = harness.events.of("call.refused")
        assert "runs scene_create" in refused["why"]
        with pytest.raises(EditorBusy, match="another call of this client"):
            await (calls.begin(first, call(2)) or asyncio.sleep(0))

    tell(harness, story)


def test_calls_that_only_read_pass_and_hold_up_no_other(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        assert calls.begin(client, call(1)) is None
        assert calls.begin(client, call(2, "look", read_only=True)) is None
        calls.end(client, 1)
        assert calls.begin(client, call(3)) is None

    tell(harness, story, "reject")


def test_without_a_gate_every_call_runs_at_once(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        assert [calls.begin(client, call(number)) for number in range(5)] == [None] * 5
        for number in range(5):
            calls.end(client, number)
        assert harness.events.of("call.began") == harness.events.of("call.ended") == []

    tell(harness, story, "off")


def test_the_end_of_a_connection_frees_the_editor(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        first, second, third = maker(), maker(), maker()
        calls.begin(first, call())
        waits = calls.begin(second, call())
        last = calls.begin(third, call())
        assert waits is not None
        assert last is not None
        calls.leave(first)
        await waits
        calls.leave(second)
        await last
        assert [event["how"] for event in harness.events.of("call.ended")] == ["its client has gone"] * 2

    tell(harness, story)


def test_a_cancelled_call_leaves_the_queue(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        first, second, third = maker(), maker(), maker()
        calls.begin(first, call())
        never, waits = calls.begin(second, call()), calls.begin(third, call())
        assert never is not None
        assert waits is not None
        calls.end(second, 1)
        with pytest.raises(Cancelled):
            await never
        calls.end(first, 1)
        await waits
        assert len(calls.of_server("toy")) == 1

    tell(harness, story)


def test_calls_end_when_their_server_ends(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        first, second = maker(), maker()
        calls.begin(first, call())
        calls.report(first, 9, [call(5, "look")])
        waits = calls.begin(second, call())
        assert waits is not None
        process = harness.records.server("toy").process
        assert process is not None
        harness.system.end(process)
        with pytest.raises(Cancelled, match="toy has ended"):
            await waits
        assert calls.of_server("toy") == ()
        with pytest.raises(NotFound):
            calls.end(first, 1)
        await harness.up()
        assert calls.begin(first, call()) is None

    tell(harness, story)


def test_calls_for_different_editors_run_side_by_side(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        for name in ("p", "q"):
            (harness.folder / name).mkdir()
        here, there = str(harness.folder / "p"), str(harness.folder / "q")
        one, other = harness.editor(), harness.editor()
        harness.attachments.attach(Arrival(one.pid, project=here))
        harness.attachments.attach(Arrival(other.pid, project=there))
        client = maker(project=here)
        assert calls.begin(client, call(1, editor_pid=one.pid)) is None
        assert calls.begin(client, call(2, editor_pid=other.pid)) is None
        # The project names the same editor as the pid.
        with pytest.raises(EditorBusy):
            await (calls.begin(client, call(3)) or asyncio.sleep(0))
        with pytest.raises(EditorBusy):
            await (calls.begin(maker(project=there), call(4)) or asyncio.sleep(0))
        assert calls.begin(maker(project=str(harness.folder)), call(5)) is None
        with pytest.raises(EditorBusy):
            await (calls.begin(maker(), call(6)) or asyncio.sleep(0))

    tell(harness, story, "reject")


def test_a_server_with_a_project_runs_one_call(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        (harness.folder / "p").mkdir()
        server = (await harness.up(kind="solo", project=str(harness.folder / "p"))).id
        assert calls.begin(maker(), call(1, server=server, editor_pid=4)) is None
        with pytest.raises(EditorBusy):
            await (calls.begin(maker(), call(1, server=server, editor_pid=5)) or asyncio.sleep(0))
        assert calls.begin(maker(), call(1)) is None

    tell(harness, story, "reject")


def test_a_busy_editor_refuses_calls_that_wait_already(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        process = harness.editor()
        editor = harness.attachments.attach(Arrival(process.pid, project=str(harness.folder)))
        first, second = maker(project=editor.project), maker(project=editor.project)
        calls.begin(first, call())
        waits = calls.begin(second, call())
        assert waits is not None
        harness.attachments.occupy(editor.id, "importing", 30)
        with pytest.raises(EditorBusy, match="importing") as caught:
            await waits
        assert caught.value.retry_after_ms == caught.value.data["remaining_ms"] == 30_000
        await asyncio.sleep(10)
        with pytest.raises(EditorBusy) as caught:
            calls.begin(second, call(2, editor_pid=process.pid))
        expected = {"cause": "editor", "editor": editor.id, "elapsed_ms": 10_000, "remaining_ms": 20_000}
        assert caught.value.data == {**caught.value.data, **expected}
        harness.system.end(process)
        calls.end(first, 1)
        assert calls.begin(second, call(3)) is None

    tell(harness, story)


def test_an_editor_that_has_detached_keeps_no_call_away(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        editor = harness.attachments.attach(Arrival(harness.editor().pid, project=str(harness.folder)))
        harness.attachments.occupy(editor.id, "importing", 3600)
        with pytest.raises(EditorBusy):
            await (calls.begin(maker(project=editor.project), call()) or asyncio.sleep(0))
        harness.attachments.detach(editor.id, stop=False)
        assert calls.begin(maker(project=editor.project), call()) is None

    tell(harness, story)


def test_no_call_is_admitted_to_an_editor_that_gets_busy(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        for name in ("p", "q"):
            (harness.folder / name).mkdir()
        here, there = str(harness.folder / "p"), str(harness.folder / "q")
        editor = harness.attachments.attach(Arrival(harness.editor().pid, project=there))
        await harness.supervisor.ensure(EnsureRequest("toy", editor))
        calls.begin(maker(project=here), call())
        # The last call waits only for the one before it, which waits for the first one and is refused.
        waiting = [calls.begin(maker(), call()), calls.begin(maker(project=there), call())]
        harness.attachments.occupy(editor.id, "importing", 30)
        for each in waiting:
            assert each is not None
            with pytest.raises(EditorBusy, match="importing"):
                await each
        assert len(calls.of_server("toy")) == len(harness.events.of("call.began")) == 1

    tell(harness, story)


def test_thousands_of_waiting_calls_have_a_limit(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        calls.begin(maker(), call())
        crowd = [maker() for _ in range(3000)]
        waiting = []
        for each in crowd:
            try:
                waiting.append(calls.begin(each, call()))
            except EditorBusy as problem:
                assert problem.data["cause"] == "queue"  # noqa: PT017 (of each one)
        assert len(waiting) == WAITING_MAX
        outcomes = await asyncio.gather(*(each for each in waiting if each is not None), return_exceptions=True)
        assert {type(each) for each in outcomes} == {EditorBusy}
        assert len(calls.of_server("toy")) == 1

    tell(harness, story)


def test_impossible_calls_are_typed_errors(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        with pytest.raises(NotFound):
            calls.begin(client, call(server="nowhere"))
        with pytest.raises(NotFound):
            calls.end(client, 7)
        calls.begin(client, call())
        with pytest.raises(InvalidParams, match="call 1 has begun"):
            calls.begin(client, call())
        for number in range(2, CALLS_MAX + 1):
            calls.begin(client, call(number, read_only=True))
        with pytest.raises(Busy, match="256 calls"):
            calls.begin(client, call(0, read_only=True))
        calls.leave(client)
        calls.leave(client)
        await harness.supervisor.stop("toy")
        with pytest.raises(NotFound):
            calls.begin(client, call())

    tell(harness, story)


def test_a_report_replaces_the_one_before(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        calls.report(client, 3, [call(1, elapsed_s=1.5), call(2), call(3, server="nowhere")])
        assert [each.own_number for each in calls.of_maker(client)] == [1, 2]
        began = calls.of_maker(client)[0].since
        await asyncio.sleep(LONG_S)
        calls.report(client, 4, [call(1, elapsed_s=1.5 + LONG_S)])
        assert [each.since for each in calls.of_maker(client)] == [began]
        [ended] = harness.events.of("call.ended")
        assert ended["ran_s"] == pytest.approx(LONG_S, abs=0.1)
        calls.report(client, 4, [])
        assert client.calls == 4
        assert calls.of_server("toy") == ()

    tell(harness, story, "off")


def test_calls_of_an_earlier_daemon_keep_the_editor(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        calls.resume(client, [call(4, elapsed_s=3), call(5, server="nowhere")])
        with pytest.raises(EditorBusy, match=r"for 3\.0 s"):
            await (calls.begin(maker(), call()) or asyncio.sleep(0))
        calls.end(client, 4)
        assert calls.begin(maker(), call()) is None

    tell(harness, story, "reject")


def test_many_calls_do_not_flood_the_events(harness: EngineHarness) -> None:
    async def story(harness: EngineHarness, calls: ToolCalls) -> None:
        client = maker()
        for number in range(1000):
            calls.begin(client, call(number))
            calls.end(client, number)
        assert len(harness.events.of("call.began")) == len(harness.events.of("call.ended")) == TOLD_MAX
        await asyncio.sleep(TOLD_EVERY_S)
        calls.begin(client, call(1))
        assert harness.events.of("call.began")[-1]["untold"] == 1000 - TOLD_MAX

    tell(harness, story)


def test_idle_gates_have_no_timer(harness: EngineHarness) -> None:
    async def story(_: EngineHarness, calls: ToolCalls) -> None:
        first, second = maker(), maker()
        calls.begin(first, call())
        assert calls._gates._timer is None
        waits = calls.begin(second, call())
        assert waits is not None
        assert calls._gates._timer is not None
        calls.end(first, 1)
        await waits
        assert calls._gates._timer is None
        calls.end(second, 1)
        assert not calls._gates._queues

    tell(harness, story)
