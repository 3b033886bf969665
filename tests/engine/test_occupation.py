import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Editor, ServerRecord, ServerState
from supervisor.engine.claims.editors import Arrival
from supervisor.errors import Busy, NotFound
from tests.engine.harness import EngineHarness

TTL_S = 60.0


async def owned(harness: EngineHarness) -> tuple[ServerRecord, Editor]:
    """Return a server, and the editor that owns it."""
    record = await harness.up(harness.editor())
    (editor,) = harness.records.editors.values()
    return record, editor


def disturb(harness: EngineHarness, verb: str, **how: Any) -> Coroutine[Any, Any, ServerRecord]:
    operation = harness.supervisor.stop if verb == "stop" else harness.supervisor.restart
    return operation("toy", **how)


both = pytest.mark.parametrize("verb", ["stop", "restart"])


@both
def test_a_busy_editors_server_is_not_disturbed_by_others(harness: EngineHarness, verb: str) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        await asyncio.sleep(2)
        other = harness.attachments.attach(Arrival(harness.editor().pid))
        for requester in (None, other.id):
            with pytest.raises(Busy, match="importing") as caught:
                await disturb(harness, verb, editor=requester)
            assert caught.value.retryable
            assert caught.value.retry_after_ms == (TTL_S - 2) * 1000
            assert caught.value.data["reason"] == "importing"
            assert caught.value.data["requested"] == f"server.{verb}"
            running = {"method": "editor.state", "request": None, "holder": editor.id, "elapsed_ms": 2000}
            assert caught.value.data["running"] == running
        assert harness.alive(record.process)
        assert harness.events.of("signal.sent") == []
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


@both
@pytest.mark.parametrize("excuse", ["it asks itself", "force", "ready again", "expired", "dead", "released", "leaving"])
def test_reasons_that_let_a_busy_editors_server_be_disturbed(harness: EngineHarness, verb: str, excuse: str) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        await harness.up(harness.editor())
        how: dict[str, Any] = {}
        match excuse:
            case "it asks itself":
                how = {"editor": editor.id}
            case "force":
                how = {"force": True}
            case "ready again":
                harness.attachments.occupy(editor.id, None, TTL_S)
            case "expired":
                await asyncio.sleep(TTL_S)
            case "dead":
                harness.system.end(editor.process)
            case "released":
                harness.attachments.release_server("toy", editor.id)
            case "leaving":
                harness.attachments.detach(editor.id, stop=False)
        await disturb(harness, verb, **how)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_repeated_busy_counts_from_the_first(harness: EngineHarness) -> None:
    async def story() -> None:
        _, editor = await owned(harness)
        for _ in range(5):
            harness.attachments.occupy(editor.id, "playing", TTL_S)
            await asyncio.sleep(TTL_S - 1)
        with pytest.raises(Busy) as caught:
            await disturb(harness, "stop")
        assert caught.value.data["running"]["elapsed_ms"] == 5 * (TTL_S - 1) * 1000
        assert caught.value.retry_after_ms == 1000
        await asyncio.sleep(1)
        await disturb(harness, "stop")

    harness.run(story)


def test_a_busy_editor_does_not_block_other_editors(harness: EngineHarness) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        assert (await harness.up(harness.editor())).process == record.process
        assert (await harness.up()).process == record.process

    harness.run(story)


def test_a_server_that_ends_while_its_editor_is_busy_is_started_again(harness: EngineHarness) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        assert record.process is not None
        harness.system.end(record.process, 3)
        await asyncio.sleep(1)
        assert harness.records.server("toy").state is ServerState.READY

    harness.run(story)


