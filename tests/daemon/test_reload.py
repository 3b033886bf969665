"""A reload, by the protocol or by SIGHUP: the endpoint is published again, and the settings are read again."""

from pathlib import Path

from supervisor.client import endpoint
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
        stage.daemon._reloader.quietly()
        assert published.exists()
        await shell.ask("daemon.shutdown", servers=False)

    stage = Stage(tmp_path)
    stage.tell(story)
    stage.daemon._reloader.quietly()
    assert not stage.daemon._folders.endpoint.exists(), "nobody publishes what has ended"


@POSIX_ONLY
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
