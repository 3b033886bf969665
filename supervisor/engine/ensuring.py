"""`server.ensure` inside its flight: the last launch is seen to, and what an addon wants in vain is done without."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ..core.model import ServerRecord, ServerState, VersionSource
from ..errors import InstallFailed
from .ending.automatic_restart import Restarter
from .ending.replace import Replacer
from .holders.editors import Editors
from .monitor import Followup
from .operations.operation import Flight
from .starting.ensure import Ensurer
from .starting.placement import Placement
from .starting.resolve import Demand, EnsureWish, begin_row
from .state.context import Facilities

AskAgain = Callable[[EnsureWish], Awaitable[ServerRecord]]

_AT_REST = (ServerState.FAILED, ServerState.BACKOFF, ServerState.STOPPED)


class Fulfiller:
    """Runs inside the flight of a `server.ensure`."""

    def __init__(
        self,
        facilities: Facilities,
        editors: Editors,
        followup: Followup,
        restarter: Restarter,
        placement: Placement,
        ensurer: Ensurer,
        replacer: Replacer,
    ) -> None:
        self._facilities = facilities
        self._records = facilities.records
        self._editors = editors
        self._followup = followup
        self._restarter = restarter
        self._placement = placement
        self._ensurer = ensurer
        self._replacer = replacer
        self._versions = placement.versions

    async def run(self, wish: EnsureWish, demand: Demand, flight: Flight, ask_again: AskAgain) -> ServerRecord:
        """The server, ready. `ask_again` performs another `ensure`, in a flight of its own.

        Raises:
            SupervisorError: why it is not.
        """
        last = await self._followup.see_to_the_last_launch(demand.server, flight)
        self._placement.refuse_a_second(demand, wish)
        # Whoever joined while that took its time is an owner too.
        begin_row(self._facilities, demand, last.owners)
        row = self._records.server(demand.server)
        before = row if row.state in _AT_REST else None
        try:
            return await self._have(demand, flight, before)
        except InstallFailed as problem:
            fallen = self._versions.without_addon(wish, demand, problem)
            if fallen is None:
                if demand.chosen is not None and demand.chosen.source is VersionSource.ADDON:
                    problem.hint = f"{problem.hint} (the version is {demand.chosen.why}: --version asks for another)"
                raise
        return await self._fall_back(fallen, demand, flight, before, ask_again)

    async def _have(self, demand: Demand, flight: Flight, before: ServerRecord | None) -> ServerRecord:
        """`before` is the row at rest that the start began with; None: there was none, or the server runs."""
        if self._records.server(demand.server).state in _AT_REST:
            self._restarter.forget(demand.server)
            # From here on another wish is for this version or for another one, whichever the last launch had.
            self._records.move(demand.server, ServerState.STARTING, version=demand.version, chosen=demand.chosen)
        return await self._replacer.follow(demand, await self._ensurer.run(demand, flight, before), flight)

    async def _fall_back(
        self, fallen: EnsureWish, demand: Demand, flight: Flight, before: ServerRecord | None, ask_again: AskAgain
    ) -> ServerRecord:
        """Have the server that the wish comes down to without the addon's version, which nothing can be had of."""
        now = await self._placement.place(fallen)
        reason = now.chosen.passed_over if now.chosen is not None else None
        self._facilities.events.warn(
            "server.version_missing", server=demand.server, version=demand.version, instead=now.version, reason=reason
        )
        flight.progress("deciding", f"{now.server} {now.version or ''} instead: {reason}")
        flight.extend()
        if now.server == demand.server:
            return await self._have(now, flight, before)
        found = await ask_again(replace(fallen, request=None))
        row = self._records.servers.get(demand.server)
        if row is not None and row.state is ServerState.FAILED and not row.launch:
            for owner in row.owners:
                # Whoever joined wants the same.
                if (editor := self._records.editors.get(owner.editor)) is not None and not owner.leaving:
                    self._editors.own(found.id, editor)
            self._records.drop(row.id)
            self._followup.settle(found.id)
        return self._records.server(found.id)
