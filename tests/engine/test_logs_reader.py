import asyncio
import errno
import os
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import pytest

from supervisor.core.model import Origin, ServerRecord, ServerState
from supervisor.engine.assembly import Engine, Site, assemble
from supervisor.engine.logs.cap import CUT_MARK, LogCap
from supervisor.engine.logs.follower import CHUNK_BYTES
from supervisor.engine.logs.page import LINE_LENGTH, PAGE_BYTES, LogUpdate, Page
from supervisor.engine.logs.reader import LogReader
from supervisor.errors import NotFound
from supervisor.kinds.catalog import Catalog
from supervisor.native.api import Watch
from supervisor.native.platforms import open_platform
from supervisor.wire import framing
from tests.engine.harness import EventRecorder, MemoryStore
from tests.systems import POSIX_ONLY

LIMIT_S = 20.0


Say = Callable[[str], object]


class Reader:
    """Follows a log and keeps the lines that it receives."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.logs: list[str] = []
        self.ended = False
        self.reason: str | None = None
        self.close: Callable[[], None]

    def receive(self, update: LogUpdate) -> None:
        self.reason = update.reason
        assert not self.ended
        self.lines += update.lines
        self.ended = update.ended
        if self.logs[-1:] != [str(update.path)]:
            self.logs.append(str(update.path))

    async def has(self, *lines: str) -> None:
        """Wait until exactly these lines have arrived, in this order."""
        await until(lambda: len(self.lines) >= len(lines))
        assert self.lines == list(lines)


class LogsHarness:
    """An engine on the real platform; tests use only its logs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.own_log = folder / "daemon.log"
        self._writers: list[int] = []
        self._followers: list[Callable[[], None]] = []

    def run(self, story: Callable[[], Awaitable[None]]) -> None:
        async def life() -> None:
            platform = open_platform()
            me = platform.probe.identify(os.getpid())
            assert me is not None
            site = Site("home", self.folder, self.folder, {})
            self.engine: Engine = assemble(platform, MemoryStore(), EventRecorder(), Catalog.build({}), me, site)
            self.records = self.engine.context.records
            self.events = self.engine.context.events
            self.logs = LogReader(self.engine.context, self.own_log)
            try:
                await story()
            finally:
                for close in self._followers:
                    close()
                for descriptor in self._writers:
                    os.close(descriptor)

        asyncio.run(life())

    def launch(self, launch: str = "first", *, log: bool = True) -> Path:
        """Start a server that writes to a log of its own."""
        path = self.folder / f"{launch}.log"
        record = ServerRecord("toy", "toy", None, None, ServerState.READY, Origin.SPAWNED, launch, {}, 0.0)
        self.records.put(record.with_(log=str(path) if log else None))
        self.events.publish("server.planned", server="toy", launch=launch)
        return path

    def writer(self, path: Path) -> Say:
        """Append a program's output to its open file, also after the file was removed or replaced."""
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        self._writers.append(descriptor)
        return lambda text: os.write(descriptor, text.encode())

    async def follow(self, server: str | None = "toy", lines: int = 50) -> Reader:
        page = await self.logs.read(server, lines, whole_lines=True)
        return self.follow_on(server, page)

    def follow_on(self, server: str | None, page: Page) -> Reader:
        reader = Reader()
        reader.lines += page.lines
        reader.close = self.logs.follow(server, page, reader.receive)
        self._followers.append(reader.close)
        return reader

    def close_in_the_end(self, close: Callable[[], None]) -> None:
        self._followers.append(close)

    def cap(self, path: Path) -> None:
        """Cut this log now, as the cap does at its next check."""
        platform = self.engine.context.platform
        cap = LogCap(platform.files, platform.clock, self.events, 4000)
        cap.watch("toy", path)
        cap._check_size("toy")
        cap.close()
        assert path.read_bytes().startswith(CUT_MARK)


@pytest.fixture
def harness(tmp_path: Path) -> LogsHarness:
    return LogsHarness(tmp_path)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT_S):
        while not condition():  # noqa: ASYNC110 (plain state sets no event)
            await asyncio.sleep(0.005)


def numbered(first: int, last: int) -> list[str]:
    return [f"line {number}" for number in range(first, last)]


