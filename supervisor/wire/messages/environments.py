"""`environments.list` and `environments.prune`: the private environments of servers."""

from ...frozen import frozen


@frozen
class EnvironmentsList:
    """No params."""


@frozen
class EnvironmentInfo:
    """`size` is in bytes. `used_by` are kinds, servers and processes, for people; empty: nothing."""

    package: str
    version: str
    path: str
    size: int
    used_by: tuple[str, ...]


@frozen
class EnvironmentsListResult:
    """`folder` is what they are in."""

    folder: str
    environments: tuple[EnvironmentInfo, ...]


@frozen
class EnvironmentsPrune:
    """`dry_run`: leave them where they are."""

    dry_run: bool = False


@frozen
class EnvironmentsPruneResult:
    """What was removed, or would be."""

    removed: tuple[EnvironmentInfo, ...]
