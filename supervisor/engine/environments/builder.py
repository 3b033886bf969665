"""Private environments, one per package and version. Each is built aside and published complete or not at all."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import replace
from pathlib import Path

from filelock import FileLock, Timeout

from ...core.exhaustion import MAKE_ROOM, is_exhaustion
from ...core.model import Liveness, ProcessIdentity
from ...errors import InstallFailed, NotOurs, SystemExhausted
from ...native import trust
from ...native.api import Platform
from ...native.lane import Lane
from .build_watch import BuildWatch, weigh
from .installer import Installer, Job, Progress, StopTree
from .running_from import Commands, commands_of_all, running_from
from .shared_build import SharedBuild
from .store import BUILDERS, Environment, EnvironmentStore, Wanted, remove_build, remove_tree
from .verification import NO_INTERPRETER, Verifier

LOCK_PAUSE_S = 0.5


class Environments:
    """Builds and finds private environments under one folder, which several daemons may share.

    `stop_tree` ends an installer and its descendants. Installers inherit `environment`, or the daemon's own if it is
    None. `no_progress_s` limits how long an installer, or another daemon's build, may show no progress, seconds.
    """

    def __init__(
        self,
        root: Path,
        platform: Platform,
        stop_tree: StopTree,
        *,
        environment: Mapping[str, str] | None = None,
        no_progress_s: float = 120.0,
    ) -> None:
        self._store = EnvironmentStore(root)
        self._root = self._store.root
        self._processes = platform.processes
        self._probe = platform.probe
        self._lanes = platform.lanes
        inherited = os.environ if environment is None else environment
        self._installer = Installer(platform, stop_tree, inherited, no_progress_s)
        self._verifier = Verifier(self._installer, platform.lanes)
        self._no_progress_s = no_progress_s
        self._builds: dict[str, SharedBuild] = {}

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
        wanted = Wanted.checked(package, version)
        self._refuse_foreign_folder()
        while True:
            found = self._store.find(wanted)
            if found is not None and found.usable:
                return found
            made = await self._share(wanted, progress, module, found, NO_INTERPRETER if found else None)
            if made is not None:
                return made

    async def rebuild(
        self, broken: Environment, reason: str, progress: Progress, *, module: str | None = None
    ) -> Environment:
        """Return an environment in place of a broken one. Build it, unless another daemon already has.

        Raises:
            NotOurs, InstallFailed: as for `provide`; the broken one is still published.
        """
        self._refuse_foreign_folder()
        wanted = Wanted.checked(broken.package, broken.version)
        while True:
            made = await self._share(wanted, progress, module, broken, reason)
            if made is not None:
                return made

    async def examine(self, environment: Environment, module: str | None) -> str | None:
        """Return what is wrong with a published environment, None if nothing was found. Starts its interpreter."""
        return await self._verifier.damage(environment, module, self._root / f".examined-{secrets.token_hex(4)}")

    def ready(self, package: str, version: str) -> Environment | None:
        """Return the environment with exactly this version, None if it does not exist. Builds nothing.

        Raises:
            InvalidParams: the text is not an exact version.
        """
        found = self._store.find(Wanted.checked(package, version))
        return found if found is not None and found.usable else None

    @property
    def root(self) -> Path:
        """The folder that contains all of them."""
        return self._root

    @property
    def store(self) -> EnvironmentStore:
        """The records and builds in that folder."""
        return self._store

    def known(self) -> list[Environment]:
        """Return every published environment whose interpreter exists."""
        return [found for found in self.published() if found.usable]

    def published(self) -> list[Environment]:
        """Return every published environment, also one whose interpreter is missing."""
        return self._store.published()

    async def discard(self, environment: Environment, unused: Callable[[], bool]) -> bool:
        """Remove a published environment. `unused` is asked at the last moment.

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
            if self._store.record(key) != environment or not unused():
                return False
            # There was no await since the question. Without its record no caller finds the environment any more.
            (self._root / f"{key}.json").unlink()
            await self._lanes.do(remove_build, environment.path, lane=Lane.FILES)
        finally:
            lock.release()
        return True

    def sweep(self) -> list[Path]:
        """Remove the builds of dead daemons, and replaced environments that no process runs from. Blocking.

        Returns:
            The removed folders.
        """
        return [folder for folder in self.rubbish() if _gone(folder)]

    def rubbish(self) -> list[Path]:
        """Return the folders that `sweep` would remove. Blocking."""
        found = []
        commands = None
        for marker in self._root.glob(f"*/{BUILDERS}"):
            build = marker.parent
            builders = self._store.builders(build)
            # Sample first, then read the records: a dead builder cannot publish between the two.
            dead = builders and all(self._probe.sample(builder) is Liveness.DEAD for builder in builders)
            over = dead or self._store.replaced(build) or self._store.was_published(build)
            if over and build not in {found.path for found in self.known()}:
                commands = commands_of_all(self._processes, self._probe) if commands is None else commands
                if not running_from(build, commands):
                    found.append(build)
        return found

    def _refuse_foreign_folder(self) -> None:
        problem = trust.problem_of_folder(self._root)
        if problem is not None:
            raise NotOurs(
                f"the folder of environments: {problem}",
                hint=problem.fix or "set daemon.environments in config.toml to another folder",
            )

    async def _share(
        self, wanted: Wanted, progress: Progress, module: str | None, instead_of: Environment | None, why: str | None
    ) -> Environment | None:
        """Begin a build or join the one under way. Return None if that one was being cancelled; then look again."""
        build = self._builds.get(wanted.key)
        if build is None:
            build = self._begin(wanted, module, instead_of, why)
        if not build.abandoned:
            return await build.join(progress)
        await asyncio.wait({build.task})
        return None

    def _begin(
        self, wanted: Wanted, module: str | None, instead_of: Environment | None, why: str | None
    ) -> SharedBuild:
        build = SharedBuild()
        work = self._build(wanted, module, instead_of, why, build.tell)
        build.task = asyncio.get_running_loop().create_task(work)
        self._builds[wanted.key] = build

        def done(task: asyncio.Task[Environment]) -> None:
            self._builds.pop(wanted.key, None)
            if not task.cancelled():
                task.exception()  # Retrieve it: asyncio would complain if no waiter was left to do so.

        build.task.add_done_callback(done)
        return build

    async def _build(
        self, wanted: Wanted, module: str | None, instead_of: Environment | None, why: str | None, tell: Progress
    ) -> Environment:
        try:
            trust.make_folder(self._root)
            async with self._alone(wanted, tell):
                ready = self._store.find(wanted)
                if ready is not None and ready.usable and (instead_of is None or ready.path != instead_of.path):
                    return ready
                if why is not None:
                    tell("rebuilding", f"rebuilding the environment of {wanted.requirement}: {why}")
                await self._lanes.do(self.sweep, lane=Lane.FILES)
                return await self._make(wanted, module, why, tell)
        except (OSError, trust.DistrustedError) as error:
            if isinstance(error, OSError) and is_exhaustion(error):
                raise SystemExhausted(f"an installer could not be started: {error}", hint=MAKE_ROOM) from error
            hint = f"check that the disk has room and that you may write to {self._root}"
            raise InstallFailed(f"{wanted.requirement} could not be installed: {error}", hint=hint) from error

    @contextlib.asynccontextmanager
    async def _alone(self, wanted: Wanted, tell: Progress) -> AsyncIterator[None]:
        lock = FileLock(self._root / f"{wanted.key}.lock")
        watch = BuildWatch(lambda: weigh(self._root.glob(f"{wanted.key}-*")), self._lanes, self._no_progress_s)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                tell("waiting", f"waiting for another daemon's build of {wanted.requirement}")
            if await watch.stalled():
                raise InstallFailed(
                    f"another daemon's build of {wanted.requirement}: no progress for {self._no_progress_s:g} s",
                    hint=f"if that daemon hangs, end it: it holds {lock.lock_file}",
                )
            await asyncio.sleep(LOCK_PAUSE_S)
        try:
            yield
        finally:
            lock.release()

    async def _make(self, wanted: Wanted, module: str | None, why: str | None, tell: Progress) -> Environment:
        job = Job(wanted.package, wanted.version, self._root / f"{wanted.key}-{secrets.token_hex(4)}", tell)
        builders: list[ProcessIdentity] = []

        def note(builder: ProcessIdentity | None) -> None:
            if builder is not None:
                builders.append(builder)
            self._store.note_builders(job.folder, builders)

        job.folder.mkdir()
        try:
            note(self._probe.identify(os.getpid()))
            job.temporary.mkdir()
            await self._installer.install(job, note)
            tell("verifying", f"checking that {wanted.requirement} is in its environment")
            made = await self._verifier.verified(job, module, note)
            return await self._publish(replace(made, rebuilt_for=why), job)
        except BaseException:
            await self._lanes.do(remove_build, job.folder, lane=Lane.FILES)
            raise

    async def _publish(self, made: Environment, job: Job) -> Environment:
        before = self._store.record(made.key)
        await self._lanes.do(remove_tree, job.temporary, lane=Lane.FILES)
        await self._lanes.do(self._store.publish, made, time.time(), lane=Lane.FILES)
        with contextlib.suppress(OSError):
            await self._lanes.do(self._store.note_published, made.path, lane=Lane.FILES)
        if before is not None and before.path != made.path:
            commands = await self._lanes.look(commands_of_all, self._processes, self._probe, lane=Lane.FILES)
            await self._lanes.do(self._retire, before.path, commands, lane=Lane.FILES)
        return made

    def _retire(self, folder: Path, commands: Commands) -> None:
        """Remove a replaced environment. If a process still runs from it, mark it for removal later."""
        if running_from(folder, commands):
            with contextlib.suppress(OSError):
                self._store.retire(folder)
        else:
            remove_build(folder)


def _gone(folder: Path) -> bool:
    remove_build(folder)
    return not folder.exists()
