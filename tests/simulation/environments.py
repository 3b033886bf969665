"""Private environments as an engine sees them: they are made, and break, and belong to the world."""

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
class Place:
    """An environment on the shelf. `condemned`: it was found broken, and is to be built anew before it is used."""

    environment: Environment
    broken: bool = False
    condemned: bool = False
    rebuilt_at: float | None = None
    rebuilt_by: object = None
    served: bool = False


class Shelf:
    """Every environment that there is, whichever daemon made it."""

    def __init__(self, rng: Random, faults: Faults, clock: FakeClock) -> None:
        self.rng = rng
        self.faults = faults
        self.clock = clock
        self.places: dict[str, Place] = {}

    def broken(self, package: str, version: str) -> bool:
        """Whether what is started from it ends at once. To be asked at each start."""
        place = self.places.get(PackageVersion.checked(package, version).key)
        if place is not None and place.condemned:
            raise self.faults.violated(f"a broken environment is built anew: {place} is used again")
        return place is not None and place.broken

    def serves(self, package: str, version: str) -> None:
        """Something that was started from it listens."""
        place = self.places.get(PackageVersion.checked(package, version).key)
        if place is not None:
            place.served = True

    def damage(self) -> bool:
        """Break one of them. False: there is none that is whole."""
        whole = [place for place in self.places.values() if not place.broken]
        if whole:
            self.rng.choice(whole).broken = True
        return bool(whole)

    def make(self, wanted: PackageVersion) -> Environment:
        path = Path(f"/environments/{wanted.key}-{self.rng.getrandbits(32):08x}")
        made = Environment(path, path / "python", wanted.package, wanted.version, wanted.version, "3.11.7", whole=True)
        self.places[wanted.key] = Place(made)
        return made

    def rebuilding(self, place: Place, builder: object) -> None:
        """A build in the place of a broken one begins."""
        if self.tried(place, builder) and not place.served:
            raise self.faults.violated(f"a broken environment is built anew once: {place} again")
        place.rebuilt_at, place.rebuilt_by = self.clock.now, builder
        place.condemned = place.served = False

    def tried(self, place: Place, builder: object) -> bool:
        """Return whether this daemon has rebuilt the environment a moment ago, so that it need not do so again."""
        recent = place.rebuilt_at is not None and self.clock.now - place.rebuilt_at < REBUILT_AGAIN_AFTER_S
        return recent and place.rebuilt_by is builder


class ShelfEnvironments:
    """Stands for the engine's own, with the same promises to its callers. `touch`: a call reaches the world."""

    def __init__(self, shelf: Shelf, touch: Callable[[], None]) -> None:
        self._shelf = shelf
        self._touch = touch

    def find_usable(self, package: str, version: str) -> Environment | None:
        self._touch()
        place = self._shelf.places.get(PackageVersion.checked(package, version).key)
        return place.environment if place else None

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
        place = self._shelf.places.get(wanted.key)
        return place.environment if place else self._shelf.make(wanted)

    async def rebuild(
        self,
        broken: Environment,
        reason: str,  # noqa: ARG002 (the engine's)
        progress: Progress,
        *,
        module: str | None = None,  # noqa: ARG002 (the engine's)
    ) -> Environment:
        place = self._shelf.places[broken.key]
        self._shelf.rebuilding(place, self)
        await self._install(progress)
        # The program that damages environments may still run.
        place.broken = self._shelf.faults.hit("environment breaks again")
        return place.environment

    async def examine(self, environment: Environment, module: str | None) -> str | None:  # noqa: ARG002 (the engine's)
        self._touch()
        await asyncio.sleep(0.1)
        self._touch()
        place = self._shelf.places[environment.key]
        place.condemned = place.broken and not self._shelf.tried(place, self)
        return REASON if place.broken else None

    async def _install(self, progress: Progress) -> None:
        self._touch()
        progress("installing", "packages")
        await asyncio.sleep(0.5 + 2.5 * self._shelf.rng.random())
        self._touch()
        if self._shelf.faults.hit("install refused"):
            raise InstallFailed("the index cannot be reached")
