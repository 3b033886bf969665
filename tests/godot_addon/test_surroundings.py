"""The home folder of the daemon, as the GDScript client and the daemon find it in odd environments."""

import os
from pathlib import Path

import pytest

from supervisor.errors import InvalidParams
from supervisor.native import facts
from tests.godot_addon import addon_projects

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(180)]

ME, MINE = "/home/me", "/home/me/.godot-supervisor"
NAMES = (
    "HOME", "GODOT_SUPERVISOR_HOME", "SNAP_REAL_HOME", "FLATPAK_ID", "XDG_CONFIG_HOME", "XDG_DATA_HOME",
    "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR", "SteamAppId", "STEAM_COMPAT_DATA_PATH", "APPIMAGE",
)  # fmt: skip
XDG = ("XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_STATE_HOME", "XDG_RUNTIME_DIR")

SAME: dict[str, tuple[dict[str, str], str]] = {
    "plain": ({"HOME": ME}, MINE),
    "with a slash at the end": ({"HOME": "/home/me/"}, MINE),
    "with two slashes": ({"HOME": "/home//me"}, MINE),
    "moved": ({"HOME": ME, "GODOT_SUPERVISOR_HOME": "/srv/gs"}, "/srv/gs"),
    "moved, with a slash at the end": ({"HOME": ME, "GODOT_SUPERVISOR_HOME": "/srv/gs/"}, "/srv/gs"),
    "moved to nothing": ({"HOME": ME, "GODOT_SUPERVISOR_HOME": ""}, MINE),
    "moved, without a home": ({"GODOT_SUPERVISOR_HOME": "/srv/gs"}, "/srv/gs"),
    "empty XDG": ({"HOME": ME, **dict.fromkeys(XDG, "")}, MINE),
    "relative XDG": ({"HOME": ME, **dict.fromkeys(XDG, "here/there")}, MINE),
    "foreign XDG": ({"HOME": ME, **dict.fromkeys(XDG, "/var/other")}, MINE),
    "Flatpak": (
        {"HOME": ME, "FLATPAK_ID": "org.godotengine.Godot", "XDG_DATA_HOME": f"{ME}/.var/app/godot/data"},
        MINE,
    ),
    "Steam": ({"HOME": ME, "SteamAppId": "404790", "STEAM_COMPAT_DATA_PATH": "/steam/compatdata/404790"}, MINE),
    "AppImage": ({"HOME": ME, "APPIMAGE": f"{ME}/Godot.AppImage"}, MINE),
    "odd characters": ({"HOME": "/home/zo\u00eb & co"}, "/home/zo\u00eb & co/.godot-supervisor"),
}  # fmt: skip
"""Environments of editor and daemon in which both find the same folder."""

SNAP = {"HOME": f"{ME}/snap/godot/3", "SNAP_REAL_HOME": ME}
"""The daemon runs outside of the snap."""

REFUSED: dict[str, dict[str, str]] = {
    "relative": {"HOME": "me"},
    "moved to a relative folder": {"HOME": ME, "GODOT_SUPERVISOR_HOME": "gs"},
    "unset": {},
    "empty": {"HOME": ""},
}
"""Environments in which the client does not guess."""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Return the folder that the client finds in each environment. The engine complains of none."""
    folder = tmp_path_factory.mktemp("surroundings")
    environments = {**{name: given for name, (given, _) in SAME.items()}, "snap": SNAP, **REFUSED}
    steps = [["home", {name: given.get(name) for name in NAMES}] for given in environments.values()]
    (log,) = addon_projects.run_cases(addon_projects.make(folder / "project"), [{"home": str(folder), "steps": steps}])
    return {name: entry[1] for name, entry in zip(environments, log, strict=True)}


@pytest.mark.parametrize("name", SAME)
def test_client_and_daemon_find_the_same_home(
    found: dict[str, str], name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    given, expected = SAME[name]
    for variable in NAMES:
        monkeypatch.delenv(variable, raising=False)
    for variable, value in given.items():
        monkeypatch.setenv(variable, value)
    assert found[name] == expected
    assert Path(os.path.normpath(facts.folders(os.environ).home)) == Path(expected)


def test_client_in_a_snap_finds_the_home_of_the_user(found: dict[str, str]) -> None:
    assert found["snap"] == MINE


@pytest.mark.parametrize("name", REFUSED)
def test_client_without_a_home_finds_none(found: dict[str, str], name: str) -> None:
    assert found[name] == ""


def test_daemon_refuses_a_relative_home_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GODOT_SUPERVISOR_HOME", raising=False)
    monkeypatch.setenv("HOME", "me")
    with pytest.raises(InvalidParams):
        facts.folders(os.environ)
