import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Editor, ServerRecord, ServerState
from supervisor.engine.holders.editors import Arrival
from supervisor.errors import Busy, NotFound
from tests.engine.house import House

TTL_S = 60.0


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


async def owned(house: House) -> tuple[ServerRecord, Editor]:
    """A server, and the editor that owns it."""
    record = await house.up(house.editor())
    (editor,) = house.records.editors.values()
    return record, editor


def disturb(house: House, verb: str, **how: Any) -> Coroutine[Any, Any, ServerRecord]:
    operation = house.supervisor.stop if verb == "stop" else house.supervisor.restart
    return operation("toy", **how)


both = pytest.mark.parametrize("verb", ["stop", "restart"])


@both
def test_others_do_not_disturb_the_server_of_a_busy_editor(house: House, verb: str) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)
        await asyncio.sleep(2)
        other = house.claims.attach(Arrival(house.editor().pid))
        for asker in (None, other.id):
            with pytest.raises(Busy, match="importing") as caught:
                await disturb(house, verb, editor=asker)
            assert caught.value.retryable
            assert caught.value.retry_after_ms == (TTL_S - 2) * 1000
            assert caught.value.data["reason"] == "importing"
            assert caught.value.data["requested"] == f"server.{verb}"
            running = {"method": "editor.state", "request": None, "holder": editor.id, "elapsed_ms": 2000}
            assert caught.value.data["running"] == running
        assert house.alive(record.process)
        assert house.ear.of("signal.sent") == []
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


@both
@pytest.mark.parametrize("excuse", ["it asks itself", "force", "ready again", "expired", "dead", "released", "leaving"])
def test_what_lets_a_server_of_a_busy_editor_be_disturbed(house: House, verb: str, excuse: str) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)
        await house.up(house.editor())
        how: dict[str, Any] = {}
        match excuse:
            case "it asks itself":
                how = {"editor": editor.id}
            case "force":
                how = {"force": True}
            case "ready again":
                house.claims.occupy(editor.id, None, TTL_S)
            case "expired":
                await asyncio.sleep(TTL_S)
            case "dead":
                house.system.end(editor.process)
            case "released":
                house.claims.release("toy", editor.id)
            case "leaving":
                house.claims.detach(editor.id, stop=False)
        await disturb(house, verb, **how)
        assert not house.alive(record.process)

    house.live(story)


def test_an_editor_that_says_so_again_stays_busy_and_its_time_counts_from_the_first(house: House) -> None:
    async def story() -> None:
        _, editor = await owned(house)
        for _ in range(5):
            house.claims.occupy(editor.id, "playing", TTL_S)
            await asyncio.sleep(TTL_S - 1)
        with pytest.raises(Busy) as caught:
            await disturb(house, "stop")
        assert caught.value.data["running"]["elapsed_ms"] == 5 * (TTL_S - 1) * 1000
        assert caught.value.retry_after_ms == 1000
        await asyncio.sleep(1)
        await disturb(house, "stop")

    house.live(story)


def test_a_busy_editor_keeps_nobody_from_a_server(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)
        assert (await house.up(house.editor())).process == record.process
        assert (await house.up()).process == record.process

    house.live(story)


def test_a_server_that_ends_while_its_editor_is_busy_is_started_again(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)
        assert record.process is not None
        house.system.end(record.process, 3)
        await asyncio.sleep(1)
        assert house.records.server("toy").state is ServerState.READY

    house.live(story)


def test_a_busy_editor_that_dies_does_not_save_its_server(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)
        house.system.end(editor.process)
        await asyncio.sleep(6)
        assert not house.alive(record.process)

    house.live(story)


