"""Builds an environment aside, verifies it, and publishes it complete or not at all."""

import asyncio
import contextlib
import os
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import replace

from filelock import FileLock, Timeout

from ...core.exhaustion import MAKE_ROOM, is_exhaustion
from ...core.model import ProcessIdentity
from ...errors import InstallFailed, SystemExhausted
from ...native import trust
from ...native.api import Platform
from ...native.lane import Lane
from ...values import frozen
from .build_watch import BuildWatch, measure
from .installer import BuildJob, Installer, Progress
from .removal import BuildRemover, remove_build, remove_tree
from .store import Environment, EnvironmentStore, PackageVersion
from .verification import Verifier

LOCK_PAUSE_S = 0.5


@frozen
class BuildOrder:
    """What is to be built. `module` is the module that will be run from the environment.

    `broken` is the environment to replace, None if there is none; `reason` says what is wrong with it, for people.
    """

    package: PackageVersion
    module: str | None
    broken: Environment | None = None
    reason: str | None = None


class Builder:
    """Builds environments in one folder, which several daemons may share. A lock per key keeps their builds apart.

    `no_progress_s` limits how long another daemon's build of the same environment may show no progress, seconds.
    """

    def __init__(
        self,
        platform: Platform,
        store: EnvironmentStore,
        remover: BuildRemover,
        installer: Installer,
        verifier: Verifier,
        no_progress_s: float,
    ) -> None:
        self._probe = platform.probe
        self._lanes = platform.lanes
        self._store = store
        self._root = store.root
        self._remover = remover
        self._installer = installer
        self._verifier = verifier
        self._no_progress_s = no_progress_s

    async def build(self, order: BuildOrder, progress: Progress) -> Environment:
        """Build an environment and return it, unless another daemon has published a fitting one in the meantime.

        Raises:
            SystemExhausted: the system has no process, memory or descriptor for an installer.
            InstallFailed: the environment could not be built; what it would have replaced is still published.
        """
        requirement = order.package.requirement
        try:
            trust.make_folder(self._root)
            async with self._locked(order.package, progress):
                existing = self._store.find(order.package)
                broken_path = order.broken.path if order.broken is not None else None
                if existing is not None and existing.usable and existing.path != broken_path:
                    return existing
                if order.reason is not None:
                    progress("rebuilding", f"rebuilding the environment of {requirement}: {order.reason}")
                await self._lanes.do(self._remover.sweep, lane=Lane.FILES)
                return await self._build_aside(order, progress)
        except (OSError, trust.DistrustedError) as error:
            if isinstance(error, OSError) and is_exhaustion(error):
                raise SystemExhausted(f"an installer could not be started: {error}", hint=MAKE_ROOM) from error
            hint = f"check that the disk has room and that you may write to {self._root}"
            raise InstallFailed(f"{requirement} could not be installed: {error}", hint=hint) from error

    @contextlib.asynccontextmanager
    async def _locked(self, package: PackageVersion, progress: Progress) -> AsyncIterator[None]:
        """Hold the lock of an environment; wait for another daemon's build first.

        Raises:
            InstallFailed: the other build makes no progress.
        """
        lock = FileLock(self._root / f"{package.key}.lock")
        watch = BuildWatch(lambda: measure(self._root.glob(f"{package.key}-*")), self._lanes, self._no_progress_s)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                progress("waiting", f"waiting for another daemon's build of {package.requirement}")
            if await watch.stalled():
                raise InstallFailed(
                    f"another daemon's build of {package.requirement}: no progress for {self._no_progress_s:g} s",
                    hint=f"if that daemon hangs, end it: it holds {lock.lock_file}",
                )
            await asyncio.sleep(LOCK_PAUSE_S)
        try:
            yield
        finally:
            lock.release()

    async def _build_aside(self, order: BuildOrder, progress: Progress) -> Environment:
        """Build in a new folder and publish the result. If that fails, remove the folder."""
        package = order.package
        folder = self._root / f"{package.key}-{secrets.token_hex(4)}"
        job = BuildJob(package.package, package.version, folder, progress)
        builders: list[ProcessIdentity] = []

        def note_builder(builder: ProcessIdentity | None) -> None:
            if builder is not None:
                builders.append(builder)
            self._store.note_builders(folder, builders)

        folder.mkdir()
        try:
            note_builder(self._probe.identify(os.getpid()))
            job.temporary.mkdir()
            await self._installer.install(job, note_builder)
            progress("verifying", f"checking that {package.requirement} is in its environment")
            built = await self._verifier.verify(job, order.module, note_builder)
            return await self._publish(replace(built, rebuilt_for=order.reason), job)
        except BaseException:
            await self._lanes.do(remove_build, folder, lane=Lane.FILES)
            raise

    async def _publish(self, built: Environment, job: BuildJob) -> Environment:
        """Publish an environment, and remove the one that was published in its place before."""
        before = self._store.read(built.key)
        await self._lanes.do(remove_tree, job.temporary, lane=Lane.FILES)
        await self._lanes.do(self._store.publish, built, time.time(), lane=Lane.FILES)
        with contextlib.suppress(OSError):
            await self._lanes.do(self._store.note_published, built.path, lane=Lane.FILES)
        if before is not None and before.path != built.path:
            commands = await self._lanes.look(self._remover.commands, lane=Lane.FILES)
            await self._lanes.do(self._remover.remove_replaced, before.path, commands, lane=Lane.FILES)
        return built
