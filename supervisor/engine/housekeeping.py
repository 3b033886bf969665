"""Finds the users of private environments, and removes environments without a user."""

import contextlib
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from ..core.model import ServerRecord
from ..errors import InvalidParams, KindUnknown, NotFound, StateNotWritable
from ..kinds.kind import Kind
from ..native.lane import Lane
from ..values import frozen
from .environments.build_watch import measure
from .environments.running_from import CommandLines, commands_of_all, running_from
from .environments.store import Environment, PackageVersion
from .operations.shared_answers import SharedAnswers
from .state.context import EngineContext
from .state.standing import may_live

SIZES_KEPT_S = 30.0
"""How long a measured size of an environment is reused."""

LOST_RECORD = "an environment whose record was damaged or removed"


@frozen
class ListedEnvironment:
    """An environment on the disk. `size` is in bytes; `used_by` is for people, and empty if it has no user.

    `named_by` are the kinds that may request it again; if it is gone by then, they have it rebuilt.
    `broken`: its interpreter was gone when it was looked at.
    """

    environment: Environment
    size: int
    used_by: tuple[str, ...]
    named_by: tuple[str, ...] = ()
    broken: bool = False


@frozen
class BuildLeftover:
    """A folder beside the environments that is not one: most are left by a build.

    `size` is in bytes. `what` says for people what the folder is. `removable`: `remove_leftovers` removes it.
    """

    path: Path
    size: int
    what: str
    removable: bool


