"""The installation that a service starts: this very one, for one home."""

import os
import sys
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path

from ..errors import InvalidParams
from ..native.facts import Folders
from ..values import frozen

NAME = "godot-supervisor"

HANDED_OVER = ("PATH", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
"""Variables of the user's shell that a service keeps. Without them a daemon of a service manager would look for
programs, settings and logs in other places than a daemon that the shell starts."""


@frozen
class Installation:
    """The command that a service manager starts, with its folders and variables.

    `name` is the name of the service; each home has its own. `program` and `arguments` are the command, with absolute
    paths.
    """

    name: str
    program: str
    arguments: tuple[str, ...]
    version: str
    logs: Path
    user_home: Path
    variables: Mapping[str, str] = field(default_factory=dict)

    @property
    def command(self) -> tuple[str, ...]:
        """The whole command line."""
        return (self.program, *self.arguments)


def this_installation(where: Folders, version: str, environment: Mapping[str, str] = os.environ) -> Installation:
    """Return the running installation, as a service for these folders.

    Raises:
        InvalidParams: this user has no home folder.
    """
    arguments = ("-P", "-m", "supervisor", "service", "run")
    home = ("--home", str(where.home.absolute())) if where.moved else ()
    return Installation(
        name=f"{NAME}-{where.home_id}" if where.moved else NAME,
        program=str(Path(sys.executable).absolute()),
        arguments=(*arguments, *home),
        version=version,
        logs=where.logs,
        user_home=_user_home(),
        variables={name: value for name in HANDED_OVER if (value := _absolute_paths(name, environment.get(name, "")))},
    )


def _user_home() -> Path:
    try:
        return Path.home()
    except RuntimeError as problem:
        unknown = "HOME is not set, and the system knows no home folder of this user"
        raise InvalidParams("HOME", unknown, hint="set HOME to your home folder") from problem


def _absolute_paths(name: str, value: str) -> str:
    """Return the value of a variable without repeats and relative paths, which depend on the current folder."""
    if name != "PATH":
        return value if Path(value).is_absolute() else ""
    folders = dict.fromkeys(folder for folder in value.split(os.pathsep) if Path(folder).is_absolute())
    return os.pathsep.join(folders)
