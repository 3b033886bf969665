"""The folders and files where programs of this user keep their settings, as an environment places them."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from .. import facts

ETC = Path("/etc")


def config_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for settings of programs on this system, as programs with this environment find it."""
    if facts.SYSTEM == "windows":
        local = environment.get("LOCALAPPDATA", "").strip()
        return Path(local) if local else _expanded_home(environment) / "AppData" / "Local"
    if facts.SYSTEM == "macos":
        return _expanded_home(environment) / "Library" / "Application Support"
    xdg = environment.get("XDG_CONFIG_HOME", "").strip()
    return expanded(xdg) if xdg else _expanded_home(environment) / ".config"


def roaming_folder(environment: Mapping[str, str]) -> Path:
    """Return the folder for settings of programs that a user takes along to other machines, where a system has one.

    On other systems it is the folder for all settings.
    """
    if facts.SYSTEM == "windows":
        return _windows_folders(environment)[1]
    return config_folder(environment)


def user_home(environment: Mapping[str, str]) -> Path:
    """Return the home folder of the user, as programs with this environment find it."""
    return _expanded_home(environment)


def expanded(text: str) -> Path:
    """Return this path with a leading ~ replaced, as a shell would."""
    try:
        return Path(text).expanduser()
    except RuntimeError:
        # "~name" of an unknown user is an odd name of a folder, in which no file will be found.
        return Path(text)


def pip_files(environment: Mapping[str, str]) -> tuple[list[Path], list[Path]]:
    """Return pip's settings files for all users, and those of this user; in each list the last file counts most.

    Source: pip.pypa.io/en/stable/topics/configuration.
    """
    home = _home(environment)
    if facts.SYSTEM == "windows":
        program_data, app_data = _windows_folders(environment)
        return [program_data / "pip" / "pip.ini"], [home / "pip" / "pip.ini", app_data / "pip" / "pip.ini"]
    for_all = [folder / "pip" / "pip.conf" for folder in _xdg_system_folders(environment)]
    own = [home / ".pip" / "pip.conf", _xdg_folder(environment) / "pip" / "pip.conf"]
    if facts.SYSTEM != "macos":
        return [*for_all, ETC / "pip.conf"], own
    support = home / "Library/Application Support/pip"
    if support.is_dir():
        own[-1] = support / "pip.conf"
    return [*for_all, Path("/Library/Application Support/pip/pip.conf")], own


def uv_files(environment: Mapping[str, str]) -> tuple[list[Path], Path]:
    """Return uv's settings files for all users, the first found of which counts, and the file of this user.

    Source: docs.astral.sh/uv.
    """
    if facts.SYSTEM == "windows":
        program_data, app_data = _windows_folders(environment)
        return [program_data / "uv" / "uv.toml"], app_data / "uv" / "uv.toml"
    folders = [*_xdg_system_folders(environment), ETC]
    return [folder / "uv" / "uv.toml" for folder in folders], _xdg_folder(environment) / "uv" / "uv.toml"


def _home_variable() -> str:
    return "USERPROFILE" if facts.SYSTEM == "windows" else "HOME"


def _home(environment: Mapping[str, str]) -> Path:
    return Path(environment.get(_home_variable()) or Path.home())


def _expanded_home(environment: Mapping[str, str]) -> Path:
    return expanded(environment.get(_home_variable()) or "~")


def _windows_folders(environment: Mapping[str, str]) -> tuple[Path, Path]:
    program_data = Path(environment.get("PROGRAMDATA") or r"C:\ProgramData")
    return program_data, Path(environment.get("APPDATA") or _home(environment) / "AppData/Roaming")


def _xdg_folder(environment: Mapping[str, str]) -> Path:
    return Path(environment.get("XDG_CONFIG_HOME") or _home(environment) / ".config")


def _xdg_system_folders(environment: Mapping[str, str]) -> Iterator[Path]:
    folders = environment.get("XDG_CONFIG_DIRS") or "/etc/xdg"
    return (Path(folder) for folder in folders.split(os.pathsep) if folder)
