"""A running server is not stopped for a start that cannot succeed."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import ProcessIdentity, ServerRecord, ServerState
from supervisor.errors import ConfigInvalid, InstallFailed, KindUnknown, PortsExhausted, StartFailed, SupervisorError
from tests.engine.harness import TOY, EngineHarness, serve

RENAMED = {
    **TOY,
    "command": ["toy", "{web}", "{sessions}"],
    "ports": {"web": "8000-8003", "sessions": "9500-9503"},
}


def recipe(harness: EngineHarness, **changes: Any) -> None:
    """Reload the configuration with another recipe of the toy."""
    harness.reload({"toy": {**TOY, **changes}})
    harness.supervisor.follow_up_on_all()


def taken(harness: EngineHarness) -> None:
    """Let other processes hold all ports of the other range."""
    recipe(harness, command=["toy", "{web}", "{sessions}"], ports={"web": "8100-8101", "sessions": "9600-9601"})
    for port in (8100, 8101):
        harness.system.listen(harness.system.start("bystander"), port)


def without_folder(harness: EngineHarness) -> None:
    """Make the folder of logs unwritable."""
    folder = harness.folder / "logs" / "servers" / "toy"
    if folder.is_dir():
        for log in folder.iterdir():
            log.unlink()
        folder.rmdir()
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("in the way")


def disk_full(harness: EngineHarness) -> None:
    harness.store.broken = True


PYTHON = ["{python}", "{http}", "{sessions}"]
BROKEN: list[tuple[str, Callable[[EngineHarness], None], type[SupervisorError]]] = [
    ("program gone", lambda harness: recipe(harness, command=["no-such", "{http}", "{sessions}"]), StartFailed),
    ("placeholder", lambda harness: recipe(harness, package="toy", version="1.0", command=PYTHON), SupervisorError),
    ("ports taken", taken, PortsExhausted),
    ("log folder", without_folder, SupervisorError),
    ("disk full", disk_full, SupervisorError),
]


@pytest.mark.parametrize(("spoil", "error"), [row[1:] for row in BROKEN], ids=[row[0] for row in BROKEN])
def test_restart_that_cannot_start_leaves_the_server_running(
    harness: EngineHarness, spoil: Callable[[EngineHarness], None], error: type[SupervisorError]
) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        spoil(harness)
        with pytest.raises(error):
            await harness.supervisor.restart("toy")
        assert harness.alive(before.process)
        after = harness.records.server("toy")
        assert (after.state, after.process, after.restarts) == (ServerState.READY, before.process, 0)
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_refused_restart_says_that_the_server_still_runs(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor())
        recipe(harness, command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match=r"^toy goes on as it was: .*'no-such'"):
            await harness.supervisor.restart("toy")

    harness.run(story)


def test_restart_of_a_failed_server_reports_the_plain_error(harness: EngineHarness) -> None:
    async def story() -> None:
        harness.system.programs["toy"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        with pytest.raises(StartFailed):
            await harness.up(harness.editor())
        recipe(harness, command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match=r"^toy could not be started"):
            await harness.supervisor.restart("toy")

    harness.run(story)


def test_restart_chooses_ports_for_renamed_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        recipe(harness, **RENAMED)
        after = await harness.supervisor.restart("toy")
        assert (after.state, after.ports) == (ServerState.READY, {"web": 8000, "sessions": 9500})
        assert not harness.alive(before.process)

    harness.run(story)


def test_crash_chooses_ports_for_renamed_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        recipe(harness, **RENAMED)
        assert before.process is not None
        harness.system.end(before.process, 1)
        await asyncio.sleep(2)
        after = harness.records.server("toy")
        assert (after.state, after.ports) == (ServerState.READY, {"web": 8000, "sessions": 9500})

    harness.run(story)


async def turns_until(condition: Callable[[], bool]) -> None:
    """Turn the loop, at the same virtual time, until this is so."""
    for _ in range(100):
        if condition():
            return
        await asyncio.sleep(0)
    pytest.fail("it is not so at this time")


def test_queued_restart_uses_the_recipe_that_is_current_then(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        assert before.process is not None
        harness.system.end(before.process, 1)
        await turns_until(lambda: harness.supervisor.operations.running("toy") is not None)
        restart = asyncio.create_task(harness.supervisor.restart("toy", request_id="waits"))
        await turns_until(lambda: harness.supervisor.operations.queued("waits") is not None)
        harness.reload({})
        with pytest.raises(KindUnknown):
            await restart
        after = harness.records.server("toy")
        assert (after.state, after.restarts) == (ServerState.READY, 1)
        assert harness.alive(after.process)

    harness.run(story)


def test_server_of_an_older_recipe_is_reused(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        recipe(harness, **RENAMED, identify={"http": "/health", "port": "web", "match": {"name": "toy"}})
        after = await harness.up(harness.editor())
        assert (after.process, after.state) == (before.process, ServerState.READY)

    harness.run(story)


def test_replacement_that_cannot_start_leaves_the_old_server(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        old = await harness.up()
        recipe(harness, version="1.0", command=["no-such", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match="goes on as it was"):
            await harness.up(version="2.0")
        record = harness.records.server("toy")
        assert (record.state, record.version, harness.alive(old.process)) == (ServerState.READY, "1.0", True)
        assert harness.events.of("signal.sent") == []

    harness.run(story)


def test_replacement_that_cannot_be_installed_leaves_the_old_server(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness.tables = {"toy": {**TOY, "version": "1.0"}}

    async def story() -> None:
        old = await harness.up()

        async def provide(*_: object) -> None:
            raise InstallFailed("no such version")

        monkeypatch.setattr(harness.supervisor.ensuring.starter, "provide", provide)
        with pytest.raises(InstallFailed, match="goes on as it was"):
            await harness.up(version="2.0")
        assert harness.alive(old.process)

    harness.run(story)


def test_unusable_recipe_is_tried_again_after_a_crash(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        record: ServerRecord = await harness.up(owner)
        process: ProcessIdentity | None = record.process
        recipe(harness, command=["no-such", "{http}", "{sessions}"])
        assert process is not None
        harness.system.end(process, 1)
        await asyncio.sleep(60)
        assert harness.records.server("toy").state is ServerState.FAILED
        recipe(harness)
        assert (await harness.supervisor.restart("toy")).state is ServerState.READY

    harness.run(story)


def test_restart_reports_an_unknown_placeholder_before_the_stop(harness: EngineHarness) -> None:
    async def story() -> None:
        before = await harness.up(harness.editor())
        kinds = harness.engine.context.catalog
        toy = kinds.kinds["toy"]
        # An adopted server may lack what its recipe asks for: no version is known, so no environment is made.
        kinds.kinds = {"toy": type(toy)(**{**_fields(toy), "command": ("{python}", "{http}")})}
        with pytest.raises(ConfigInvalid, match="goes on as it was"):
            await harness.supervisor.restart("toy")
        assert harness.alive(before.process)

    harness.run(story)


def _fields(kind: Any) -> dict[str, Any]:
    return {name: getattr(kind, name) for name in kind.__dataclass_fields__}


def test_restart_by_a_new_recipe_that_fails_goes_back_to_the_old(harness: EngineHarness) -> None:
    async def story() -> None:
        owner = harness.editor()
        before = await harness.up(owner)
        toy = harness.system.programs["toy"]
        harness.system.programs["new"] = lambda system, process, command: system.end(process.identity, 3)  # noqa: ARG005
        recipe(harness, command=["new", "{http}", "{sessions}"])
        with pytest.raises(StartFailed, match="did not start") as caught:
            await harness.supervisor.restart("toy")
        after = harness.records.server("toy")
        assert (after.state, after.ports) == (ServerState.READY, before.ports)
        assert harness.system.processes[after.process.pid].command[:1] == ("toy",) if after.process else False
        assert "runs again as before" in (caught.value.hint or "")
        assert [event["failed"] for event in harness.events.of("server.rolled_back")] == [None]
        harness.system.programs["new"] = toy
        assert (await harness.supervisor.restart("toy")).state is ServerState.READY

    harness.run(story)


def test_restart_without_a_file_of_the_last_start_leaves_the_server(harness: EngineHarness, tmp_path: Path) -> None:
    async def story() -> None:
        settings = tmp_path / "settings.json"
        settings.touch()
        harness.system.programs["toy"] = lambda system, process, command: serve(
            system, process, replace(command, argv=command.argv[:3])
        )
        recipe(harness, command=["toy", "{http}", "{sessions}", f"--settings={settings}", f"--out={tmp_path / 'out'}"])
        before = await harness.up(harness.editor())
        settings.unlink()
        with pytest.raises(StartFailed, match=r"settings\.json is not there"):
            await harness.supervisor.restart("toy")
        assert harness.alive(before.process)
        settings.touch()
        assert (await harness.supervisor.restart("toy")).state is ServerState.READY

    harness.run(story)
