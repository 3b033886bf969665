import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.environments.builder import Environments
from supervisor.engine.environments.store import BUILDERS, Environment
from supervisor.errors import InstallFailed, InvalidParams
from supervisor.native import facts
from supervisor.native.platforms import open_platform
from tests import cache
from tests.wheels import wheel

PATIENCE_S = 60.0
REPOSITORY = Path(__file__).parents[2]


class Daemon:
    """What one daemon has to work with here, and what its callers were told."""

    def __init__(self, root: Path, variables: dict[str, str], *, no_progress_s: float = PATIENCE_S) -> None:
        self.platform = open_platform()
        self.told: list[tuple[str, str, int | None, int | None]] = []
        self.stopped: list[ProcessIdentity] = []
        self.environments = Environments(
            root, self.platform, self.stop, environment=variables, no_progress_s=no_progress_s
        )

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        self.told.append((stage, message, done, total))

    async def stop(self, installer: ProcessIdentity) -> None:
        self.stopped.append(installer)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(installer.pid, signal.SIGKILL)
        await until(lambda: self.platform.probe.sample(installer) is Liveness.DEAD)

    async def provide(self, package: str = "toy", version: str = "1.0") -> Environment:
        return await self.environments.provide(package, version, self.progress)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (files and processes of others set no event)
            await asyncio.sleep(0.01)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(main())  # type: ignore[arg-type]


def with_installer(variables: dict[str, str], installer: str) -> dict[str, str]:
    return {**variables, "PATH": str(cache.folder_of_uv())} if installer == "uv" else variables


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "environments"


@pytest.fixture
def offline(tmp_path: Path) -> dict[str, str]:
    """An installer's environment whose only index is a folder with two versions of a toy and what it needs."""
    wheels = tmp_path / "wheels"
    wheel(wheels, "toy", "1.0", ("needed",))
    wheel(wheels, "toy", "2.0")
    wheel(wheels, "needed", "1.0")
    return {
        "HOME": str(tmp_path),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheels),
        "UV_NO_CONFIG": "1",
        "UV_OFFLINE": "1",
        "UV_FIND_LINKS": str(wheels),
        "UV_CACHE_DIR": str(tmp_path / "uv-cache"),
    }


