"""The file watcher that only looks."""

import asyncio
from pathlib import Path

import pytest

from supervisor.native.files import PollingFileWatcher
from tests.contract.worlds import on_loop, until

QUICK_S = 0.01


def watching(path: Path) -> tuple[PollingFileWatcher, list[str]]:
    watcher = PollingFileWatcher(QUICK_S)
    told: list[str] = []
    watcher.watch(path, lambda: told.append("written"))
    return watcher, told


@on_loop
async def test_the_next_write_is_told_once(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    _, told = watching(path)
    other, later = watching(path)
    with path.open("ab") as log:
        log.write(b"one")
        log.flush()
        await until(lambda: told, "it is told")
        await until(lambda: later, "the other is told")
        other.watch(path, lambda: later.append("again"))
        log.write(b"two")
        log.flush()
        await until(lambda: len(later) > 1, "whoever watches again is told again")
    assert (told, later) == (["written"], ["written", "again"])


@on_loop
async def test_a_file_that_goes_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    _, told = watching(path)
    path.unlink()
    await until(lambda: told, "it is told")


@on_loop
async def test_a_closed_watch_stays_silent_and_leaves_no_timer(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watcher = PollingFileWatcher(QUICK_S)
    told: list[str] = []
    watch = watcher.watch(path, lambda: told.append("closed"))
    witness, seen = watching(path)
    watch.close()
    watch.close()
    path.write_bytes(b"more")
    await until(lambda: seen, "the witness is told")
    assert told == []
    assert watcher._timer is witness._timer is None


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(FileNotFoundError):
            PollingFileWatcher().watch(tmp_path / "log", lambda: None)

    asyncio.run(story())
