"""A reload, by the protocol or by SIGHUP: the endpoint is published again, and the settings are read again."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from supervisor.config.settings import Config
from supervisor.daemon import event_loop
from supervisor.daemon.settings import Reloader, Settings
from supervisor.engine.state.events import Events
from supervisor.errors import ConfigInvalid
from supervisor.kinds.catalog import Catalog
from supervisor.native.facts import Folders
from supervisor.native.shared.clock import MonotonicClock
from supervisor.native.shared.lanes import ThreadLanes
from supervisor.native.shared.process_queries import ProcessQueries
from tests.systems import POSIX_ONLY
from tests.transcript.stage import Stage
from tests.transcript.story import greeted


def test_a_reload_publishes_the_endpoint_again(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        shell = await greeted(stage, "shell")
        published = stage.daemon._folders.endpoint
        for damage in (published.unlink, lambda: published.write_text("{")):
            damage()
            await shell.ask("daemon.reload")
            found = endpoint.read(published)
            assert found is not None
            assert found.instance_id == stage.daemon._instance_id
        published.unlink()
        await stage.daemon._reloader._reload_on_signal()
        assert published.exists()
        await shell.ask("daemon.shutdown", servers=False)

    stage = Stage(tmp_path)
    stage.tell(story)
    stage.daemon._publish_again()
    assert not stage.daemon._folders.endpoint.exists(), "nobody publishes what has ended"


@POSIX_ONLY  # Windows has every loop that has a name
def test_a_reload_refuses_what_the_next_start_would_refuse(tmp_path: Path) -> None:
    async def story(stage: Stage) -> None:
        shell = await greeted(stage, "shell")
        config = stage.daemon._folders.config
        config.write_text('[daemon]\nevent_loop = "proactor"\n')
        refused = await shell.ask("daemon.reload")
        assert refused["data"]["code"] == "CONFIG_INVALID"
        assert (await shell.ask("ports.explain", kind="toy"))["ports"], "everything is as it was"
        await shell.ask("daemon.shutdown", servers=False)

    Stage(tmp_path).tell(story)


class Quiet:
    """A log that keeps no entry."""

    def info(self, event: str, **fields: Any) -> Any: ...

    warning = info
    error = info


def test_a_slow_reload_does_not_block_the_loop(tmp_path: Path) -> None:
    folders = Folders(tmp_path, moved=True)
    # About 300 ms of work for the parser, but valid settings.
    folders.config.write_text("[kinds]\n" + "".join(f"{'a.' * 30}b{number} = 1\n" for number in range(9000)))
    folders.config.chmod(0o600)

    async def story() -> int:
        events = Events(Quiet(), MonotonicClock())
        settings = Settings(Config(), Catalog.build({}), event_loop.choose_loop(Config()))
        lanes = ThreadLanes(ProcessQueries(lambda _: None))
        reloader = Reloader(folders, settings, lanes, events, lambda: None, lambda: None)
        reload = asyncio.create_task(reloader.reload())
        turns = 0
        while not reload.done():
            turns += 1
            await asyncio.sleep(0)
        with pytest.raises(ConfigInvalid):
            await reload
        return turns

    assert asyncio.run(story()) > 10


BREAKS_A_READER = {
    "brackets": "x = " + "[" * 5000,
    "tables": "x = " + "{a=" * 5000,
    "digits": "x = " + "9" * 6000,
    "hexadecimal": "[kinds.toy]\ngrace_s = 0x" + "f" * 6000,
    "parts": "a." * 8000 + "b = 1",
    "size": "# " + "x" * (1024 * 1024),
    "nul": "[daemon]\n\0",
}


@pytest.mark.parametrize("text", BREAKS_A_READER.values(), ids=BREAKS_A_READER)
def test_a_reload_survives_unreadable_configuration(tmp_path: Path, text: str) -> None:
    async def story(stage: Stage) -> None:
        shell = await greeted(stage, "shell")
        stage.daemon._folders.config.write_text(text)
        refused = await shell.ask("daemon.reload")
        assert refused["data"]["code"] == "CONFIG_INVALID"
        assert refused["data"]["file"] == str(stage.daemon._folders.config)
        assert (await shell.ask("ports.explain", kind="toy"))["ports"], "everything is as it was"
        await shell.ask("daemon.shutdown", servers=False)

    Stage(tmp_path).tell(story)