def text(lines: Sequence[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


# --- read -------------------------------------------------------------------------------------------------------------


def test_last_lines_are_read(harness: LogsHarness) -> None:
    async def story() -> None:
        harness.launch().write_text(text(numbered(0, 100)) + "half")
        assert (await harness.logs.read("toy", 3, whole_lines=False)).lines == ("line 98", "line 99", "half")
        assert (await harness.logs.read("toy", 3, whole_lines=True)).lines == ("line 97", "line 98", "line 99")
        assert (await harness.logs.read("toy", 0, whole_lines=False)).lines == ()
        assert len((await harness.logs.read("toy", 1000, whole_lines=False)).lines) == 101

    harness.run(story)


def test_unwritten_log_is_empty_and_unknown_server_not_found(harness: LogsHarness) -> None:
    async def story() -> None:
        path = harness.launch()
        page = await harness.logs.read("toy", 10, whole_lines=False)
        assert (page.path, page.lines, page.offset) == (path, (), 0)
        harness.launch("second", log=False)
        for server in ("toy", "nobody"):
            with pytest.raises(NotFound):
                await harness.logs.read(server, 10, whole_lines=False)

    harness.run(story)


@pytest.mark.parametrize("filler", ["x", "\N{PILE OF POO}", "\x01", '"'], ids=["letters", "wide", "control", "quotes"])
def test_answer_is_never_longer_than_a_frame(harness: LogsHarness, filler: str) -> None:
    async def story() -> None:
        harness.launch().write_text(text([filler * LINE_LENGTH] * 500))
        page = await harness.logs.read("toy", 10_000, whole_lines=False)
        assert len(page.lines) > 10
        assert page.lines[-1] == filler * LINE_LENGTH
        framing.frame_message({"lines": list(page.lines), "log": str(page.path)})

    harness.run(story)


def test_long_line_is_shortened_and_bad_bytes_are_marked(harness: LogsHarness) -> None:
    async def story() -> None:
        harness.launch().write_bytes(b"x" * 2 * PAGE_BYTES + b"\n" + b"y" * 5000 + b"\nbad \xff byte\n")
        page = await harness.logs.read("toy", 3, whole_lines=False)
        assert page.lines == ("y" * LINE_LENGTH, "bad \ufffd byte")

    harness.run(story)


# --- follow -----------------------------------------------------------------------------------------------------------


def test_written_lines_are_passed_on_once_and_in_order(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.launch())
        say(text(numbered(0, 10)))
        reader = await harness.follow(lines=2)
        for number in range(10, 60):
            say(f"line {number}\n")
            if number % 7 == 0:
                await asyncio.sleep(0.01)
        await reader.has(*numbered(8, 60))

    harness.run(story)


def test_line_is_passed_on_when_complete(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.launch())
        say("one\nhal")
        reader = await harness.follow()
        say("f a li")
        await asyncio.sleep(0.2)
        assert reader.lines == ["one"]
        say("ne\n")
        await reader.has("one", "half a line")

    harness.run(story)


def test_lines_between_page_and_follower_are_passed_on(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.launch())
        say("one\n")
        page = await harness.logs.read("toy", 10, whole_lines=True)
        say("two\n")
        reader = harness.follow_on("toy", page)
        await reader.has("one", "two")

    harness.run(story)


def test_large_output_is_passed_on_in_pieces(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.launch())
        reader = await harness.follow()
        lines = [f"line {number} " + "x" * 200 for number in range(5000)]
        say(text(lines))
        await until(lambda: len(reader.lines) >= len(lines))
        assert reader.lines == lines
        say("y" * 3 * CHUNK_BYTES)
        await until(lambda: sum(map(len, reader.lines[5000:])) >= 3 * LINE_LENGTH)

    harness.run(story)


def test_next_launch_follows_after_the_last_line(harness: LogsHarness) -> None:
    async def story() -> None:
        say_first = harness.writer(harness.launch())
        say_first("one\n")
        reader = await harness.follow()
        say_first("two\nlast words without an end")
        path = harness.launch("second")
        await asyncio.sleep(0.05)
        assert not path.exists()
        say_second = harness.writer(path)
        say_second("three\n")
        harness.events.publish("server.spawned", server="toy")
        await reader.has("one", "two", "last words without an end", "three")
        assert [Path(log).name for log in reader.logs] == ["first.log", "second.log"]

    harness.run(story)


def test_end_of_the_server_follows_its_last_lines(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.launch())
        reader = await harness.follow()
        say(text(numbered(0, 30_000)) + "last words")
        harness.records.drop("toy")
        await until(lambda: reader.ended)
        assert reader.lines == [*numbered(0, 30_000), "last words"]
        harness.launch("again")
        harness.events.publish("server.spawned", server="toy")
        await asyncio.sleep(0.1)

    harness.run(story)


def test_closed_follower_gets_no_lines_and_costs_nothing(harness: LogsHarness) -> None:
    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        readers = [await harness.follow() for _ in range(50)]
        for reader in readers:
            reader.close()
            reader.close()
        say("one\n")
        harness.events.publish("server.state", server="toy", now="ready")
        await asyncio.sleep(0.2)
        assert not any(reader.lines for reader in readers)

    harness.run(story)


def test_emptied_log_is_followed_from_its_beginning(harness: LogsHarness) -> None:
    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        say(text(numbered(0, 100)))
        reader = await harness.follow(lines=0)
        os.truncate(path, 0)
        say("anew\n")
        await reader.has("anew")

    harness.run(story)


@pytest.mark.parametrize("unread", [0, 3, 40])
def test_cut_log_loses_and_repeats_no_lines(harness: LogsHarness, unread: int) -> None:
    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        say(text(numbered(0, 600 - unread)))
        reader = await harness.follow(lines=0)
        # Write and cut within one loop iteration, so that the follower cannot read in between.
        say(text(numbered(600 - unread, 600)))
        harness.cap(path)
        say("after the cut\n")
        await reader.has(*numbered(600 - unread, 600), "after the cut")

    harness.run(story)


def test_mark_shows_where_a_cut_has_lost_lines(harness: LogsHarness) -> None:
    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        reader = await harness.follow(lines=0)
        say(text(numbered(0, 600)))
        harness.cap(path)
        await until(lambda: reader.lines[-1:] == ["line 599"])
        assert reader.lines[0] == CUT_MARK.decode().strip()
        assert reader.lines[1:] == numbered(600 - len(reader.lines) + 1, 600)

    harness.run(story)


# --- the daemon's own -------------------------------------------------------------------------------------------------


@POSIX_ONLY  # Windows does not rename an open file, so the log is not rotated there (daemon/daemon_log.py)
def test_own_log_is_followed_across_its_rotation(harness: LogsHarness) -> None:
    async def story() -> None:
        say = harness.writer(harness.own_log)
        say("one\n")
        reader = await harness.follow(None)
        # Write and rotate within one loop iteration.
        say("two\nthree\n")
        harness.own_log.rename(harness.own_log.with_suffix(".log.1"))
        say_second = harness.writer(harness.own_log)
        say_second("four\n")
        harness.events.publish("something.happened")
        await reader.has("one", "two", "three", "four")
        say_second("five\n")
        await reader.has("one", "two", "three", "four", "five")

    harness.run(story)


def test_follower_waits_for_a_slow_receiver(harness: LogsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.engine.logs.follower.FULL_PAUSE_S", 0.02)

    async def story() -> None:
        say = harness.writer(harness.launch())
        page = await harness.logs.read("toy", 0, whole_lines=True)
        reader = Reader()
        lines = numbered(0, 50_000)
        say(text(lines))
        room = True
        looks = 0

        def receive(update: LogUpdate) -> None:
            nonlocal room
            room = False
            reader.receive(update)

        def has_room() -> bool:
            nonlocal looks, room
            looks += 1
            # Every other check finds the receiver ready.
            room = room or looks % 2 == 0
            return room

        harness.close_in_the_end(harness.logs.follow("toy", page, receive, has_room))
        before = len(reader.lines)
        assert 0 < before < len(lines)
        await until(lambda: len(reader.lines) >= len(lines))
        assert reader.lines == lines

    harness.run(story)


class NoFileWatcher:
    """A file watcher that can watch no file."""

    def note(self) -> str | None:
        return None

    def watch(self, _path: Path, _on_write: Callable[[], None]) -> Watch:
        raise OSError(errno.EMFILE, "Too many open files")


def test_unwatched_log_is_followed_by_polling(harness: LogsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.engine.logs.follower.UNWATCHED_PAUSE_S", 0.05)

    async def story() -> None:
        monkeypatch.setattr(harness.engine.context.platform.files, "watch", NoFileWatcher().watch)
        say = harness.writer(harness.launch())
        reader = await harness.follow(lines=0)
        say("one\n")
        await reader.has("one")
        say("two\n")
        await reader.has("one", "two")
        assert not reader.ended

    harness.run(story)


@POSIX_ONLY
def test_removed_log_is_still_followed(harness: LogsHarness) -> None:
    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        reader = await harness.follow(lines=0)
        say("one\n")
        await reader.has("one")
        path.unlink()
        say("two\n")
        await reader.has("one", "two")
        assert not reader.ended

    harness.run(story)


def test_unreadable_log_ends_the_following_with_a_reason(harness: LogsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("supervisor.engine.logs.follower.UNREADABLE_FOR_S", 0.1)

    async def story() -> None:
        path = harness.launch()
        say = harness.writer(path)
        say("one\n")
        page = await harness.logs.read("toy", 1, whole_lines=True)

        def refuse(*_: object) -> None:
            raise OSError(errno.EMFILE, "Too many open files")

        monkeypatch.setattr("supervisor.engine.logs.follower.FileIO", refuse)
        reader = harness.follow_on("toy", page)
        await until(lambda: reader.ended)
        assert reader.reason == "its log cannot be read: Too many open files"

    harness.run(story)