@pytest.fixture
def stand_in(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Makes an environment whose `uv` makes a venv like the real one, and whose `pip install` is this shell script.

    The script finds the folder of its test in $TEST, and the interpreter to install for in $PYTHON.
    """
    if facts.SYSTEM == "windows":
        pytest.skip("the stand-in for uv is a shell script")

    def make(script: str) -> dict[str, str]:
        folder = tmp_path / "bin"
        folder.mkdir(exist_ok=True)
        uv = folder / "uv"
        uv.write_text(
            textwrap.dedent(
                """\
                #!/bin/sh
                case "$1 $2" in
                "cache dir") echo "$TEST/uv-cache"; exit ;;
                "venv "*)
                    mkdir -p "$5/bin" && ln -s "$4" "$5/bin/python"
                    printf 'home = %s\\ninclude-system-site-packages = false\\n' "${4%/*}" > "$5/pyvenv.cfg"
                    exit ;;
                esac
                PYTHON=$5
                for WISH; do :; done
                echo run >> "$TEST/runs"
                NAME=${WISH%%==*} VERSION=${WISH##*==}
                SITE=$("$PYTHON" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
                mkdir -p "$SITE/$NAME-$VERSION.dist-info"
                printf 'Name: %s\\nVersion: %s\\n' "$NAME" "$VERSION" > "$SITE/$NAME-$VERSION.dist-info/METADATA"
                """
            )
            + textwrap.dedent(script)
        )
        uv.chmod(0o700)
        return {"PATH": f"{folder}:/usr/bin:/bin", "TEST": str(tmp_path)}

    return make


def folders(root: Path) -> set[Path]:
    return {path for path in root.iterdir() if path.is_dir()}


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


# The real installers.


def test_pip_makes_an_environment_with_exactly_this_version(root: Path, offline: dict[str, str]) -> None:
    poison = {"PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere", "VIRTUAL_ENV": "/nowhere", "PIP_TARGET": "/nowhere"}
    daemon = Daemon(root, {**offline, **poison})
    made = run(lambda: daemon.provide(version="1.0"))
    assert (made.package, made.version) == ("toy", "1.0")
    code = "import toy, needed, sys; print(toy.version, sys.prefix != sys.base_prefix)"
    said = subprocess.run([made.python, "-c", code], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["1.0", "True"]
    assert made.python.is_relative_to(made.path)
    assert daemon.environments.known() == [made]
    assert folders(root) == {made.path}
    assert not (made.path / "tmp").exists()
    assert daemon.stopped == []
    assert {stage for stage, *_ in daemon.told} == {"installing", "verifying"}
    assert [(done, total) for _, message, done, total in daemon.told if "installing 2 packages" in message] == [(2, 2)]


def test_what_is_there_is_given_at_once(root: Path, offline: dict[str, str]) -> None:
    first = Daemon(root, offline)
    made = run(first.provide)
    later = Daemon(root, {})
    assert run(later.provide) == made
    assert later.told == []


def test_pip_files_and_variables_decide_from_where_and_never_to_where(
    root: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    moved = (
        f"target = {elsewhere}\nprefix = {elsewhere}\nroot = {elsewhere}\nuser = yes\ndry-run = yes\nno-deps = yes\n"
    )
    config = tmp_path / "pip.conf"
    config.write_text(f"[global]\nno-index = yes\nfind-links = {offline['PIP_FIND_LINKS']}\n[install]\n{moved}")
    variables = {"HOME": str(tmp_path), "PIP_CONFIG_FILE": str(config), "PIP_PYTHON": "/nowhere", "PIP_NO_DEPS": "1"}
    made = run(lambda: Daemon(root, {**variables, "PIP_REQUIRE_HASHES": "1", "PYTHONDONTWRITEBYTECODE": "1"}).provide())
    subprocess.run([made.python, "-I", "-c", "import toy, needed"], check=True)
    assert list(made.path.glob("venv/**/site-packages/__pycache__/toy.*.pyc"))
    assert not elsewhere.exists()


def test_uv_files_and_variables_decide_from_where_and_never_to_where(
    root: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    elsewhere = tmp_path / "elsewhere"
    config = tmp_path / ".config" / "uv" / "uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'required-version = "0.0.1"\noffline = true\nfind-links = ["{offline["UV_FIND_LINKS"]}"]\n'
        f'[pip]\ntarget = "{elsewhere}"\nno-deps = true\nrequire-hashes = true\nsystem = true\npython = "2.7"\n'
    )
    # uv itself would read this one too: it looks upwards from where it runs.
    root.mkdir(mode=0o700)
    (root / "uv.toml").write_text(f'[pip]\nprefix = "{elsewhere}"\n')
    variables = {
        "HOME": str(tmp_path),
        "PATH": str(cache.folder_of_uv()),
        "UV_CACHE_DIR": offline["UV_CACHE_DIR"],
        **dict.fromkeys(("UV_TARGET", "UV_PREFIX", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT"), str(elsewhere)),
        **dict.fromkeys(("UV_SYSTEM_PYTHON", "UV_REQUIRE_HASHES", "PYTHONDONTWRITEBYTECODE"), "1"),
    }
    made = run(lambda: Daemon(root, variables).provide())
    subprocess.run([made.python, "-I", "-c", "import toy, needed"], check=True)
    assert list(made.path.glob("venv/**/site-packages/__pycache__/toy.*.pyc"))
    assert not elsewhere.exists()


def test_the_version_that_was_really_installed_is_recorded(root: Path, offline: dict[str, str]) -> None:
    daemon = Daemon(root, {**offline, "PATH": str(cache.folder_of_uv())})
    made = run(lambda: daemon.provide(version="2"))
    assert (made.version, made.installed, made.whole) == ("2", "2.0", True)
    assert made.made_with == ".".join(map(str, sys.version_info[:3]))
    assert run(lambda: daemon.provide(version="2.0.0")) == made
    assert daemon.environments.ready("TOY", "2.0") == made
    assert daemon.environments.ready("toy", "2.1") is None


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_version_of_another_python_names_that_python(
    root: Path, offline: dict[str, str], tmp_path: Path, installer: str
) -> None:
    wheel(tmp_path / "wheels", "toy", "5.0", python=">=3.99")
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, with_installer(offline, installer)).provide(version="5.0"))
    ours = ".".join(map(str, sys.version_info[:3]))
    assert (caught.value.hint or "").startswith(f"toy 5.0 needs Python >=3.99, this daemon runs on {ours}")


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_behind_a_dead_proxy_the_variable_is_named(root: Path, tmp_path: Path, installer: str) -> None:
    variables = with_installer({"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}, installer)
    dead = {"https_proxy": "http://user:secret@127.0.0.1:1", "PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, {**variables, **dead, "UV_CACHE_DIR": str(tmp_path / "cache")}).provide())
    assert caught.value.hint == "does the proxy answer? The daemon was started with https_proxy"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_a_version_that_is_not_there_is_refused_with_those_that_are(
    root: Path, offline: dict[str, str], installer: str
) -> None:
    daemon = Daemon(root, with_installer(offline, installer))
    with pytest.raises(InstallFailed) as caught:
        run(lambda: daemon.provide(version="9.9"))
    error = caught.value
    assert error.data["versions"] == ["1.0", "2.0"]
    assert "2.0" in (error.hint or "")
    assert any("toy==9.9" in line for line in error.data["output"])
    assert "toy==9.9" in error.message
    assert folders(root) == set()
    assert daemon.environments.known() == []


def test_uv_is_used_where_there_is_one(root: Path, offline: dict[str, str]) -> None:
    daemon = Daemon(
        root, {**offline, "PATH": str(cache.folder_of_uv()), "UV_SYSTEM_PYTHON": "1", "PYTHONHOME": "/nowhere"}
    )
    made = run(daemon.provide)
    said = subprocess.run(
        [made.python, "-c", "import toy, needed; print(toy.version)"], capture_output=True, check=True
    )
    assert said.stdout.strip() == b"1.0"
    assert not list(made.path.glob("venv/**/pip"))
    assert (None, 2) in {(None, total) for _, _, _, total in daemon.told}


def test_a_dependency_that_is_not_there_is_told_in_the_installers_words(
    root: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    wheel(tmp_path / "wheels", "toy", "3.0", ("missing-thing",))
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, offline).provide(version="3.0"))
    assert any("missing-thing" in line for line in caught.value.data["output"])
    assert caught.value.data["versions"] == []


# Sharing, waiting and cancelling.

GATED = """\
touch "$TEST/begun"
while [ ! -e "$TEST/gate" ]; do sleep 0.02; done
"""


def test_callers_who_ask_at_once_share_one_build(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in(GATED + "echo 'Resolved 1 package in 1ms'"))
    second: list[str] = []

    async def main() -> list[Environment]:
        one = asyncio.create_task(daemon.provide())
        await until((tmp_path / "begun").exists)
        two = asyncio.create_task(
            daemon.environments.provide("Toy", "1.0", lambda _stage, message, *_: second.append(message))
        )
        await asyncio.sleep(0)
        (tmp_path / "gate").touch()
        return [await one, await two]

    made = run(main)
    assert made[0] == made[1]
    assert runs(tmp_path) == 1
    assert second[0] == "Resolved 1 package in 1ms"


def test_daemons_that_share_a_folder_wait_for_each_other(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    variables = stand_in(GATED)
    here, there = Daemon(root, variables), Daemon(root, variables)

    async def main() -> list[Environment]:
        one = asyncio.create_task(here.provide())
        await until((tmp_path / "begun").exists)
        two = asyncio.create_task(there.provide())
        await until(lambda: bool(there.told))
        (tmp_path / "gate").touch()
        return [await one, await two]

    made = run(main)
    assert made[0] == made[1]
    assert runs(tmp_path) == 1
    assert {(stage, message) for stage, message, *_ in there.told} == {
        ("waiting", "waiting for another daemon's build of toy==1.0")
    }


def test_another_daemons_build_is_waited_for_while_it_gets_on_and_no_longer(
    root: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in(GATED), no_progress_s=1.0)
    build = root / "toy-1.0-theirs"
    build.mkdir(parents=True)
    began = time.monotonic()

    async def main() -> None:
        waiting = asyncio.create_task(daemon.provide())
        for number in range(4):
            await asyncio.sleep(0.5)
            (build / str(number)).touch()
        assert not waiting.done()
        with pytest.raises(InstallFailed, match=r"another daemon.s build of toy==1\.0: no progress for 1 s"):
            await waiting

    with FileLock(root / "toy-1.0.lock"):
        run(main)
    assert 2.5 < time.monotonic() - began < 10


def test_a_caller_who_leaves_does_not_end_the_build_of_another(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in(GATED))

    async def main() -> Environment:
        leaving = asyncio.create_task(daemon.provide())
        staying = asyncio.create_task(daemon.provide())
        await until((tmp_path / "begun").exists)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        (tmp_path / "gate").touch()
        return await staying

    assert run(main).version == "1.0"
    assert daemon.stopped == []
    assert runs(tmp_path) == 1


def test_when_the_last_caller_leaves_the_installer_is_stopped_and_nothing_is_left(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in(GATED))

    async def main() -> Environment:
        callers = [asyncio.create_task(daemon.provide()) for _ in range(2)]
        await until((tmp_path / "begun").exists)
        for caller in callers:
            caller.cancel()
        results = await asyncio.gather(*callers, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2
        assert len(daemon.stopped) == 1
        assert folders(root) == set()
        (tmp_path / "gate").touch()
        return await daemon.provide()

    assert run(main).version == "1.0"


def test_who_asks_while_a_build_is_being_cancelled_gets_a_new_one(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in(GATED))

    async def main() -> Environment:
        leaving = asyncio.create_task(daemon.provide())
        await until((tmp_path / "begun").exists)
        leaving.cancel()
        await asyncio.sleep(0)
        coming = asyncio.create_task(daemon.provide())
        with pytest.raises(asyncio.CancelledError):
            await leaving
        (tmp_path / "gate").touch()
        return await coming

    assert run(main).version == "1.0"
    assert runs(tmp_path) == 2


# Failing.


def test_an_installer_that_stalls_is_stopped(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    daemon = Daemon(root, stand_in("echo 'Resolved 1 package in 1ms'\nsleep 1000"), no_progress_s=0.6)
    with pytest.raises(InstallFailed, match=r"toy==1\.0: no progress for 0\.6 s") as caught:
        run(daemon.provide)
    assert caught.value.data["output"][-1] == "Resolved 1 package in 1ms"
    assert [daemon.platform.probe.sample(installer) for installer in daemon.stopped] == [Liveness.DEAD]
    assert folders(root) == set()


@pytest.mark.parametrize("place", ["$TMPDIR", "$TEST/uv-cache/.tmpX"])
def test_an_installer_that_writes_without_a_word_gets_on(
    root: Path, stand_in: Callable[[str], dict[str, str]], place: str
) -> None:
    script = f"""\
        mkdir -p "{place}"
        for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; echo x >> "{place}/download"; done
        """
    daemon = Daemon(root, stand_in(script), no_progress_s=2.0)
    assert run(daemon.provide).version == "1.0"
    assert daemon.stopped == []


def test_an_installer_that_fails_is_quoted(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    script = "for i in $(seq 50); do echo line $i; done\nprintf 'last words' >&2\nexit 3"
    with pytest.raises(InstallFailed) as caught:
        run(Daemon(root, stand_in(script)).provide)
    assert len(caught.value.data["output"]) == 20
    assert caught.value.data["output"][-2:] == ["line 50", "last words"]


def test_an_installer_that_is_killed_has_failed(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    with pytest.raises(InstallFailed, match=r"toy==1\.0 could not be installed"):
        run(Daemon(root, stand_in("kill -9 $$")).provide)
    assert folders(root) == set()


def test_a_folder_that_cannot_be_made_is_a_typed_error(root: Path) -> None:
    root.write_text("in the way")
    with pytest.raises(InstallFailed) as caught:
        run(Daemon(root, {}).provide)
    assert str(root) in (caught.value.hint or "")


@pytest.mark.parametrize("version", ["", "latest", "../1.0", "1.0/x", "1.0 --index-url=http://x", "-r", ">=1", "1.*"])
def test_what_is_no_exact_version_is_refused(root: Path, version: str) -> None:
    with pytest.raises(InvalidParams, match="version: "):
        run(lambda: Daemon(root, {}).provide(version=version))
    assert not root.exists()


# What is on the disk.


def test_a_broken_environment_is_rebuilt_and_the_old_one_removed(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    daemon = Daemon(root, stand_in("exit 0"))

    async def main() -> tuple[Environment, Environment]:
        first = await daemon.provide()
        first.python.unlink()
        first.python.symlink_to(tmp_path / "removed base interpreter")
        assert daemon.environments.known() == []
        return first, await daemon.provide()

    first, second = run(main)
    assert first.path != second.path
    assert folders(root) == {second.path}
    assert daemon.environments.known() == [second]


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
def test_a_record_that_is_not_ours_counts_as_none(
    root: Path, stand_in: Callable[[str], dict[str, str]], content: str
) -> None:
    root.mkdir()
    text = content.replace("{root}", str(root)).replace("{python}", sys.executable)
    (root / "toy-1.0.json").write_text(text)
    daemon = Daemon(root, stand_in("exit 0"))
    assert daemon.environments.known() == []
    assert run(daemon.provide).path.parent == root


def test_only_builds_whose_every_builder_is_dead_are_removed(
    root: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
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


def test_what_a_dead_daemon_published_is_kept(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    variables = {**stand_in("exit 0"), "PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", KILLED, str(root)], env=variables, check=True)
    later = Daemon(root, variables)
    [published] = later.environments.known()
    made = run(lambda: later.provide(version="2.0"))
    assert folders(root) == {published.path, made.path}
    assert run(later.provide) == published


KILLED = """\
import asyncio, os, signal, sys
from pathlib import Path
from tests.engine.test_environments import Daemon
asyncio.run(Daemon(Path(sys.argv[1]), dict(os.environ)).provide())
"""


def test_after_a_daemon_was_killed_the_next_builds_anew_and_its_orphan_does_no_harm(
    root: Path, tmp_path: Path, stand_in: Callable[[str], dict[str, str]]
) -> None:
    slow = 'echo $$ > "$TEST/installer"\n' + GATED
    variables = {**stand_in(slow), "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(root)], env=variables) as daemon:
        asyncio.run(until((tmp_path / "begun").exists))
        orphan = int((tmp_path / "installer").read_text())
        # One that no daemon has noted is nobody's: killed before, the next one would clear away what it works on.
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
    assert [found.version for found in second.environments.known()] == ["1.0", "2.0"]
