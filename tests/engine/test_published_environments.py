"""Published environments and builds on the disk: which ones count, and which ones are removed."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.engine.environments.store import BUILDERS, Environment
from tests.engine.environment_daemon import (
    GATED,
    REPOSITORY,
    Daemon,
    folders,
    run,
    until,
)


def test_broken_environment_is_rebuilt_and_removed(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in("exit 0"))

    async def main() -> tuple[Environment, Environment]:
        first = await daemon.provide()
        first.python.unlink()
        first.python.symlink_to(tmp_path / "removed base interpreter")
        assert daemon.environments.usable() == []
        return first, await daemon.provide()

    first, second = run(main)
    assert first.path != second.path
    assert folders(root) == {second.path}
    assert daemon.environments.usable() == [second]


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"schema": 1}',
        '{"schema": 2, "path": "{root}/x", "python": "{python}", "package": "toy", "version": "1.0"}',
        '{"schema": 1, "path": "/elsewhere/x", "python": "{python}", "package": "toy", "version": "1.0"}',
        '{"schema": 1, "path": "{root}/x", "python": 5, "package": "toy", "version": "1.0"}',
        '{"schema": 1, "path": "{root}/..", "python": "{python}", "package": "toy", "version": "1.0"}',
        '{"schema": 1, "path": "{root}/tools", "python": "{python}", "package": "toy", "version": "1.0"}',
    ],
)
def test_a_damaged_or_foreign_record_is_ignored(
    root: Path, stand_in: Callable[[str], dict[str, str]], content: str
) -> None:
    root.mkdir()
    text = content.replace("{root}", str(root)).replace("{python}", sys.executable)
    (root / "toy-1.0.json").write_text(text)
    daemon = Daemon(root, stand_in("exit 0"))
    assert daemon.environments.usable() == []
    assert run(daemon.provide).path.parent == root


def test_only_builds_with_all_builders_dead_are_removed(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    daemon = Daemon(root, stand_in("exit 0"))
    probe = daemon.platform.probe
    with subprocess.Popen(["sleep", "1000"]) as process:
        identity = probe.identify(process.pid)
        process.kill()
    dead, me = identity, probe.identify(os.getpid())
    assert dead is not None
    assert me is not None

    def build(name: str, *builders: ProcessIdentity) -> Path:
        folder = root / name
        (folder / "venv" / "lib").mkdir(parents=True)
        (folder / "venv" / "lib" / "half.py").touch()
        named = [{"pid": builder.pid, "start_token": builder.start_token} for builder in builders]
        (folder / BUILDERS).write_text(json.dumps({"schema": 1, "builders": named}))
        return folder

    build("other-2.0-00000001", dead)
    build("toy-1.0-00000001", dead, dead)
    recycled = ProcessIdentity(me.pid, "another start")
    build("toy-1.0-00000002", recycled)
    kept = {build("toy-1.0-00000003", me), build("toy-1.0-00000004", dead, me), build("toy-1.0-00000005")}
    torn = build("toy-1.0-00000006", dead)
    (torn / BUILDERS).write_text("{")
    foreign_server = root / "not-a-build"
    foreign_server.mkdir()
    made = run(daemon.provide)
    assert folders(root) == {*kept, torn, foreign_server, made.path}


def test_published_environment_of_a_dead_daemon_is_kept(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    variables = {**stand_in("exit 0"), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", KILLED, str(root)], env=variables, check=True)
    later = Daemon(root, variables)
    [published] = later.environments.usable()
    made = run(lambda: later.provide(version="2.0"))
    assert folders(root) == {published.path, made.path}
    assert run(later.provide) == published


KILLED = """\
import asyncio, os, signal, sys
from pathlib import Path
from tests.engine.environment_daemon import Daemon
asyncio.run(Daemon(Path(sys.argv[1]), dict(os.environ)).provide())
"""


def test_build_of_a_killed_daemon_is_begun_anew(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    slow = 'echo $$ > "$TEST/installer"\n' + GATED
    variables = {**stand_in(slow), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(root)], env=variables) as daemon:
        asyncio.run(until((tmp_path / "begun").exists))
        orphan = int((tmp_path / "installer").read_text())
        # Wait for the record of the builder: without it, the next daemon would remove a build that is in use.
        asyncio.run(until(lambda: any(f": {orphan}," in path.read_text() for path in root.glob(f"*/{BUILDERS}"))))
        daemon.kill()
    [half_made] = folders(root)
    stand_in("exit 0")
    second = Daemon(root, variables)
    try:
        made = run(second.provide)
        assert made.path != half_made
        assert half_made.exists(), "its installer still works there"
    finally:
        os.kill(orphan, signal.SIGKILL)

    async def later() -> Environment:
        await until(lambda: second.platform.probe.identify(orphan) is None)
        return await second.provide(version="2.0")

    other = run(later)
    assert folders(root) == {made.path, other.path}
    assert [found.version for found in second.environments.usable()] == ["1.0", "2.0"]
