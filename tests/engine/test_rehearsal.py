"""What runs is not ended for something that cannot start."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.errors import ConfigInvalid, InstallFailed, KindUnknown, PortsExhausted, StartFailed, SupervisorError
from tests.engine.house import TOY, House

RENAMED = {
    **TOY,
    "command": ["toy", "{web}", "{sessions}"],
    "ports": {"web": "8000-8003", "sessions": "9500-9503"},
}


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def recipe(house: House, **changes: Any) -> None:
    """The configuration is read again, with another recipe of the toy."""
    house.engine.context.catalog.reload({"toy": {**TOY, **changes}})
    house.supervisor.look_again()


def taken(house: House) -> None:
    """All ports of the other range are held by strangers."""
    recipe(house, command=["toy", "{web}", "{sessions}"], ports={"web": "8100-8101", "sessions": "9600-9601"})
    for port in (8100, 8101):
        house.system.listen(house.system.start("stranger"), port)


def without_folder(house: House) -> None:
    """Logs cannot be written any more."""
    folder = house.folder / "logs" / "servers" / "toy"
    if folder.is_dir():
        for log in folder.iterdir():
            log.unlink()
        folder.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")


def disk_full(house: House) -> None:
    house.store.broken = True


PYTHON = ["{python}", "{http}", "{sessions}"]
BROKEN: list[tuple[str, Callable[[House], None], type[SupervisorError]]] = [
    ("program gone", lambda house: recipe(house, command=["no-such", "{http}", "{sessions}"]), StartFailed),
    ("placeholder", lambda house: recipe(house, package="toy", version="1.0", command=PYTHON), SupervisorError),
    ("ports taken", taken, PortsExhausted),
    ("log folder", without_folder, SupervisorError),
    ("disk full", disk_full, SupervisorError),
]


@pytest.mark.parametrize(("spoil", "error"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_restart_that_cannot_start_leaves_the_server(
    house: House, spoil: Callable[[House], None], error: type[SupervisorError]
) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        spoil(house)
        with pytest.raises(error):
            await house.supervisor.restart("toy")
        assert house.alive(before.process)
        after = house.records.server("toy")
        assert (after.state, after.process, after.restarts) == (ServerState.READY, before.process, 0)
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_refused_restart_says_that_the_server_goes_on(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor())
        recipe(house, command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match=r"^toy goes on as it was: .*'no-such'"):
            await house.supervisor.restart("toy")

    house.live(story)


def test_restart_of_one_that_failed_has_nothing_to_keep(house: House) -> None:
    async def story() -> None:
        house.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        with pytest.raises(StartFailed):
            await house.up(house.editor())
        recipe(house, command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match=r"^toy could not be started"):
            await house.supervisor.restart("toy")

    house.live(story)


def test_ports_with_other_names_are_chosen_anew(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        recipe(house, **RENAMED)
        after = await house.supervisor.restart("toy")
        assert (after.state, after.ports) == (ServerState.READY, {"web": 8000, "sessions": 9500})
        assert not house.alive(before.process)

    house.live(story)


def test_ports_with_other_names_are_chosen_after_a_crash(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        recipe(house, **RENAMED)
        assert before.process is not None
        house.system.end(before.process, 1)
        await asyncio.sleep(2)
        after = house.records.server("toy")
        assert (after.state, after.ports) == (ServerState.READY, {"web": 8000, "sessions": 9500})

    house.live(story)


def test_recipe_that_changes_while_a_restart_waits_counts(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        assert before.process is not None
        flight = asyncio.create_task(house.supervisor.judge("toy", act=False))
        restart = asyncio.create_task(house.supervisor.restart("toy"))
        house.engine.context.catalog.reload({})
        with pytest.raises(KindUnknown):
            await restart
        await flight
        assert house.alive(before.process)

    house.live(story)


def test_server_of_an_older_recipe_is_reused_unasked(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        recipe(house, **RENAMED, identify={"http": "/health", "port": "web", "match": {"name": "toy"}})
        after = await house.up(house.editor())
        assert (after.process, after.state) == (before.process, ServerState.READY)

    house.live(story)


def test_replace_by_what_cannot_start_leaves_the_old_one(house: House) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        old = await house.up()
        recipe(house, version="1.0", command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match="goes on as it was"):
            await house.up(version="2.0")
        record = house.records.server("toy")
        assert (record.state, record.version, house.alive(old.process)) == (ServerState.READY, "1.0", True)
        assert house.ear.of("signal.sent") == []

    house.live(story)


def test_replace_whose_installation_fails_leaves_the_old_one(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        old = await house.up()

        async def provide(*_: object) -> None:
            raise InstallFailed("no such version")

        monkeypatch.setattr(house.supervisor._ensurer, "provide", provide)
        with pytest.raises(InstallFailed, match="goes on as it was"):
            await house.up(version="2.0")
        assert house.alive(old.process)

    house.live(story)


def test_unusable_recipe_is_tried_again_after_a_crash(house: House) -> None:
    async def story() -> None:
        owner = house.editor()
        record: ServerRecord = await house.up(owner)
        process: ProcessIdentity | None = record.process
        recipe(house, command=["no-such", "{http}", "{sessions}"])
        assert process is not None
        house.system.end(process, 1)
        await asyncio.sleep(60)
        assert house.records.server("toy").state is ServerState.FAILED
        recipe(house)
        assert (await house.supervisor.restart("toy")).state is ServerState.READY

    house.live(story)


def test_restart_tells_of_a_placeholder_before_it_stops(house: House) -> None:
    async def story() -> None:
        before = await house.up(house.editor())
        kinds = house.engine.context.catalog
        toy = kinds.kinds["toy"]
        # An adopted server may lack what its recipe asks for: no version is known, so no environment is made.
        kinds.kinds = {"toy": type(toy)(**{**_fields(toy), "command": ("{python}", "{http}")})}
        with pytest.raises(ConfigInvalid, match="goes on as it was"):
            await house.supervisor.restart("toy")
        assert house.alive(before.process)

    house.live(story)


def _fields(kind: Any) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in kind.__dataclass_fields__}
