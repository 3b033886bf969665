import errno
import os
from pathlib import Path

import pytest

from supervisor.engine.processes.spawn import LOGS_KEPT
from supervisor.errors import Fault as Blame
from supervisor.errors import StartFailed, SystemExhausted
from supervisor.native.api import ChildCommand
from tests.engine.harness import EngineHarness
from tests.fakes import FakeProcessControl, Fault


def test_broken_link_among_logs_does_not_prevent_a_start(tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)
    folder = tmp_path / "logs" / "servers" / "toy"
    folder.mkdir(parents=True)
    for number in range(LOGS_KEPT):
        (folder / f"{number}.log").touch()
    (folder / "current.log").symlink_to(tmp_path / "nowhere")

    async def story() -> None:
        record = await harness.up(harness.editor())
        assert harness.alive(record.process)
        assert len(list(folder.iterdir())) < LOGS_KEPT

    harness.run(story)


def test_failed_starts_leave_no_extra_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    harness = EngineHarness(tmp_path)

    def missing(_control: FakeProcessControl, command: ChildCommand) -> object:
        command.log.touch()
        raise FileNotFoundError(2, "No such file or directory", "toy")

    monkeypatch.setattr(FakeProcessControl, "spawn", missing)

    async def story() -> None:
        for _ in range(3 * LOGS_KEPT):
            with pytest.raises(StartFailed):
                await harness.up(harness.editor())
        assert len(list((tmp_path / "logs" / "servers" / "toy").glob("*.log"))) <= LOGS_KEPT

    harness.run(story)


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE], ids=errno.errorcode.get)
def test_a_start_that_the_system_has_no_room_for_is_not_the_servers_fault(tmp_path: Path, number: int) -> None:
    harness = EngineHarness(tmp_path)

    async def story() -> None:
        harness.system.fails["spawn"] = Fault(OSError(number, f"cannot start 'toy': {os.strerror(number)}"))
        with pytest.raises(SystemExhausted, match="cannot start 'toy'") as caught:
            await harness.up(harness.editor())
        assert (caught.value.fault, caught.value.retryable) == (Blame.ENVIRONMENT, True)
        assert (await harness.up(harness.editor())).process is not None

    harness.run(story)
