"""The polling file watcher, and the one that falls back to it."""

import asyncio
import errno
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.native.api import Watch
from supervisor.native.shared.file_watch import FallbackFileWatcher, PollingFileWatcher
from tests.contract.platforms import on_loop, until

QUICK_S = 0.01


def watching(path: Path) -> tuple[PollingFileWatcher, list[str]]:
    watcher = PollingFileWatcher(QUICK_S)
    told: list[str] = []
    watcher.watch(path, lambda: told.append("written"))
    return watcher, told


@on_loop
async def test_next_write_is_reported_once(tmp_path: Path) -> None:
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
async def test_removed_file_is_reported(tmp_path: Path) -> None:
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


def test_missing_file_is_refused(tmp_path: Path) -> None:
    async def story() -> None:
        with pytest.raises(FileNotFoundError):
            PollingFileWatcher().watch(tmp_path / "log", lambda: None)

    asyncio.run(story())


class Refusing:
    """A system's watcher that works as long as it refuses nothing."""

    def __init__(self) -> None:
        self.refusal: OSError | None = OSError(errno.EMFILE, "Too many open files")
        self.armed: list[Callable[[], None]] = []

    def note(self) -> str | None:
        return None

    def watch(self, path: Path, on_write: Callable[[], None]) -> Watch:
        path.stat()
        if self.refusal is not None:
            raise self.refusal
        self.armed.append(on_write)
        return io.BytesIO()


@on_loop
async def test_file_that_the_system_does_not_watch_is_polled(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watcher = FallbackFileWatcher(Refusing(), PollingFileWatcher(QUICK_S))
    told = asyncio.Event()
    watch = watcher.watch(path, told.set)
    note = watcher.note() or ""
    assert note.startswith("writes to 1 log are noticed by looking")
    assert "Too many open files" in note
    path.write_text("x")
    await asyncio.wait_for(told.wait(), 10)
    assert watcher.note() == note, "a caller that was called back arms another watch soon"
    watch.close()
    assert watcher.note() is None
    with pytest.raises(FileNotFoundError):
        watcher.watch(tmp_path / "gone", told.set)


@on_loop
async def test_system_watches_again_once_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.native.shared.file_watch.TRY_AGAIN_EVERY_S", QUICK_S)

    path = tmp_path / "log"
    path.touch()
    system = Refusing()
    watcher = FallbackFileWatcher(system, PollingFileWatcher(60))
    told: list[str] = []
    watcher.watch(path, lambda: told.append("first"))
    watcher.watch(path, lambda: told.append("second")).close()
    await asyncio.sleep(QUICK_S * 3)
    assert watcher.note() is not None
    system.refusal = None
    await until(lambda: bool(system.armed), "it happens")
    assert watcher.note() is None
    assert told == []
    system.armed[0]()
    assert told == ["first"]


@on_loop
async def test_write_between_the_two_sources_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.native.shared.file_watch.TRY_AGAIN_EVERY_S", QUICK_S)

    path = tmp_path / "log"
    path.touch()
    system = Refusing()
    watcher = FallbackFileWatcher(system, PollingFileWatcher(60))
    told: list[str] = []
    watcher.watch(path, lambda: told.append("written"))
    path.write_text("x")
    system.refusal = None
    await until(lambda: bool(told), "it happens")
    assert told == ["written"]


@on_loop
async def test_file_on_a_file_system_that_misses_writes_is_polled(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    system = Refusing()
    system.refusal = None
    watcher = FallbackFileWatcher(system, PollingFileWatcher(QUICK_S), lambda _: "nfs does not tell of every write")
    told = asyncio.Event()
    watcher.watch(path, told.set)
    assert "nfs" in (watcher.note() or "")
    assert system.armed == []
    path.write_text("x")
    await asyncio.wait_for(told.wait(), 10)


@on_loop
async def test_file_without_writes_is_polled_less_often(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.touch()
    watcher = PollingFileWatcher(0.01, 0.16)
    watcher.watch(path, lambda: None)
    loop = asyncio.get_running_loop()
    looks, look = [loop.time()], watcher._check_files

    def counted(*arguments: Any) -> None:
        looks.append(loop.time())
        look(*arguments)

    watcher._check_files = counted  # type: ignore[method-assign]
    await until(lambda: len(looks) > 7, "it happens")
    assert looks[7] - looks[6] >= 0.1
    watcher.watch(path, lambda: None)
    assert watcher._pause_s == 0.01
