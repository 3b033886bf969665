import asyncio
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from supervisor.daemon import daemon_log
from supervisor.daemon.daemon_log import BACKUPS, LOG_NAME, LogFile, open_log
from supervisor.engine.state.events import Events
from supervisor.native import facts
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakeClock, Fault
from tests.systems import POSIX_ONLY


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "logs"


def text(folder: Path) -> str:
    return (folder / LOG_NAME).read_text(encoding="utf-8")


def entries(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text(folder).splitlines()]


def break_with(token: str) -> None:
    """Raise an error with the token in two frames, but in no message."""
    headers = {"Authorization": f"Bearer {token}"}
    try:
        [][len(headers)]
    except IndexError as error:
        raise RuntimeError("it broke") from error


def broken(token: str) -> RuntimeError:
    with pytest.raises(RuntimeError) as caught:
        break_with(token)
    return caught.value


def test_an_entry_is_one_line_of_json_with_all_its_fields(folder: Path) -> None:
    log = open_log(LogFile(folder), "info", console=False)
    log.info("server.planned", server="toy", ports={"http": 8000}, reason="two\nlines, “quoted”")
    log.warning("port.lost", port=8000)
    first, second = entries(folder)
    assert first.pop("timestamp").endswith("Z")
    assert first == {
        "event": "server.planned",
        "level": "info",
        "server": "toy",
        "ports": {"http": 8000},
        "reason": "two\nlines, “quoted”",
    }
    assert (second["event"], second["level"], second["port"]) == ("port.lost", "warning", 8000)


def test_entries_below_the_level_are_not_written(folder: Path) -> None:
    log = open_log(LogFile(folder), "warning", console=False)
    log.info("quiet")
    log.error("loud")
    assert [entry["event"] for entry in entries(folder)] == ["loud"]


def test_a_traceback_in_the_log_has_no_local_variables(folder: Path) -> None:
    token = secrets.token_urlsafe(32)
    events = Events(open_log(LogFile(folder), "info", console=False), FakeClock())
    events.report_failure("operation.broke", broken(token), server="toy")
    (entry,) = entries(folder)
    assert [(one["exc_type"], one["exc_value"]) for one in entry["exception"]] == [
        ("RuntimeError", "it broke"),
        ("IndexError", "list index out of range"),
    ]
    frames = [frame for one in entry["exception"] for frame in one["frames"]]
    assert "break_with" in [frame["name"] for frame in frames]
    assert not any(frame.get("locals") for frame in frames)
    assert token not in text(folder)