def test_a_busy_editor_that_dies_does_not_save_its_server(harness: EngineHarness) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        harness.system.end(editor.process)
        await asyncio.sleep(6)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_busy_editor_disturbs_only_its_own_servers(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        mine, other = tmp_path / "mine", tmp_path / "other"
        mine.mkdir()
        other.mkdir()
        await harness.up(harness.editor(), kind="solo", project=str(mine))
        record = await harness.up(harness.editor(), kind="solo", project=str(other))
        busy = next(editor for editor in harness.records.editors.values() if editor.project == str(mine))
        harness.attachments.occupy(busy.id, "importing", TTL_S)
        await harness.supervisor.stop(record.id)
        assert not harness.alive(record.process)

    harness.run(story)


def test_a_change_of_state_is_published_once_with_its_reason_and_its_time(harness: EngineHarness) -> None:
    async def story() -> None:
        _, editor = await owned(harness)
        harness.attachments.occupy(editor.id, None, TTL_S)
        assert harness.events.of("editor.state") == []
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        harness.attachments.occupy(editor.id, "importing", TTL_S)
        harness.attachments.occupy(editor.id, "compiling", TTL_S)
        harness.attachments.occupy(editor.id, None, TTL_S)
        told = [(row["editor"], row["state"], row["reason"]) for row in harness.events.of("editor.state")]
        assert told == [
            (editor.id, "busy", "importing"),
            (editor.id, "busy", "compiling"),
            (editor.id, "ready", None),
        ]
        assert harness.events.of("editor.state")[0]["ttl_s"] == TTL_S

    harness.run(story)


def test_a_busy_state_does_not_outlive_the_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        _, editor = await owned(harness)
        harness.attachments.occupy(editor.id, "importing", TTL_S)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        await later.supervisor.stop("toy")

    later.run(second)


def test_an_unknown_editor_has_no_state(harness: EngineHarness) -> None:
    async def story() -> None:
        with pytest.raises(NotFound, match="nobody-1"):
            harness.attachments.occupy("nobody-1", "importing", TTL_S)

    harness.run(story)


# --- released ---------------------------------------------------------------------------------------------------------


def test_a_released_server_ends_after_one_grace(
    harness: EngineHarness,
) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        assert harness.attachments.release_server("toy", editor.id).owners == ()
        await asyncio.sleep(4)
        assert harness.alive(record.process)
        await asyncio.sleep(2)
        assert not harness.alive(record.process)
        assert editor.id in harness.records.editors
        names = [row["event"] for row in harness.events.recorded]
        assert names.index("server.released") < names.index("server.suspected") < names.index("server.reaped")

    harness.run(story)


def test_a_server_that_one_of_two_owners_releases_is_kept(harness: EngineHarness) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        other = harness.editor()
        await harness.up(other)
        harness.attachments.release_server("toy", editor.id)
        await asyncio.sleep(3600)
        assert harness.alive(record.process)
        harness.system.end(other)
        await asyncio.sleep(6)
        assert not harness.alive(record.process)

    harness.run(story)


def test_an_editor_that_released_a_server_may_have_it_again(harness: EngineHarness) -> None:
    async def story() -> None:
        record, editor = await owned(harness)
        harness.attachments.release_server("toy", editor.id)
        await asyncio.sleep(2)
        assert (await harness.up(editor.process)).process == record.process
        await asyncio.sleep(3600)
        assert harness.alive(record.process)

    harness.run(story)


def test_a_server_that_the_editor_does_not_own_is_not_released(harness: EngineHarness) -> None:
    async def story() -> None:
        _, editor = await owned(harness)
        other = harness.attachments.attach(Arrival(harness.editor().pid))
        for server, owner in (("toy", other.id), ("toy", "nobody-1"), ("nothing", editor.id)):
            with pytest.raises(NotFound):
                harness.attachments.release_server(server, owner)
        assert [owner.editor for owner in harness.records.server("toy").owners] == [editor.id]

    harness.run(story)


def test_a_release_outlives_the_daemon(harness: EngineHarness) -> None:
    async def first() -> None:
        _, editor = await owned(harness)
        harness.attachments.release_server("toy", editor.id)

    harness.run(first)
    later = harness.restarted()

    async def second() -> None:
        assert later.records.server("toy").owners == ()
        await asyncio.sleep(6)
        assert later.records.servers == {}

    later.run(second)
