"""Private environments, one per package and version. Callers that want the same one share its build."""

import asyncio
import os
import secrets
from collections.abc import Callable, Mapping
from pathlib import Path

from filelock import FileLock, Timeout

from ...errors import NotOurs
from ...native import trust
from ...native.api import Platform
from ...native.lane import Lane
from .builder import Builder, BuildOrder
from .installer import Installer, Progress, StopTree
from .removal import BuildRemover, remove_build
from .shared_build import SharedBuild
from .store import Environment, EnvironmentStore, PackageVersion
from .verification import NO_INTERPRETER, Verifier


class Environments:
    """Builds and finds private environments under one folder, which several daemons may share.

    `stop_tree` ends an installer and its descendants. Installers inherit `variables`, or the daemon's own if that is
    None. `no_progress_s` limits how long an installer, or another daemon's build, may show no progress, seconds.
    """

    def __init__(
        self,
        root: Path,
        platform: Platform,
        stop_tree: StopTree,
        *,
        variables: Mapping[str, str] | None = None,
        no_progress_s: float = 120.0,
    ) -> None:
        self._store = EnvironmentStore(root)
        self._root = self._store.root
        self._lanes = platform.lanes
        inherited = os.environ if variables is None else variables
        installer = Installer(platform, stop_tree, inherited, no_progress_s)
        self._verifier = Verifier(installer, platform.lanes)
        self._remover = BuildRemover(self._store, platform)
        self._builder = Builder(platform, self._store, self._remover, installer, self._verifier, no_progress_s)
        self._builds: dict[str, SharedBuild] = {}
        """The builds under way in this daemon, by key."""

    async def provide(
        self, package: str, version: str, progress: Progress, *, module: str | None = None
    ) -> Environment:
        """Return the environment with exactly this version; build it if it does not exist.

        Concurrent callers share one build.

        `module` is the module that will be run from it. If the last caller is cancelled, the installer is stopped and
        its files are removed.

        Raises:
            InvalidParams: the text is not an exact version.
            NotOurs: another user may write into the folder, and the daemon runs what is in it.
            SystemExhausted: the system has no process, memory or descriptor for an installer.
            InstallFailed: `data.output` has the installer's last lines, `data.versions` the versions on offer.
        """
        wanted = PackageVersion.checked(package, version)
        self._refuse_distrusted_folder()
        while True:
            found = self._store.find(wanted)
            if found is not None and found.usable:
                return found
            order = BuildOrder(wanted, module, broken=found, reason=NO_INTERPRETER if found else None)
            built = await self._build_or_join(order, progress)
            if built is not None:
                return built

    async def rebuild(
        self, broken: Environment, reason: str, progress: Progress, *, module: str | None = None
    ) -> Environment:
        """Return an environment in place of a broken one. Build it, unless another daemon already has.

        Raises:
            NotOurs, SystemExhausted, InstallFailed: as for `provide`; the broken one is still published.
        """
        self._refuse_distrusted_folder()
        order = BuildOrder(PackageVersion.checked(broken.package, broken.version), module, broken, reason)
        while True:
            built = await self._build_or_join(order, progress)
            if built is not None:
                return built

    async def examine(self, environment: Environment, module: str | None) -> str | None:
        """Return what is wrong with a published environment, None if nothing was found. Starts its interpreter."""
        return await self._verifier.find_damage(environment, module, self._root / f".examined-{secrets.token_hex(4)}")

    def find_usable(self, package: str, version: str) -> Environment | None:
        """Return the environment with exactly this version, None if there is none with an interpreter. Builds nothing.

        Raises:
            InvalidParams: the text is not an exact version.
        """
        found = self._store.find(PackageVersion.checked(package, version))
        return found if found is not None and found.usable else None

    @property
    def root(self) -> Path:
        """The folder that contains all of them."""
        return self._root

    @property
    def store(self) -> EnvironmentStore:
        """The records and builds in that folder."""
        return self._store

    def usable(self) -> list[Environment]:
        """Return every published environment whose interpreter exists."""
        return [found for found in self.published() if found.usable]

    def published(self) -> list[Environment]:
        """Return every published environment, also one whose interpreter is missing."""
        return self._store.published()

    async def discard(self, environment: Environment, is_unused: Callable[[], bool]) -> bool:
        """Remove a published environment. `is_unused` is asked at the last moment.

        Returns:
            False if it is in use, another daemon rebuilds it, or it no longer exists.

        Raises:
            OSError: the system refused.
        """
        key = environment.key
        lock = FileLock(self._root / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            if self._store.read(key) != environment or not is_unused():
                return False
            # There was no await since the question. Without its record no caller finds the environment any more.
            (self._root / f"{key}.json").unlink()
            await self._lanes.do(remove_build, environment.path, lane=Lane.FILES)
        finally:
            lock.release()
        return True

    def sweep(self) -> list[Path]:
        """Remove the builds of dead daemons, and replaced environments that no process runs from. Blocks.

        Returns:
            The removed folders.
        """
        return self._remover.sweep()

    def removable(self) -> list[Path]:
        """Return the folders that `sweep` would remove. Blocks."""
        return self._remover.removable()

    def _refuse_distrusted_folder(self) -> None:
        problem = trust.problem_of_folder(self._root)
        if problem is not None:
            raise NotOurs(
                f"the folder of environments: {problem}",
                hint=problem.fix or "set daemon.environments in config.toml to another folder",
            )

    async def _build_or_join(self, order: BuildOrder, progress: Progress) -> Environment | None:
        """Begin a build or join the one under way. Return None if that one was being cancelled; then look again."""
        build = self._builds.get(order.package.key)
        if build is None:
            build = self._begin(order)
        if not build.abandoned:
            return await build.join(progress)
        await asyncio.wait({build.task})
        return None

    def _begin(self, order: BuildOrder) -> SharedBuild:
        build = SharedBuild()
        build.task = asyncio.get_running_loop().create_task(self._builder.build(order, build.progress))
        self._builds[order.package.key] = build

        def ended(task: asyncio.Task[Environment]) -> None:
            self._builds.pop(order.package.key, None)
            if not task.cancelled():
                task.exception()  # Retrieve it: asyncio would complain if no waiter was left to do so.

        build.task.add_done_callback(ended)
        return build