def test_a_traceback_on_the_console_has_no_local_variables(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    token = secrets.token_urlsafe(32)
    open_log(LogFile(folder), "info", console=True).error("operation.broke", exc_info=broken(token))
    shown = capsys.readouterr().err
    assert "operation.broke" in shown
    assert "RuntimeError: it broke" in shown
    assert token not in shown


def test_the_log_of_a_failed_start_has_no_secrets_of_the_server(folder: Path, tmp_path: Path) -> None:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": {**TOY, "secrets": {"TOY_BEARER": {"format": "token"}}}}
    harness.events = open_log(LogFile(folder), "debug", console=False)  # type: ignore[assignment]

    async def story() -> None:
        harness.system.fails["match_listeners"] = Fault(OSError(24, "Too many open files"), times=3)
        with pytest.raises(OSError, match="Too many open files"):
            await harness.up(harness.editor())
        await asyncio.sleep(10)
        record = await harness.up(harness.editor())
        process = harness.system.process(record.process or harness.system.me)
        assert process is not None
        secret = process.environment["TOY_BEARER"]
        assert len(secret) > 20
        broke = [entry for entry in entries(folder) if entry["event"] == "operation.broke"]
        assert broke
        assert all(entry["exception"] for entry in broke)
        # Without `in` on the text itself, because a failure would show the secret.
        leaked = secret in text(folder)
        assert not leaked

    harness.run(story)


@POSIX_ONLY
def test_an_open_log_folder_is_closed_to_other_users(folder: Path) -> None:
    folder.mkdir(parents=True)
    folder.chmod(0o755)
    open_log(LogFile(folder), "info", console=False)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_the_log_has_a_hard_cap_and_keeps_the_newest_entries(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 4000)
    log = open_log(LogFile(folder), "info", console=False)
    sizes = []
    for number in range(500):
        log.info("server.state", number=number, note="x" * 100)
        sizes.append(sum(path.stat().st_size for path in folder.iterdir()))
    assert max(sizes) <= 4000 * (BACKUPS + 1)
    assert max(sizes) > 4000 * BACKUPS
    assert len(list(folder.iterdir())) == BACKUPS + 1
    assert entries(folder)[-1]["number"] == 499


def test_a_log_is_continued_by_the_next_daemon(folder: Path) -> None:
    open_log(LogFile(folder), "info", console=False).info("daemon.stopped")
    open_log(LogFile(folder), "info", console=False).info("daemon.starting")
    assert [entry["event"] for entry in entries(folder)] == ["daemon.stopped", "daemon.starting"]


class Held:
    """Another process that has files open, in the way that keeps Windows from renaming them."""

    def __init__(self, *files: Path) -> None:
        holder = "import sys; files = [open(name) for name in sys.argv[1:]]; print(flush=True); sys.stdin.read()"
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", holder, *files], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )

    def __enter__(self) -> None:
        assert self._process.stdout is not None
        assert self._process.stdout.readline()

    def __exit__(self, *_: object) -> None:
        self._process.communicate()


class Refusing:
    """The error of Windows for a rename while another process has the file open. Counts the attempts."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refuses = True
        self.number: int | None = 32
        self.what = {LOG_NAME}
        self.asked = 0
        replace = Path.replace

        def ask(path: Path, target: Path) -> Path:
            if path.name not in self.what:
                return replace(path, target)
            self.asked += 1
            if self.refuses:
                raise self.refusal(path)
            return replace(path, target)

        monkeypatch.setattr(Path, "replace", ask)

    def refusal(self, path: Path) -> OSError:
        """Set `winerror`, which only Windows sets from a number of the system."""
        error = PermissionError(13, "The process cannot access the file", str(path))
        error.winerror = self.number  # type: ignore[assignment, attr-defined, unused-ignore]
        return error


def backups(folder: Path) -> dict[str, str]:
    """Write the files that three earlier rollovers would have left."""
    folder.mkdir()
    made = {f"{LOG_NAME}.{number}": f'{{"number": -{number}}}\n' for number in (1, 2, 3)}
    for name, content in made.items():
        (folder / name).write_text(content, encoding="utf-8")
    return made


def numbers(folder: Path) -> list[int]:
    """Return the numbers of the entries in all files, oldest first."""
    files = sorted(folder.iterdir(), key=lambda path: path.name, reverse=True)
    return [json.loads(line)["number"] for path in files for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_refused_rollover_loses_no_entry_and_is_retried(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 4000)
    clock, refusing = FakeClock(), Refusing(monkeypatch)
    file = LogFile(folder, clock.monotonic)
    log = open_log(file, "info", console=False)
    for number in range(60):
        log.info("server.state", number=number, note="x" * 100)
        clock.advance(0.1)
    assert numbers(folder) == [*range(60)]
    assert [path.name for path in folder.iterdir()] == [LOG_NAME]
    # Retries follow after 1 s, 2 s, ... About forty entries came after the file was full, and four seconds.
    assert refusing.asked <= 3
    assert "cannot begin anew" in (file.note() or "")
    refusing.refuses = False
    clock.advance(daemon_log.RETRY_LAST_S)
    log.info("server.state", number=60)
    assert (folder / f"{LOG_NAME}.1").exists()
    assert numbers(folder) == [*range(61)]
    assert file.note() is None


def test_a_refused_rollover_moves_no_backup(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 1000)
    made, clock, refusing = backups(folder), FakeClock(), Refusing(monkeypatch)
    log = open_log(LogFile(folder, clock.monotonic), "info", console=False)
    for number in range(20):
        log.info("server.state", number=number, note="x" * 40)
        clock.advance(daemon_log.RETRY_LAST_S)
    assert refusing.asked > 2
    assert {path.name: path.read_text() for path in folder.iterdir() if path.name != LOG_NAME} == made
    refusing.refuses = False
    log.info("server.state", number=20)
    assert numbers(folder) == [-2, -1, *range(21)]


def test_a_held_backup_lets_the_log_go_on_in_its_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 1000)
    backups(folder)
    clock, refusing = FakeClock(), Refusing(monkeypatch)
    refusing.what = {f"{LOG_NAME}.1"}
    file = LogFile(folder, clock.monotonic)
    log = open_log(file, "info", console=False)
    for number in range(20):
        log.info("server.state", number=number, note="x" * 40)
        clock.advance(daemon_log.RETRY_LAST_S)
    assert numbers(folder) == [-2, -1, *range(20)]
    assert "cannot begin anew" in (file.note() or "")
    refusing.refuses = False
    log.info("server.state", number=20)
    assert numbers(folder) == [-2, -1, *range(21)]


def test_a_file_left_aside_is_neither_lost_nor_overwritten(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 1000)
    folder.mkdir()
    (folder / f"{LOG_NAME}.0").write_text('{"number": 0}\n', encoding="utf-8")
    log = open_log(LogFile(folder), "info", console=False)
    log.info("server.state", number=1)
    assert [path.name for path in folder.iterdir()] == [LOG_NAME]
    (folder / f"{LOG_NAME}.0").write_text('{"number": -1}\n', encoding="utf-8")
    for number in range(2, 10):
        log.info("server.state", number=number, note="x" * 40)
    assert numbers(folder) == [*range(-1, 10)]
    assert not (folder / f"{LOG_NAME}.0").exists()


@pytest.mark.parametrize("number", [5, 32, 33, None, 1392])
def test_another_failure_of_a_rollover_is_logged_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch, number: int | None
) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 1000)
    clock, refusing = FakeClock(), Refusing(monkeypatch)
    refusing.number = number
    file = LogFile(folder, clock.monotonic)
    log = open_log(file, "info", console=False)
    for _ in range(20):
        log.info("server.state", note="x" * 40)
        clock.advance(daemon_log.RETRY_LAST_S)
    told = [(entry["event"], entry["level"]) for entry in entries(folder) if entry["level"] != "info"]
    assert told == ([] if number in (5, 32, 33) else [("log.stuck", "error")])
    assert len(entries(folder)) == 20 + len(told)
    assert "cannot begin anew" in (file.note() or "")


def test_a_log_without_rollover_stays_within_its_cap_and_counts_losses(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 1000)
    Refusing(monkeypatch)
    file = LogFile(folder, FakeClock().monotonic)
    log = open_log(file, "info", console=False)
    for number in range(100):
        log.info("server.state", number=number, note="x" * 100)
    assert (folder / LOG_NAME).stat().st_size <= 1000 * (BACKUPS + 1)
    kept = len(numbers(folder))
    assert f"{100 - kept} entries of" in (file.note() or "")


def test_a_partly_written_entry_spoils_no_other(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = LogFile(folder)
    write = os.write
    monkeypatch.setattr(os, "write", lambda descriptor, data: write(descriptor, data[: len(data) // 2]))
    file.msg('{"event": "torn"}')
    monkeypatch.undo()
    file.msg('{"event": "whole"}')
    assert json.loads(text(folder).splitlines()[-1]) == {"event": "whole"}
    assert "1 entries" in (file.note() or "")


def test_no_entry_is_lost_while_another_process_has_the_log_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(daemon_log, "MAX_BYTES", 4000)
    clock = FakeClock()
    log = open_log(LogFile(folder, clock.monotonic), "info", console=False)
    with Held(folder / LOG_NAME):
        for number in range(60):
            log.info("server.state", number=number, note="x" * 100)
            clock.advance(0.1)
        assert numbers(folder) == [*range(60)]
        # Other systems can rename a file that is open.
        assert (folder / f"{LOG_NAME}.1").exists() == (facts.SYSTEM != "windows")
    clock.advance(daemon_log.RETRY_LAST_S)
    log.info("server.state", number=60)
    assert (folder / f"{LOG_NAME}.1").exists()
    assert numbers(folder) == [*range(61)]


@pytest.mark.linux_only
def test_a_full_disk_costs_only_log_entries(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder.mkdir()
    (folder / LOG_NAME).symlink_to("/dev/full")
    file = LogFile(folder)
    log = open_log(file, "info", console=False)
    log.info("server.state")
    log.error("operation.broke", exc_info=broken("token"))
    assert capsys.readouterr().err == ""
    assert "2 entries" in (file.note() or "")
    assert "No space left" in (file.note() or "")
