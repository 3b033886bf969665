"""The private environment of a request: found, built, or rebuilt where a start has shown that it is broken."""

import re
from collections.abc import Sequence

from ...errors import StartFailed
from ..environments.examination import module_of
from ..environments.installer import Progress
from ..environments.store import Environment
from ..operations.operation import RunningOperation
from ..state.context import EngineContext
from .resolve import ResolvedRequest

REBUILT_AGAIN_AFTER_S = 300.0
"""An environment that breaks again within this time is not rebuilt, because a program keeps damaging it."""

_NO_MODULE = re.compile(r"No module named '?([\w.]+)")


class Provisioner:
    """Hands out environments. Each is examined when it is built, and when a start from it has failed."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._environments = context.environments
        self._rebuilt: dict[str, float] = {}

    async def provide(self, resolved: ResolvedRequest, operation: RunningOperation) -> Environment | None:
        """Return the environment that the requested version runs in, None if its kind has none.

        Raises:
            InstallFailed: the environment cannot be built.
        """
        package, version = resolved.kind.package, resolved.version
        if package is None or version is None:
            return None
        there = self._context.private_of(resolved.kind, version)
        if there is not None:
            return there
        tell = self._telling(resolved, operation, "environment.building", {"package": package, "version": version})
        environment = await self._environments.provide(package, version, tell, module=module_of(resolved.kind))
        self._tell_ready(resolved, environment)
        return environment

    async def after_failure(
        self, resolved: ResolvedRequest, private: Environment | None, failed: StartFailed, operation: RunningOperation
    ) -> Environment | None:
        """Return a rebuilt environment for another attempt, None if the environment is not the reason for the failure.

        Raises:
            InstallFailed: the environment cannot be built.
        """
        if private is None:
            return None
        module = module_of(resolved.kind)
        reason = await self._environments.examine(private, module) or _missing(private, failed)
        if reason is None:
            return None
        now = self._context.platform.clock.monotonic()
        before = self._rebuilt.get(private.key)
        if before is not None and now - before < REBUILT_AGAIN_AFTER_S:
            failed.hint = (
                f"its environment was built anew {now - before:.0f} s ago, and is broken again ({reason}): "
                f"what changes {private.path}?"
            )
            return None
        self._rebuilt[private.key] = now
        what = {"package": private.package, "version": private.version, "reason": reason}
        self._context.events.warn("environment.broken", server=resolved.server, **what, folder=str(private.path))
        operation.progress("rebuilding", f"the environment of {resolved.server} is built anew: {reason}")
        tell = self._telling(resolved, operation, "environment.building", what)
        rebuilt = await self._environments.rebuild(private, reason, tell, module=module)
        self._tell_ready(resolved, rebuilt)
        operation.restart_deadline()
        return rebuilt

    def served(self, private: Environment | None) -> None:
        """Note that a server became ready in an environment, so that it may be rebuilt if it breaks later."""
        if private is not None:
            self._rebuilt.pop(private.key, None)

    def _telling(
        self, resolved: ResolvedRequest, operation: RunningOperation, event: str, what: dict[str, str]
    ) -> Progress:
        """Return a function that passes on the progress of a build. Its first call publishes that a build began."""
        building = False

        def tell(stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
            nonlocal building
            if not building:
                building = True
                self._context.events.publish(event, server=resolved.server, **what)
            operation.progress(stage, message, done, total)

        # An installer may be silent for longer than a start may take, and has limits of its own.
        operation.suspend_deadline()
        return tell

    def _tell_ready(self, resolved: ResolvedRequest, environment: Environment) -> None:
        self._context.events.publish(
            "environment.ready",
            server=resolved.server,
            package=environment.package,
            version=environment.version,
            installed=environment.installed,
            folder=str(environment.path),
        )


def _missing(private: Environment, failed: StartFailed) -> str | None:
    """Return which module a server did not find, None if none, or if that was the reason for the last rebuild."""
    tail: Sequence[str] = failed.data.get("log_tail") or ()
    for line in reversed(tail):
        if found := _NO_MODULE.search(line):
            reason = f"it has no module {found[1]}"
            return None if private.rebuilt_for == reason else reason
    return None
