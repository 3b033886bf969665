"""`environments.list` and `environments.prune`: the private environments of servers."""

from ...values import frozen


@frozen
class EnvironmentsList:
    """No params."""


@frozen
class EnvironmentInfo:
    """`size` is in bytes. `used_by` are kinds, servers and processes, for people; empty: nothing.

    `id` names it for `environments.prune`. `installed` is the version in it. `broken`: its interpreter has gone.
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
    """A folder beside the environments that is none: `what` it is, for people. `size` is in bytes."""

    path: str
    size: int
    what: str
    removable: bool


@frozen
class EnvironmentsListResult:
    """`folder` is what they are in, `leftovers` what else is in it."""

    folder: str
    environments: tuple[EnvironmentInfo, ...]
    leftovers: tuple[EnvironmentLeftover, ...] = ()


@frozen
class EnvironmentsPrune:
    """`dry_run`: leave them where they are. `all`: also those that a kind names and nothing runs from.

    `environments`: only the ones with these ids, whether a kind names them or not.
    """

    dry_run: bool = False
    all: bool = False
    environments: tuple[str, ...] = ()


@frozen
class EnvironmentsPruneResult:
    """What was removed, or would be. `leftovers` are builds that broke off or were replaced."""

    removed: tuple[EnvironmentInfo, ...]
    leftovers: tuple[EnvironmentLeftover, ...] = ()