def test_a_busy_editor_disturbs_only_its_own_servers(house: House, tmp_path: Path) -> None:
    async def story() -> None:
        mine, other = tmp_path / "mine", tmp_path / "other"
        mine.mkdir()
        other.mkdir()
        await house.up(house.editor(), kind="solo", project=str(mine))
        record = await house.up(house.editor(), kind="solo", project=str(other))
        busy = next(editor for editor in house.records.editors.values() if editor.project == str(mine))
        house.claims.occupy(busy.id, "importing", TTL_S)
        await house.supervisor.stop(record.id)
        assert not house.alive(record.process)

    house.live(story)


def test_a_change_of_state_is_told_once_with_its_reason_and_its_time(house: House) -> None:
    async def story() -> None:
        _, editor = await owned(house)
        house.claims.occupy(editor.id, None, TTL_S)
        assert house.ear.of("editor.state") == []
        house.claims.occupy(editor.id, "importing", TTL_S)
        house.claims.occupy(editor.id, "importing", TTL_S)
        house.claims.occupy(editor.id, "compiling", TTL_S)
        house.claims.occupy(editor.id, None, TTL_S)
        told = [(row["editor"], row["state"], row["reason"]) for row in house.ear.of("editor.state")]
        assert told == [
            (editor.id, "busy", "importing"),
            (editor.id, "busy", "compiling"),
            (editor.id, "ready", None),
        ]
        assert house.ear.of("editor.state")[0]["ttl_s"] == TTL_S

    house.live(story)


def test_a_busy_state_does_not_outlive_the_daemon(house: House) -> None:
    async def first() -> None:
        _, editor = await owned(house)
        house.claims.occupy(editor.id, "importing", TTL_S)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        await later.supervisor.stop("toy")

    later.live(second)


def test_an_editor_that_nobody_knows_has_no_state(house: House) -> None:
    async def story() -> None:
        with pytest.raises(NotFound, match="nobody-1"):
            house.claims.occupy("nobody-1", "importing", TTL_S)

    house.live(story)


# --- released ---------------------------------------------------------------------------------------------------------


def test_a_server_that_its_only_editor_releases_goes_after_one_grace_and_the_editor_stays(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        assert house.claims.release("toy", editor.id).owners == ()
        await asyncio.sleep(4)
        assert house.alive(record.process)
        await asyncio.sleep(2)
        assert not house.alive(record.process)
        assert editor.id in house.records.editors
        names = [row["event"] for row in house.ear.heard]
        assert names.index("server.released") < names.index("server.suspected") < names.index("server.reaped")

    house.live(story)


def test_a_server_that_one_of_two_releases_stays_the_others(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        other = house.editor()
        await house.up(other)
        house.claims.release("toy", editor.id)
        await asyncio.sleep(3600)
        assert house.alive(record.process)
        house.system.end(other)
        await asyncio.sleep(6)
        assert not house.alive(record.process)

    house.live(story)


def test_an_editor_that_released_a_server_may_have_it_again(house: House) -> None:
    async def story() -> None:
        record, editor = await owned(house)
        house.claims.release("toy", editor.id)
        await asyncio.sleep(2)
        assert (await house.up(editor.process)).process == record.process
        await asyncio.sleep(3600)
        assert house.alive(record.process)

    house.live(story)


def test_what_is_not_owned_cannot_be_released(house: House) -> None:
    async def story() -> None:
        _, editor = await owned(house)
        other = house.claims.attach(Arrival(house.editor().pid))
        for server, owner in (("toy", other.id), ("toy", "nobody-1"), ("nothing", editor.id)):
            with pytest.raises(NotFound):
                house.claims.release(server, owner)
        assert [owner.editor for owner in house.records.server("toy").owners] == [editor.id]

    house.live(story)


def test_a_release_outlives_the_daemon(house: House) -> None:
    async def first() -> None:
        _, editor = await owned(house)
        house.claims.release("toy", editor.id)

    house.live(first)
    later = house.restarted()

    async def second() -> None:
        assert later.records.server("toy").owners == ()
        await asyncio.sleep(6)
        assert later.records.servers == {}

    later.live(second)
