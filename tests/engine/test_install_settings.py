"""The settings of a user's pip and uv that reach an installation."""

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from supervisor.engine.environments import install_settings
from supervisor.engine.environments.install_settings import pip_files, uv_files, variables_for
from supervisor.errors import InstallFailed
from supervisor.native import facts
from supervisor.native.shared import settings_folders

ELSEWHERE = [
    "target",
    "prefix",
    "root",
    "user",
    "dry-run",
    "report",
    "python",
    "no-deps",
    "require-hashes",
    "ignore-requires-python",
    "no-compile",
    "pre",
    "editable",
    "requirement",
    "group",
    "platform",
    "python-version",
    "abi",
    "implementation",
    "src",
    "log",
    "quiet",
    "isolated",
    "require-virtualenv",
    "force-reinstall",
    "break-system-packages",
    "no-build-isolation",
    "config-settings",
    "upgrade-strategy",
]
"""Options of pip that say where packages go, or whether they are installed: none of them may pass."""


@pytest.fixture
def home(tmp_path: Path) -> Path:
    folder = tmp_path / "home"
    (folder / ".config" / "pip").mkdir(parents=True)
    (folder / ".config" / "uv").mkdir()
    (folder / "tmp").mkdir()
    return folder


@pytest.fixture
def surroundings(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Variables whose settings files all lie below the test's folder."""
    monkeypatch.setattr(settings_folders, "ETC", tmp_path / "etc")
    everyone = str(tmp_path / "everyone")
    return {
        "HOME": str(home),
        "USERPROFILE": str(home),
        "APPDATA": str(home / ".config"),
        "PROGRAMDATA": everyone,
        "XDG_CONFIG_DIRS": everyone,
        "PATH": "/usr/bin",
    }


def pip(environment: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the PIP_ variables that pip gets."""
    given = variables_for(environment, home / "tmp", uv=False)
    assert given.pop("PIP_CONFIG_FILE") == os.devnull
    return {name: value for name, value in given.items() if name.startswith("PIP_")}


def uv(environment: Mapping[str, str], home: Path) -> dict[str, object]:
    """Return the settings file that uv gets."""
    given = variables_for(environment, home / "tmp", uv=True)
    if "UV_CONFIG_FILE" not in given:
        assert given["UV_NO_CONFIG"] == "1"
        return {}
    return tomllib.loads(Path(given["UV_CONFIG_FILE"]).read_text(encoding="utf-8"))


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("option", ELSEWHERE)
def test_pip_options_that_move_packages_do_not_pass(surroundings: dict[str, str], home: Path, option: str) -> None:
    write(pip_files(surroundings)[-1], f"[global]\n{option} = /elsewhere\n[install]\n{option} = /elsewhere\n")
    variable = "PIP_" + option.upper().replace("-", "_")
    assert pip({**surroundings, variable: "/elsewhere"}, home) == {}


def test_pip_options_about_the_source_pass(surroundings: dict[str, str], home: Path) -> None:
    config = "[global]\nindex_url = https://a/simple\nextra-index-url =\n    https://b\n    https://c\ntimeout = 5\n"
    write(pip_files(surroundings)[-1], config + "[install]\nindex-url = https://d/simple\n[download]\nproxy = x\n")
    given = pip({**surroundings, "PIP_TIMEOUT": "9", "PIP_CERT": "/ca.pem", "PIP_TRUSTED_HOST": ""}, home)
    assert given["PIP_EXTRA_INDEX_URL"].split() == ["https://b", "https://c"]
    del given["PIP_EXTRA_INDEX_URL"]
    assert given == {"PIP_INDEX_URL": "https://d/simple", "PIP_TIMEOUT": "9", "PIP_CERT": "/ca.pem"}


def test_chosen_pip_file_replaces_the_users_files(surroundings: dict[str, str], home: Path) -> None:
    write(pip_files(surroundings)[-1], "[global]\nproxy = mine\ncert = mine\n")
    chosen = write(home / "chosen.conf", "[global]\nproxy = chosen\n")
    assert pip({**surroundings, "PIP_CONFIG_FILE": str(chosen)}, home) == {"PIP_PROXY": "chosen"}
    gone = {**surroundings, "PIP_CONFIG_FILE": str(home / "gone.conf")}
    assert pip(gone, home) == {"PIP_PROXY": "mine", "PIP_CERT": "mine"}
    assert pip({**surroundings, "PIP_CONFIG_FILE": os.devnull}, home) == {}


def test_users_pip_file_overrides_the_systems(surroundings: dict[str, str], home: Path) -> None:
    first, *_, last = pip_files(surroundings)
    write(first, "[global]\nproxy = everyone\ncert = everyone\n")
    write(last, "[global]\nproxy = mine\n")
    assert pip(surroundings, home) == {"PIP_PROXY": "mine", "PIP_CERT": "everyone"}


@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_pip_files_are_those_in_its_manual(
    surroundings: dict[str, str], home: Path, monkeypatch: pytest.MonkeyPatch, system: str
) -> None:
    monkeypatch.setattr(facts, "SYSTEM", system)
    expected = {
        "linux": [home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"],
        "macos": [home / ".pip" / "pip.conf", home / ".config" / "pip" / "pip.conf"],
        "windows": [home / "pip" / "pip.ini", home / ".config" / "pip" / "pip.ini"],
    }
    assert pip_files(surroundings)[-2:] == expected[system]


def test_variables_for_python_do_not_reach_installers(surroundings: dict[str, str], home: Path) -> None:
    poison = {"PYTHONPATH": "x", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONPYCACHEPREFIX": "x", "VIRTUAL_ENV": "x"}
    for uses_uv in (False, True):
        given = variables_for(
            {**surroundings, **poison, "HTTPS_PROXY": "p", "PYTHON_KEYRING_BACKEND": "k"}, home / "tmp", uv=uses_uv
        )
        assert given["PYTHON_KEYRING_BACKEND"] == "k"
        assert not set(poison) & set(given)
        assert given["HTTPS_PROXY"] == "p"


@pytest.mark.parametrize(
    "setting",
    [
        'target = "/elsewhere"',
        'prefix = "/elsewhere"',
        "system = true",
        'python = "3.9"',
        "no-deps = true",
        "require-hashes = true",
        'python-version = "3.9"',
        'resolution = "lowest"',
        'link-mode = "symlink"',
        "compile-bytecode = false",
    ],
)
def test_uv_settings_that_move_packages_do_not_pass(surroundings: dict[str, str], home: Path, setting: str) -> None:
    write(uv_files(surroundings)[0], f'required-version = "0.1"\n[pip]\n{setting}\n')
    assert uv(surroundings, home) == {}


def test_uv_settings_about_the_source_pass(surroundings: dict[str, str], home: Path) -> None:
    file = write(
        uv_files(surroundings)[0],
        'offline = true\nfind-links = ["wheels", "https://x/\\u007f\\"é"]\nindex = [{ name = "a", url = "b" }]\n'
        '[pip]\nindex-url = "https://d"\ntarget = "/elsewhere"\n',
    )
    system = write(uv_files({**surroundings})[0].parents[3] / "everyone" / "uv" / "uv.toml", "offline = false\n")
    assert system.exists()
    assert uv(surroundings, home) == {
        "offline": True,
        "find-links": [str(file.parent / "wheels"), 'https://x/\x7f"é'],
        "index": [{"name": "a", "url": str(file.parent / "b")}],
        "pip": {"index-url": "https://d"},
    }


def test_uv_variables_about_the_source_pass(surroundings: dict[str, str], home: Path) -> None:
    passing = {
        "UV_INDEX": "https://a",
        "UV_INDEX_OURS_PASSWORD": "secret",
        "UV_FIND_LINKS": "/wheels",
        "UV_LINK_MODE": "copy",
        "UV_OFFLINE": "1",
    }
    moving = ("UV_TARGET", "UV_PREFIX", "UV_SYSTEM_PYTHON", "UV_PYTHON", "UV_PROJECT_ENVIRONMENT", "UV_REQUIRE_HASHES")
    given = variables_for({**surroundings, **passing, **dict.fromkeys(moving, "1")}, home / "tmp", uv=True)
    assert {name: value for name, value in given.items() if name.startswith("UV_")} == {**passing, "UV_NO_CONFIG": "1"}
    assert "UV_LINK_MODE" not in variables_for({**surroundings, "UV_LINK_MODE": "symlink"}, home, uv=True)


def test_uv_files_are_ignored_with_no_config(surroundings: dict[str, str], home: Path) -> None:
    write(uv_files(surroundings)[0], "offline = true\n")
    assert uv({**surroundings, "UV_NO_CONFIG": "1"}, home) == {}
    assert uv(surroundings, home) == {"offline": True}


@pytest.mark.parametrize("tool", ["pip", "uv"])
def test_a_settings_file_that_cannot_be_read_is_named(surroundings: dict[str, str], home: Path, tool: str) -> None:
    files = pip_files(surroundings) if tool == "pip" else uv_files(surroundings)[:1]
    write(files[-1], "[global\n")
    with pytest.raises(InstallFailed) as caught:
        variables_for(surroundings, home / "tmp", uv=tool == "uv")
    assert str(files[-1]) in caught.value.message
    assert files[-1].name in (caught.value.hint or "")


def test_no_option_that_moves_packages_is_listed() -> None:
    moving = {*ELSEWHERE, "system", "override", "project-environment", "resolution", "prerelease"}
    assert not moving & (install_settings.PIP_SOURCES | install_settings.UV_SOURCES)