class Housekeeping:
    """Manages the folder of private environments, which daemons of other homes may share.

    The users of an environment are the kinds that name its version, the servers of this home that will be started from
    it, and every process that was started from it: a server of any home, or the bridge of an AI client.
    """

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._environments = context.environments
        self._lanes = context.platform.lanes
        self._shared: SharedAnswers[list[ListedEnvironment]] = SharedAnswers()
        self._sizes: dict[Environment, tuple[float, int]] = {}

    async def list_environments(self) -> list[ListedEnvironment]:
        """Return every environment. All callers during a look share the next one."""
        return await self._shared.ask("look", self._list_with_sizes)

    async def _list_with_sizes(self) -> list[ListedEnvironment]:
        return [await self._with_size(kept) for kept in await self._list_without_sizes()]

    async def _list_without_sizes(self) -> list[ListedEnvironment]:
        """Return every environment without its size."""
        published = self._environments.published()
        commands = await self._lanes.look(self._commands) if published else ()
        return [
            ListedEnvironment(found, 0, self._users_of(found, commands), self._kinds_of(found), broken=not found.usable)
            for found in published
        ]

    async def _with_size(self, kept: ListedEnvironment) -> ListedEnvironment:
        """Return the environment with its size.

        A published environment does not change, so a size is reused for a while.
        """
        now, environment = self._context.platform.clock.monotonic(), kept.environment
        self._sizes = {found: sized for found, sized in self._sizes.items() if now - sized[0] < SIZES_KEPT_S}
        if environment not in self._sizes:
            self._sizes[environment] = (now, await self._lanes.do(_size, environment.path))
        return replace(kept, size=self._sizes[environment][1])

    async def list_leftovers(self) -> list[BuildLeftover]:
        """Return the folders that are not environments: builds, replaced ones, and folders of other programs."""
        return await self._lanes.do(self._find_leftovers)

    async def remove_unused(
        self, *, dry_run: bool, include_named: bool = False, keys: Collection[str] = ()
    ) -> list[ListedEnvironment]:
        """Remove environments without a user. With `dry_run`, only return them.

        `include_named` includes those that kinds name but no process runs from. `keys` restricts the removal to these
        environments, which may be named too.

        Returns:
            The environments that were removed, or with `dry_run` would be.

        Raises:
            NotFound: there is no environment of one of these keys.
            StateNotWritable: the folder cannot be written.
        """
        found = await self._list_without_sizes()
        for key in keys:
            if key not in {kept.environment.key for kept in found}:
                raise NotFound(f"no environment {key}", hint="to see all of them: godot-supervisor environments list")
        include_named = include_named or bool(keys)
        meant = [kept for kept in found if not keys or kept.environment.key in keys]
        unused = [kept for kept in meant if not kept.used_by and (include_named or not kept.named_by)]
        # Only the environments to remove are measured.
        sized = [await self._with_size(kept) for kept in unused]
        return [kept for kept in sized if dry_run or await self._remove(kept.environment, include_named=include_named)]

    async def remove_leftovers(self, *, dry_run: bool) -> list[BuildLeftover]:
        """Remove aborted and replaced builds. With `dry_run`, only return them."""
        removable = [left for left in await self.list_leftovers() if left.removable]
        if dry_run or not removable:
            return removable
        gone = await self._lanes.do(self._environments.sweep, lane=Lane.FILES)
        return [left for left in removable if left.path in gone]

    async def _remove(self, environment: Environment, *, include_named: bool) -> bool:
        def unused() -> bool:
            return not self._servers_of(environment) and (include_named or not self._kinds_of(environment))

        try:
            done = await self._environments.discard(environment, unused)
        except OSError as error:
            hint = f"make it writable: {self._environments.root}"
            raise StateNotWritable(f"{environment.path} cannot be removed: {error}", hint=hint) from error
        if done:
            self._context.events.publish(
                "environment.removed",
                package=environment.package,
                version=environment.version,
                path=str(environment.path),
            )
        return done

    def _users_of(self, environment: Environment, commands: CommandLines) -> tuple[str, ...]:
        """Return the servers that need an environment, and the other processes that run from it."""
        pids = running_from(environment.path, commands)
        servers = {record.id: record for record in self._context.records.servers.values()}
        running = {
            pid: record
            for record in servers.values()
            for process in (record.process, record.root)
            if process is not None and (pid := process.pid) in pids
        }
        by_server = dict.fromkeys((*self._servers_of(environment), *(record.id for record in running.values())))
        others = (f"process {pid}" for pid in pids if pid not in running)
        return (*(f"server {server}" for server in by_server), *others)

    def _servers_of(self, environment: Environment) -> list[str]:
        """Return the servers of this home that run from an environment or will be started from it again.

        A foreign server is found by its processes instead, because another program has chosen where it runs from.
        """
        return [
            record.id
            for record in self._context.records.servers.values()
            if not record.foreign and not record.observed_only and self._starts_from(record, environment)
        ]

    def _starts_from(self, record: ServerRecord, environment: Environment) -> bool:
        try:
            package = self._context.catalog.get(record.kind).package
        except KindUnknown:
            # The kind was removed from the configuration, so the server may run from any package of its version.
            package = environment.package
        return bool(package and record.version) and self._path_of(package, record.version) == environment.path

    def _kinds_of(self, environment: Environment) -> tuple[str, ...]:
        """Return the kinds that may request an environment by themselves."""
        catalog = self._context.catalog
        kinds = [catalog.get(name) for name in catalog.names()]
        return tuple(
            f"kind {kind.name}"
            for kind in kinds
            if any(self._path_of(kind.package, version) == environment.path for version in _versions(kind))
        )

    def _path_of(self, package: str | None, version: str | None) -> Path | None:
        """Return the environment that a version of a package is started from, None if there is none."""
        if not package or not version:
            return None
        # The version of a server is its own statement and may be any text.
        with contextlib.suppress(InvalidParams):
            found = self._environments.store.find(PackageVersion.checked(package, version))
            return found.path if found else None
        return None

    def _commands(self) -> CommandLines:
        platform = self._context.platform
        return commands_of_all(platform.processes, platform.probe)

    def _find_leftovers(self) -> list[BuildLeftover]:
        store, probe = self._environments.store, self._context.platform.probe
        published = {found.path for found in store.published()}
        removable = set(self._environments.removable())
        found = []
        with contextlib.suppress(FileNotFoundError):
            for folder in sorted(store.root.iterdir()):
                if folder in published or not folder.is_dir():
                    continue
                builders = store.builders(folder)
                if folder in removable:
                    lost = LOST_RECORD if store.was_published(folder) else "an aborted build"
                    what = "replaced" if store.was_replaced(folder) else lost
                elif store.was_replaced(folder):
                    what = "replaced, and a process still runs from it"
                elif store.was_published(folder):
                    what = f"{LOST_RECORD}, and a process still runs from it"
                elif any(may_live(probe, builder) for builder in builders):
                    what = "a build under way"
                elif builders:
                    what = "an aborted build; a process still runs from it"
                else:
                    what = "not made by godot-supervisor, or its list of builders is lost"
                found.append(BuildLeftover(folder, _size(folder), what, folder in removable))
        return found


def _versions(kind: Kind) -> set[str]:
    """Return every version that a kind may request by itself."""
    return {version for version in (kind.version, *kind.engine.values()) if version}


def _size(folder: Path) -> int:
    """Return the bytes in a folder, as far as they can be counted. Blocks."""
    _, size = measure([folder])
    return size
