"""While the daemon runs: each act first checks whether the home is still this daemon's."""

from dataclasses import replace

from ..core.model import ProcessIdentity, ProcessRow, RegistryContents
from ..engine.state.registry_writer import Store
from ..native.api import ChildCommand, Platform, ProcessControl
from .home_ownership import HomeOwnership


def checked_platform(platform: Platform, ownership: HomeOwnership) -> Platform:
    """Return the platform, except that it starts and ends processes only while the home is this daemon's."""
    return replace(platform, processes=CheckedProcesses(platform.processes, ownership))


class CheckedProcesses:
    """Checks the home before every start and every signal. Raises HomeLostError, an OSError, if the home is lost."""

    def __init__(self, processes: ProcessControl, ownership: HomeOwnership) -> None:
        self._ownership = ownership
        self._processes = processes

    def spawn(self, command: ChildCommand) -> ProcessIdentity:
        """See `ProcessControl`."""
        self._ownership.check_may_act()
        return self._processes.spawn(command)

    def rehearse(self, command: ChildCommand) -> None:
        """See `ProcessControl`."""
        self._processes.rehearse(command)

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """See `ProcessControl`."""
        return self._processes.exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """See `ProcessControl`."""
        self._ownership.check_may_act()
        return await self._processes.ask_to_end(identity)

    def kill(self, identity: ProcessIdentity) -> bool:
        """See `ProcessControl`."""
        self._ownership.check_may_act()
        return self._processes.kill(identity)

    def table(self) -> tuple[ProcessRow, ...]:
        """See `ProcessControl`."""
        return self._processes.table()

    def is_unused(self, pid: int) -> bool:
        """See `ProcessControl`."""
        return self._processes.is_unused(pid)

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """See `ProcessControl`."""
        return self._processes.variable(identity, name)


class CheckedStore:
    """Checks the home before every write. Raises HomeLostError, an OSError, if the home is lost or unusable."""

    def __init__(self, store: Store, ownership: HomeOwnership) -> None:
        self._store = store
        self._ownership = ownership

    def write(self, state: RegistryContents) -> None:
        """See `Store`."""
        self._ownership.check_may_write()
        self._store.write(state)
