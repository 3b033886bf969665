"""What the private environments are used for, and the end of those that are used for nothing."""

import asyncio
import contextlib
import os
from pathlib import Path

from ..errors import KindUnknown, StateNotWritable
from ..frozen import frozen
from ..kinds.kind import Kind
from .environments import Environment, key_of
from .facilities import Facilities


@frozen
class Kept:
    """An environment on the disk. `size` is in bytes; `used_by` is for people, and empty where nothing uses it."""

    environment: Environment
    size: int
    used_by: tuple[str, ...]


class Housekeeping:
    """Looks after the folder of private environments, which daemons of other homes may share.

    An environment is used by a kind that names its version, by a server of this home, and by every process that was
    started from it, whoever started that: another home's server, or the bridge of an AI client.
    """

    def __init__(self, facilities: Facilities) -> None:
        self._facilities = facilities

    async def look(self) -> list[Kept]:
        """Every environment."""
        published = self._facilities.environments.published()
        sizes = [await asyncio.to_thread(_size, environment.path) for environment in published]
        commands = await asyncio.to_thread(self._commands)
        return [
            Kept(environment, size, (*self._claims(environment), *_runners(environment, commands)))
            for environment, size in zip(published, sizes, strict=True)
        ]

    async def prune(self, *, dry_run: bool) -> list[Kept]:
        """Remove what nothing uses; `dry_run`: only say what that is.

        Returns:
            What was removed, or would be.

        Raises:
            StateNotWritable: the folder cannot be written.
        """
        unused = [kept for kept in await self.look() if not kept.used_by]
        return [kept for kept in unused if dry_run or await self._discard(kept.environment)]

    async def _discard(self, environment: Environment) -> bool:
        try:
            done = await self._facilities.environments.discard(environment, lambda: not self._claims(environment))
        except OSError as error:
            hint = f"make it writable: {self._facilities.environments.root}"
            raise StateNotWritable(f"{environment.path} cannot be removed: {error}", hint=hint) from error
        if done:
            self._facilities.events.publish(
                "environment.removed",
                package=environment.package,
                version=environment.version,
                path=str(environment.path),
            )
        return done

    def _claims(self, environment: Environment) -> tuple[str, ...]:
        """The kinds and servers of this home that need it."""
        key = key_of(environment.package, environment.version)
        catalog = self._facilities.catalog
        kinds = [f"kind {name}" for name in catalog.names() if key in _keys(catalog.get(name))]
        servers = [
            f"server {record.id}"
            for record in self._facilities.records.servers.values()
            if record.version and key_of(self._package(record.kind) or environment.package, record.version) == key
        ]
        return (*kinds, *servers)

    def _package(self, kind: str) -> str | None:
        """What a kind installs. None: nothing, or nobody knows, because it was taken out of the configuration."""
        try:
            return self._facilities.catalog.get(kind).package
        except KindUnknown:
            return None

    def _commands(self) -> list[tuple[int, tuple[str, ...]]]:
        wing = self._facilities.wing
        pids = [row.identity.pid for row in wing.processes.table()]
        return [(pid, wing.probe.describe(pid).command) for pid in pids]


def _keys(kind: Kind) -> set[str]:
    """Every environment that a kind may ask for by itself."""
    versions = {kind.version, *kind.engine.values()}
    return {key_of(kind.package, version) for version in versions if kind.package and version}


def _runners(environment: Environment, commands: list[tuple[int, tuple[str, ...]]]) -> list[str]:
    """The processes on whose command line it stands."""
    inside = f"{environment.path}{os.sep}"
    return [f"process {pid}" for pid, words in commands if any(inside in word for word in words)]


def _size(folder: Path) -> int:
    """Bytes, as far as they can be counted. Blocking."""
    total = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                total += (Path(place) / name).lstat().st_size
    return total
