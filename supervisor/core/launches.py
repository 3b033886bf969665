"""Facts about a launch of a server: its recipe, its version and why, its failure, its end."""

from collections.abc import Mapping
from enum import StrEnum

from ..values import frozen


@frozen
class RecipeStamp:
    """The parts of a recipe that a server was launched with, except the version, which `VersionChoice` explains.

    `command` and the values of `environment` are digests; `ports` has the ranges, as text.
    """

    command: str
    ports: Mapping[str, str]
    environment: Mapping[str, str]


@frozen
class RecipeChange:
    """A part of a recipe that has changed since the launch. `detail` is for people.

    `part` is one of version, command, ports and environment.
    """

    part: str
    detail: str


@frozen
class ServerFailure:
    """Why a server is not running. `exit` is the exit status, a negative signal, or None if unknown."""

    code: str
    message: str
    exit: int | None = None
    log_tail: tuple[str, ...] = ()


class VersionSource(StrEnum):
    """The source that has chosen a server's version, the strongest last."""

    RECIPE = "recipe"
    ENGINE = "engine"
    ADDON = "addon"
    ASKED = "asked"

    @property
    def rank(self) -> int:
        """Its position in that order."""
        return list(VersionSource).index(self)


@frozen
class VersionChoice:
    """Why a server has its version. Texts are for people.

    `project` is the project whose addon was read, `engine` the known engine version. `passed_over` says why the server
    does not have the addon's version; `beside` names what held the ports where the addon's plugin looks.
    """

    source: VersionSource
    why: str
    project: str | None = None
    engine: str | None = None
    passed_over: str | None = None
    beside: str | None = None


@frozen
class EndedLaunch:
    """How the last launch of a server ended. `since` and `ended` are wall time, seconds.

    `how` is one of stopped, restarted, replaced, reaped, exited and failed; `by` is the requester. `exit` is the exit
    status, a negative signal, or None if unknown. `detail` is for people.
    """

    id: str
    kind: str
    version: str | None
    project: str | None
    launch: str
    ports: Mapping[str, int]
    url: str | None
    log: str | None
    since: float
    ended: float
    how: str
    exit: int | None = None
    by: str | None = None
    detail: str | None = None


@frozen
class Bridge:
    """A bridge of an AI client that leads to a server, and the client that runs the bridge, for people."""

    pid: int
    client: str | None
    client_pid: int | None
