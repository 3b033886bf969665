from pathlib import Path

from supervisor.engine.spawner import LOGS_KEPT
from tests.engine.house import House


def test_a_link_that_leads_nowhere_among_the_logs_keeps_no_server_from_starting(tmp_path: Path) -> None:
    house = House(tmp_path)
    folder = tmp_path / "logs" / "servers" / "toy"
    folder.mkdir(parents=True)
    for number in range(LOGS_KEPT):
        (folder / f"{number}.log").touch()
    (folder / "current.log").symlink_to(tmp_path / "nowhere")

    async def story() -> None:
        record = await house.up(house.editor())
        assert house.alive(record.process)
        assert len(list(folder.iterdir())) < LOGS_KEPT

    house.live(story)
