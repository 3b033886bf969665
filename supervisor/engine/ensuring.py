"""`server.ensure` inside its operation: the last launch is seen to, and what an addon wants in vain is done without."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ..core.model import ServerRecord, ServerState, VersionSource
from ..errors import InstallFailed
from .ending.automatic_restart import Restarter
from .ending.replace import Replacer
from .holders.editors import Editors
from .monitor import Monitor
from .operations.operation import RunningOperation
from .starting.ensure import Ensurer
from .starting.placement import Placement
from .starting.resolve import EnsureRequest, ResolvedRequest, begin_row
from .state.context import EngineContext

AskAgain = Callable[[EnsureRequest], Awaitable[ServerRecord]]

_AT_REST = (ServerState.FAILED, ServerState.BACKOFF, ServerState.STOPPED)


class EnsureOperation:
    """Runs inside the operation of a `server.ensure`."""

    def __init__(
        self,
        context: EngineContext,
        editors: Editors,
        monitor: Monitor,
        restarter: Restarter,
        placement: Placement,
        ensurer: Ensurer,
        replacer: Replacer,
    ) -> None:
        self._context = context
        self._records = context.records
        self._editors = editors
        self._monitor = monitor
        self._restarter = restarter
        self._placement = placement
        self._ensurer = ensurer
        self._replacer = replacer
        self._versions = placement.versions

    async def run(
        self, request: EnsureRequest, resolved: ResolvedRequest, operation: RunningOperation, ask_again: AskAgain
    ) -> ServerRecord:
        """The server, ready. `ask_again` performs another `ensure`, in an operation of its own.

        Raises:
            SupervisorError: why it is not.
        """
        last = await self._monitor.see_to_the_last_launch(resolved.server, operation)
        self._placement.refuse_a_second(resolved, request)
        # Whoever joined while that took its time is an owner too.
        begin_row(self._context, resolved, last.owners)
        row = self._records.server(resolved.server)
        before = row if row.state in _AT_REST else None
        try:
            return await self._have(resolved, operation, before)
        except InstallFailed as problem:
            fallen = self._versions.without_addon(request, resolved, problem)
            if fallen is None:
                if resolved.chosen is not None and resolved.chosen.source is VersionSource.ADDON:
                    problem.hint = f"{problem.hint} (the version is {resolved.chosen.why}: --version asks for another)"
                raise
        return await self._fall_back(fallen, resolved, operation, before, ask_again)

    async def _have(
        self, resolved: ResolvedRequest, operation: RunningOperation, before: ServerRecord | None
    ) -> ServerRecord:
        """`before` is the row at rest that the start began with; None: there was none, or the server runs."""
        if self._records.server(resolved.server).state in _AT_REST:
            self._restarter.forget(resolved.server)
            # From here on another request is for this version or for another one, whichever the last launch had.
            self._records.move(resolved.server, ServerState.STARTING, version=resolved.version, chosen=resolved.chosen)
        return await self._replacer.follow(resolved, await self._ensurer.run(resolved, operation, before), operation)

    async def _fall_back(
        self,
        fallen: EnsureRequest,
        resolved: ResolvedRequest,
        operation: RunningOperation,
        before: ServerRecord | None,
        ask_again: AskAgain,
    ) -> ServerRecord:
        """Have the server that the request comes down to without the addon's version, which nothing can be had of."""
        now = await self._placement.place(fallen)
        reason = now.chosen.passed_over if now.chosen is not None else None
        self._context.events.warn(
            "server.version_missing",
            server=resolved.server,
            version=resolved.version,
            instead=now.version,
            reason=reason,
        )
        operation.progress("deciding", f"{now.server} {now.version or ''} instead: {reason}")
        operation.extend()
        if now.server == resolved.server:
            return await self._have(now, operation, before)
        found = await ask_again(replace(fallen, request_id=None))
        row = self._records.servers.get(resolved.server)
        if row is not None and row.state is ServerState.FAILED and not row.launch:
            for owner in row.owners:
                # Whoever joined wants the same.
                if (editor := self._records.editors.get(owner.editor)) is not None and not owner.leaving:
                    self._editors.own(found.id, editor)
            self._records.drop(row.id)
            self._monitor.settle(found.id)
        return self._records.server(found.id)
