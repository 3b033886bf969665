"""What acts on the world, behind the question whether this daemon still has its home."""

from dataclasses import replace

from ..core.model import ProcessIdentity, ProcessRow, State
from ..engine.state.registry_writer import Store
from ..native.api import Command, Platform, ProcessControl
from .home_ownership import HomeOwnership


def guarded_platform(platform: Platform, tenancy: HomeOwnership) -> Platform:
    """The wing, whose processes are started and ended only while the home is this daemon's."""
    return replace(platform, processes=GuardedProcesses(platform.processes, tenancy))


class GuardedProcesses:
    """Asks before every start and every signal. Raises HomeLostError, an OSError, where the answer is no."""

    def __init__(self, processes: ProcessControl, tenancy: HomeOwnership) -> None:
        self._tenancy = tenancy
        self._processes = processes

    def spawn(self, command: Command) -> ProcessIdentity:
        """See `ProcessControl`."""
        self._tenancy.assure()
        return self._processes.spawn(command)

    def rehearse(self, command: Command) -> None:
        """See `ProcessControl`."""
        self._processes.rehearse(command)

    def exit_status(self, identity: ProcessIdentity) -> int | None:
        """See `ProcessControl`."""
        return self._processes.exit_status(identity)

    async def ask_to_end(self, identity: ProcessIdentity) -> bool:
        """See `ProcessControl`."""
        self._tenancy.assure()
        return await self._processes.ask_to_end(identity)

    def kill(self, identity: ProcessIdentity) -> bool:
        """See `ProcessControl`."""
        self._tenancy.assure()
        return self._processes.kill(identity)

    def table(self) -> tuple[ProcessRow, ...]:
        """See `ProcessControl`."""
        return self._processes.table()

    def vacant(self, pid: int) -> bool:
        """See `ProcessControl`."""
        return self._processes.vacant(pid)

    def variable(self, identity: ProcessIdentity, name: str) -> str | None:
        """See `ProcessControl`."""
        return self._processes.variable(identity, name)


class GuardedStore:
    """Asks before every write."""

    def __init__(self, store: Store, tenancy: HomeOwnership) -> None:
        self._store = store
        self._tenancy = tenancy

    def write(self, state: State) -> None:
        """See `Store`."""
        self._tenancy.assure_writable()
        self._store.write(state)
