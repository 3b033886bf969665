"""What is known of launches of a server beside its record: the recipe of one, and the end of the last."""

from collections.abc import Mapping

from ..values import frozen


@frozen
class RecipeStamp:
    """What of its recipe a server was launched with. Its version is `Chosen`'s affair.

    `command` and the values of `environment` are digests; `ports` has the ranges, as text.
    """

    command: str
    ports: Mapping[str, str]
    environment: Mapping[str, str]


@frozen
class RecipeChange:
    """A part of a recipe that has changed: version, command, ports or environment. `detail` is for people."""

    part: str
    detail: str


@frozen
class Ended:
    """How the last launch of a server ended. `since` and `ended` are wall time, seconds.

    `how` is one of stopped, restarted, replaced, reaped, exited and failed; `by` is whoever asked for it. `exit` is the
    exit status, a negative signal, or None for unknown. `detail` is for people.
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
    """A bridge of an AI client that leads to a server, and the client that runs it, for people."""

    pid: int
    client: str | None
    client_pid: int | None
