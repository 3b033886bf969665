"""Private environments made by the real installers and by a stand-in: content, sharing, cancelling, failures."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from supervisor.core.model import Liveness
from supervisor.engine.environments.store import Environment
from supervisor.errors import InstallFailed, InvalidParams
from tests import cache
from tests.engine.environment_daemon import (
    GATED,
    Daemon,
    folders,
    run,
    runs,
    until,
    with_installer,
)
from tests.wheels import wheel

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
    assert daemon.environments.usable() == [made]
    assert folders(root) == {made.path}
    assert not (made.path / "tmp").exists()
    assert daemon.stopped == []
    assert {stage for stage, *_ in daemon.told} == {"installing", "verifying"}
    assert [(done, total) for _, message, done, total in daemon.told if "installing 2 packages" in message] == [(2, 2)]


def test_existing_environment_is_returned_at_once(root: Path, offline: dict[str, str]) -> None:
    first = Daemon(root, offline)
    made = run(first.provide)
    later = Daemon(root, {})
    assert run(later.provide) == made
    assert later.told == []


@pytest.mark.full
def test_pip_settings_choose_the_source_never_the_target(root: Path, offline: dict[str, str], tmp_path: Path) -> None:
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


def test_uv_settings_choose_the_source_never_the_target(root: Path, offline: dict[str, str], tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    config = tmp_path / ".config" / "uv" / "uv.toml"
    config.parent.mkdir(parents=True)
    config.write_text(
        f'required-version = "0.0.1"\noffline = true\nfind-links = ["{offline["UV_FIND_LINKS"]}"]\n'
        f'[pip]\ntarget = "{elsewhere}"\nno-deps = true\nrequire-hashes = true\nsystem = true\npython = "2.7"\n'
    )
    # The real uv would read this file, too, because it searches the parent folders.
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


def test_installed_version_is_recorded(root: Path, offline: dict[str, str]) -> None:
    daemon = Daemon(root, {**offline, "PATH": str(cache.folder_of_uv())})
    made = run(lambda: daemon.provide(version="2"))
    assert (made.version, made.installed, made.whole) == ("2", "2.0", True)
    assert made.made_with == ".".join(map(str, sys.version_info[:3]))
    assert run(lambda: daemon.provide(version="2.0.0")) == made
    assert daemon.environments.find_usable("TOY", "2.0") == made
    assert daemon.environments.find_usable("toy", "2.1") is None


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_failure_names_the_python_that_a_version_needs(
    root: Path, offline: dict[str, str], tmp_path: Path, installer: str
) -> None:
    wheel(tmp_path / "wheels", "toy", "5.0", python=">=3.99")
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, with_installer(offline, installer)).provide(version="5.0"))
    ours = ".".join(map(str, sys.version_info[:3]))
    assert (caught.value.hint or "").startswith(f"toy 5.0 needs Python >=3.99, this daemon runs on {ours}")


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_dead_proxy_is_named_by_its_variable(root: Path, tmp_path: Path, installer: str) -> None:
    variables = with_installer({"HOME": str(tmp_path), "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"}, installer)
    dead = {"https_proxy": "http://user:secret@127.0.0.1:1", "PIP_RETRIES": "0", "UV_HTTP_RETRIES": "0"}
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, {**variables, **dead, "UV_CACHE_DIR": str(tmp_path / "cache")}).provide())
    assert caught.value.hint == "check that the proxy answers: the daemon was started with https_proxy"


@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_missing_version_is_refused_with_available_ones(root: Path, offline: dict[str, str], installer: str) -> None:
    daemon = Daemon(root, with_installer(offline, installer))
    with pytest.raises(InstallFailed) as caught:
        run(lambda: daemon.provide(version="9.9"))
    error = caught.value
    assert error.data["versions"] == ["1.0", "2.0"]
    assert "2.0" in (error.hint or "")
    assert any("toy==9.9" in line for line in error.data["output"])
    assert "toy==9.9" in error.message
    assert folders(root) == set()
    assert daemon.environments.usable() == []


def test_uv_is_used_if_installed(root: Path, offline: dict[str, str]) -> None:
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


def test_missing_dependency_is_quoted_from_the_installer(root: Path, offline: dict[str, str], tmp_path: Path) -> None:
    wheel(tmp_path / "wheels", "toy", "3.0", ("missing-thing",))
    with pytest.raises(InstallFailed) as caught:
        run(lambda: Daemon(root, offline).provide(version="3.0"))
    assert any("missing-thing" in line for line in caught.value.data["output"])
    assert caught.value.data["versions"] == []


# Sharing, waiting and cancelling.


def test_concurrent_callers_share_one_build(
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


def test_daemons_with_one_folder_wait_for_each_other(
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


def test_wait_for_another_daemons_build_ends_without_progress(
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


def test_cancelled_caller_does_not_end_a_shared_build(
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


def test_last_cancelled_caller_stops_the_installer(
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


def test_request_during_a_cancelled_build_gets_a_new_build(
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


def test_stalled_installer_is_stopped(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    daemon = Daemon(root, stand_in("echo 'Resolved 1 package in 1ms'\nsleep 1000"), no_progress_s=0.6)
    with pytest.raises(InstallFailed, match=r"toy==1\.0: no progress for 0\.6 s") as caught:
        run(daemon.provide)
    assert caught.value.data["output"][-1] == "Resolved 1 package in 1ms"
    assert [daemon.platform.probe.sample(installer) for installer in daemon.stopped] == [Liveness.DEAD]
    assert folders(root) == set()


@pytest.mark.parametrize("place", ["$TMPDIR", "$TEST/uv-cache/.tmpX"])
def test_silent_installer_that_writes_files_makes_progress(
    root: Path, stand_in: Callable[[str], dict[str, str]], place: str
) -> None:
    script = f"""\
        mkdir -p "{place}"
        for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.3; echo x >> "{place}/download"; done
        """
    daemon = Daemon(root, stand_in(script), no_progress_s=2.0)
    assert run(daemon.provide).version == "1.0"
    assert daemon.stopped == []


def test_failed_installer_is_quoted(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    script = "for i in $(seq 50); do echo line $i; done\nprintf 'last words' >&2\nexit 3"
    with pytest.raises(InstallFailed) as caught:
        run(Daemon(root, stand_in(script)).provide)
    assert len(caught.value.data["output"]) == 20
    assert caught.value.data["output"][-2:] == ["line 50", "last words"]


def test_killed_installer_has_failed(root: Path, stand_in: Callable[[str], dict[str, str]]) -> None:
    with pytest.raises(InstallFailed, match=r"toy==1\.0 could not be installed"):
        run(Daemon(root, stand_in("kill -9 $$")).provide)
    assert folders(root) == set()


def test_impossible_folder_is_a_typed_error(root: Path) -> None:
    root.write_text("in the way")
    with pytest.raises(InstallFailed) as caught:
        run(Daemon(root, {}).provide)
    assert str(root) in (caught.value.hint or "")


@pytest.mark.parametrize("version", ["", "latest", "../1.0", "1.0/x", "1.0 --index-url=http://x", "-r", ">=1", "1.*"])
def test_inexact_version_is_refused(root: Path, version: str) -> None:
    with pytest.raises(InvalidParams, match="version: "):
        run(lambda: Daemon(root, {}).provide(version=version))
    assert not root.exists()
