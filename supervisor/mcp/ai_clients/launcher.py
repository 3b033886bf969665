"""The command by which AI clients start this program: one that stays the same when the program is upgraded."""

import filecmp
import os
import re
import shutil
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from pathlib import Path

from ...errors import LauncherNotStable
from ...native.facts import is_absolute
from .entry import PROGRAM, names_program

HINT = "install this program as a tool (uv tool install, pipx install), or name a launcher: --command PATH"

_VERSION = re.compile(r"\d+\.\d+|python\d{2,}", re.IGNORECASE)
"""A version in a folder's name: `3.12`, `Python312`. The next upgrade has another one."""

_PASSING = re.compile(
    r"[/\\](?:archive-v\d+|builds-v\d+|environments-v\d+|pipx[/\\](?:\.cache|cache)|\.cache[/\\]pipx)[/\\]"
)
"""Folders that `uvx` and `pipx run` make for one run, and remove later."""

_SHIMS = "shims"
"""The folder in which pyenv, asdf and mise have scripts that start the present version of a program."""


def find_launcher(environment: Mapping[str, str], chosen: str | None = None) -> tuple[str, ...]:
    """Return the first words of the command line. `chosen`: what the user wants instead of what would be found.

    A program on PATH that is this installation is preferred to the script beside the interpreter, because it stays when
    the environment is made anew. The path is absolute: clients that are started from a desktop have another PATH.

    Raises:
        LauncherNotStable: every path would change with an upgrade, or there is none.
    """
    if chosen is not None:
        return (_check_chosen(chosen, environment),)
    own = list(_own_scripts())
    on_path = list(_on_path(environment))
    ours = [path for path in on_path if _is_shim(path) or any(_is_same(path, script) for script in own)]
    stable = [path for path in (*ours, *own) if _is_stable(path)]
    if stable:
        return (stable[0],)
    if ours and not _PASSING.search(ours[0]):
        # Found by PATH only, because its folder's name changes with an upgrade.
        return (PROGRAM,)
    if not own and _is_stable(sys.executable):
        return (sys.executable, "-P", "-m", "supervisor")
    others = [path for path in on_path if _is_stable(path)]
    if others:
        return (others[0],)
    where = (own or on_path or [sys.executable])[0]
    raise LauncherNotStable(
        f"the path of this program changes with an upgrade, or is for one run only: {where}", hint=HINT
    )


def resolve(program: str, environment: Mapping[str, str]) -> str | None:
    """Return the file that a client starts for the first word of a command line. Returns None if there is none."""
    return shutil.which(program, path=environment.get("PATH"))


def is_same_program(one: str, other: str, environment: Mapping[str, str]) -> bool:
    """Return whether two first words of command lines start the same program."""
    if one == other:
        return True
    found = [resolve(word, environment) for word in (one, other)]
    return found[0] is not None and found[1] is not None and _is_same(found[0], found[1])


def _check_chosen(chosen: str, environment: Mapping[str, str]) -> str:
    found = resolve(chosen, environment)
    if found is None:
        raise LauncherNotStable(f"--command: there is no program {chosen}", hint="give the path of a program")
    if not names_program(chosen):
        raise LauncherNotStable(
            f"--command: {chosen} has another name than {PROGRAM}, by which an entry is recognised later",
            hint=f"give the path of a link or script of the name {PROGRAM}",
        )
    path = Path(chosen)
    return chosen if path.name == chosen else str(_absolute(path))


def _absolute(path: Path) -> Path:
    """Return an absolute path. Links are not followed: a link on PATH stays when what it leads to is replaced."""
    # The current folder may have gone.
    return path if path.is_absolute() else Path.cwd() / path


def _own_scripts() -> Iterator[str]:
    """Yield the scripts of this installation that exist: beside the interpreter, or where `pip --user` puts them."""
    folders = [str(Path(sys.executable).parent), sysconfig.get_path("scripts")]
    user_scheme = sysconfig.get_preferred_scheme("user")
    folders.append(sysconfig.get_path("scripts", user_scheme))
    package = Path(__file__).resolve().parents[3]
    if sysconfig.get_path("purelib", user_scheme) != str(package):
        del folders[-1]
    for folder in dict.fromkeys(folders):
        found = shutil.which(PROGRAM, path=folder)
        if found is not None:
            yield str(_absolute(Path(found)))


def _on_path(environment: Mapping[str, str]) -> Iterator[str]:
    """Yield the programs of this name on PATH, in its order."""
    for folder in environment.get("PATH", "").split(os.pathsep):
        found = shutil.which(PROGRAM, path=folder) if is_absolute(folder) else None
        if found is not None:
            yield found


def _is_stable(path: str) -> bool:
    return not (_VERSION.search(path) or _PASSING.search(path))


def _is_shim(path: str) -> bool:
    return Path(path).parent.name == _SHIMS


def _is_same(one: str, other: str) -> bool:
    """Return whether two files are one program. On Windows installers make copies where other systems have links."""
    try:
        return Path(one).samefile(other) or filecmp.cmp(one, other, shallow=False)
    except OSError:
        return False
