"""`environments.list` and `environments.prune`: the private environments of servers."""

from ...values import frozen


@frozen
class EnvironmentsList:
    """No params."""


@frozen
class EnvironmentInfo:
    """A private environment. `size` is in bytes. `used_by` are kinds, servers and processes, as text for people.

    `id` names the environment for `environments.prune`. `installed` is the installed version of the package.
    `broken`: its interpreter no longer exists.
    """

    package: str
    version: str
    path: str
    size: int
    used_by: tuple[str, ...]
    id: str = ""
    installed: str = ""
    broken: bool = False


@frozen
class EnvironmentLeftover:
    """A folder beside the environments that is not one. `what` describes it for people. `size` is in bytes."""

    path: str
    size: int
    what: str
    removable: bool


@frozen
class EnvironmentsListResult:
    """`folder` contains the environments; `leftovers` are its other contents."""

    folder: str
    environments: tuple[EnvironmentInfo, ...]
    leftovers: tuple[EnvironmentLeftover, ...] = ()


@frozen
class EnvironmentsPrune:
    """Remove environments that nothing uses. `dry_run`: remove nothing, only list them.

    `all`: also those that a kind names, if no process runs from them.
    `environments`: only those with these ids, whether a kind names them or not.
    """

    dry_run: bool = False
    all: bool = False
    environments: tuple[str, ...] = ()


@frozen
class EnvironmentsPruneResult:
    """The environments that were removed, or would be. `leftovers` are interrupted or replaced builds."""

    removed: tuple[EnvironmentInfo, ...]
    leftovers: tuple[EnvironmentLeftover, ...] = ()
