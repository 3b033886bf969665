import asyncio
import errno
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from supervisor.engine.logs.cap import LogCap, cut
from supervisor.engine.state.events import Events
from supervisor.native.platforms import open_platform
from tests.contract.platforms import until
from tests.fakes import FakeClock


class SilentLog:
    def __init__(self, on_event: Callable[[str], None] = lambda _: None) -> None:
        self._on_event = on_event

    def info(self, event: str, **_: Any) -> None:
        self._on_event(event)

    warning = error = info


def test_log_beyond_its_cap_is_cut_and_writing_goes_on(tmp_path: Path) -> None:
    async def story() -> None:
        platform = open_platform()
        seen = asyncio.Event()
        cap = LogCap(
            platform.files, platform.clock, Events(SilentLog(lambda _: seen.set()), platform.clock), cap_bytes=4000
        )
        path = tmp_path / "server.log"
        writer = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        cap.watch("toy", path)
        os.write(writer, b"".join(b"line %04d\n" % number for number in range(600)))
        await asyncio.wait_for(seen.wait(), 20)
        os.write(writer, b"the last line\n")
        os.close(writer)
        cap.close()
        lines = path.read_bytes().splitlines()
        assert path.stat().st_size < 4000
        assert b"cut by godot-supervisor" in lines[0]
        assert lines[1].startswith(b"line ")
        assert lines[-2:] == [b"line 0599", b"the last line"]

    asyncio.run(story())


def test_missing_log_is_reported_and_costs_nothing(tmp_path: Path) -> None:
    async def story() -> None:
        platform = open_platform()
        told: list[str] = []
        cap = LogCap(platform.files, platform.clock, Events(SilentLog(told.append), platform.clock))
        cap.watch("toy", tmp_path / "nowhere.log")
        assert told == ["log.not_watched"]
        with pytest.raises(FileNotFoundError) as missing:
            (tmp_path / "nowhere.log").stat()
        assert cap.note() == f"logs that cannot be kept short: toy: {missing.value.strerror}"
        cap.close()
        assert cap.note() is None

    asyncio.run(story())


class FakeFileWatcher:
    """A file watcher that reports writes when the test says so."""

    def __init__(self) -> None:
        self.tell: Callable[[], None] = lambda: None

    def note(self) -> str | None:
        return None

    def watch(self, _path: Path, on_write: Callable[[], None]) -> Any:
        self.tell = on_write
        return io.BytesIO()


def test_loud_log_is_checked_in_time_after_a_cut(tmp_path: Path) -> None:
    """At a rate that fills the log in one second, it must be checked again within half a second."""

    async def story() -> None:
        files, clock = FakeFileWatcher(), FakeClock()
        cap = LogCap(files, clock, Events(SilentLog(), clock), cap_bytes=4000)
        path = tmp_path / "server.log"
        path.write_bytes(b"the first line\n")
        cap.watch("toy", path)
        clock.advance(2)
        with path.open("ab") as log:
            log.write(b"noise\n" * 2000)
        files.tell()
        assert path.stat().st_size < 4000
        timer = cap._logs["toy"].timer
        assert timer is not None
        assert timer.when() - asyncio.get_running_loop().time() <= 0.5
        cap.close()

    asyncio.run(story())


def test_log_that_appears_later_is_capped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.engine.logs.cap.UNWATCHED_PAUSE_S", 0.1)

    async def story() -> None:
        platform = open_platform()
        told: list[str] = []
        cap = LogCap(platform.files, platform.clock, Events(SilentLog(told.append), platform.clock), cap_bytes=4000)
        path = tmp_path / "server.log"
        cap.watch("toy", path)
        path.write_bytes(b"x" * 5000)
        await until(lambda: path.stat().st_size < 4000, "it is cut")
        assert told == ["log.not_watched", "log.cut"]
        cap.close()

    asyncio.run(story())


def test_log_is_emptied_without_free_descriptors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "server.log"
    path.write_bytes(b"x" * 5000)

    def refuse(*_: object) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", refuse)
        assert cut(path, 100) == (5000, 0)
    assert path.stat().st_size == 0


def test_growth_before_the_watch_counts(tmp_path: Path) -> None:
    async def story() -> None:
        platform = open_platform()
        told: list[str] = []
        events = Events(SilentLog(told.append), platform.clock)
        cap = LogCap(platform.files, platform.clock, events, cap_bytes=4000)
        path = tmp_path / "server.log"
        path.write_bytes(b"x" * 5000)
        events.publish("server.spawned", server="toy", log=str(path))
        await until(lambda: path.stat().st_size < 4000, "it is cut")
        cap.close()

    asyncio.run(story())
