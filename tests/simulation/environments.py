"""Stands for private environments in the simulation: they are built without an installer, and events break them."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from supervisor.engine.environments.installer import Progress
from supervisor.engine.environments.store import Environment, PackageVersion
from supervisor.engine.starting.provision import REBUILT_AGAIN_AFTER_S
from supervisor.errors import InstallFailed
from tests.fakes import FakeClock
from tests.simulation.faults import Faults

REASON = "files of it are missing"


@dataclass(slots=True)
class InstalledEnvironment:
    """One published environment. `must_be_rebuilt`: the engine has found it broken, so it may not be used as it is.

    `served`: a server has listened from it since it was built.
    """

    environment: Environment
    broken: bool = False
    must_be_rebuilt: bool = False
    rebuilt_at: float | None = None
    rebuilt_by: object = None
    served: bool = False


class InstalledEnvironments:
    """All published environments of the simulated machine, whichever daemon built them, and the promises about them."""

    def __init__(self, rng: Random, faults: Faults, clock: FakeClock) -> None:
        self.rng = rng
        self.faults = faults
        self.clock = clock
        self.by_key: dict[str, InstalledEnvironment] = {}

    def broken(self, package: str, version: str) -> bool:
        """Return whether a server that is started from it ends at once. The world calls this at each start.

        Raises:
            ViolationError: the engine uses an environment that it has found broken.
        """
        found = self.by_key.get(PackageVersion.checked(package, version).key)
        if found is not None and found.must_be_rebuilt:
            raise self.faults.violated(f"a broken environment is built anew: {found} is used again")
        return found is not None and found.broken

    def serves(self, package: str, version: str) -> None:
        """Note that a server listens which was started from it."""
        found = self.by_key.get(PackageVersion.checked(package, version).key)
        if found is not None:
            found.served = True

    def damage(self) -> bool:
        """Break an environment. Return False if none is whole."""
        whole = [found for found in self.by_key.values() if not found.broken]
        if whole:
            self.rng.choice(whole).broken = True
        return bool(whole)

    def make(self, wanted: PackageVersion) -> Environment:
        path = Path(f"/environments/{wanted.key}-{self.rng.getrandbits(32):08x}")
        made = Environment(path, path / "python", wanted.package, wanted.version, wanted.version, "3.11.7", whole=True)
        self.by_key[wanted.key] = InstalledEnvironment(made)
        return made

    def rebuilding(self, found: InstalledEnvironment, builder: object) -> None:
        """Note that a daemon begins to build it anew.

        Raises:
            ViolationError: the same daemon has rebuilt it a moment ago, and it has served no server since.
        """
        if self.tried(found, builder) and not found.served:
            raise self.faults.violated(f"a broken environment is built anew once: {found} again")
        found.rebuilt_at, found.rebuilt_by = self.clock.now, builder
        found.must_be_rebuilt = found.served = False

    def tried(self, found: InstalledEnvironment, builder: object) -> bool:
        """Return whether this daemon has rebuilt the environment a moment ago, so that it need not do so again."""
        recent = found.rebuilt_at is not None and self.clock.now - found.rebuilt_at < REBUILT_AGAIN_AFTER_S
        return recent and found.rebuilt_by is builder


class FakeEnvironments:
    """Stands for the engine's `Environments`, with the same contract. `touch` is called before each effect."""

    def __init__(self, installed: InstalledEnvironments, touch: Callable[[], None]) -> None:
        self._installed = installed
        self._touch = touch

    def find_usable(self, package: str, version: str) -> Environment | None:
        self._touch()
        found = self._installed.by_key.get(PackageVersion.checked(package, version).key)
        return found.environment if found else None

    async def provide(
        self,
        package: str,
        version: str,
        progress: Progress,
        *,
        module: str | None = None,  # noqa: ARG002 (the engine's)
    ) -> Environment:
        wanted = PackageVersion.checked(package, version)
        await self._install(progress)
        found = self._installed.by_key.get(wanted.key)
        return found.environment if found else self._installed.make(wanted)

    async def rebuild(
        self,
        broken: Environment,
        reason: str,  # noqa: ARG002 (the engine's)
        progress: Progress,
        *,
        module: str | None = None,  # noqa: ARG002 (the engine's)
    ) -> Environment:
        found = self._installed.by_key[broken.key]
        self._installed.rebuilding(found, self)
        await self._install(progress)
        # The program that damages environments may still run.
        found.broken = self._installed.faults.hit("environment breaks again")
        return found.environment

    async def examine(self, environment: Environment, module: str | None) -> str | None:  # noqa: ARG002 (the engine's)
        self._touch()
        await asyncio.sleep(0.1)
        self._touch()
        found = self._installed.by_key[environment.key]
        found.must_be_rebuilt = found.broken and not self._installed.tried(found, self)
        return REASON if found.broken else None

    async def _install(self, progress: Progress) -> None:
        self._touch()
        progress("installing", "packages")
        await asyncio.sleep(0.5 + 2.5 * self._installed.rng.random())
        self._touch()
        if self._installed.faults.hit("install refused"):
            raise InstallFailed("the index cannot be reached")
