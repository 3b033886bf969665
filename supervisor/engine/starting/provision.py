"""Provides the private environment of a request: an existing one, a new one, or a rebuilt one if it was broken."""

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
        """When environments were rebuilt (monotonic, seconds) in which no server has become ready since, by key."""

    async def provide(self, resolved: ResolvedRequest, operation: RunningOperation) -> Environment | None:
        """Return the environment that the requested version runs in, None if its kind has none.

        Raises:
            InstallFailed: the environment cannot be built.
        """
        package, version = resolved.kind.package, resolved.version
        if package is None or version is None:
            return None
        existing = self._context.private_environment(resolved.kind, version)
        if existing is not None:
            return existing
        progress = self._follow_build(resolved, operation, {"package": package, "version": version})
        built = await self._environments.provide(package, version, progress, module=module_of(resolved.kind))
        self._publish_ready(resolved, built)
        return built

    async def rebuild_if_broken(
        self, resolved: ResolvedRequest, private: Environment | None, failed: StartFailed, operation: RunningOperation
    ) -> Environment | None:
        """Return a rebuilt environment for another attempt, None if the failed start should not be repeated.

        The start is repeated only if its environment was broken, and not if a program keeps damaging the environment:
        then `failed.hint` says so.

        Raises:
            InstallFailed: the environment cannot be built.
        """
        if private is None or failed.data.get("left_behind"):
            # With processes left behind, another start would leave more of them.
            return None
        module = module_of(resolved.kind)
        reason = await self._environments.examine(private, module) or _missing_module(private, failed)
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
        details = {"package": private.package, "version": private.version, "reason": reason}
        self._context.events.warn("environment.broken", server=resolved.server, **details, folder=str(private.path))
        operation.progress("rebuilding", f"the environment of {resolved.server} is built anew: {reason}")
        progress = self._follow_build(resolved, operation, details)
        rebuilt = await self._environments.rebuild(private, reason, progress, module=module)
        self._publish_ready(resolved, rebuilt)
        operation.restart_deadline()
        return rebuilt

    def note_ready(self, private: Environment | None) -> None:
        """Note that a server became ready in an environment, so that it is rebuilt at once if it breaks later."""
        if private is not None:
            self._rebuilt.pop(private.key, None)

    def _follow_build(
        self, resolved: ResolvedRequest, operation: RunningOperation, details: dict[str, str]
    ) -> Progress:
        """Suspend the operation's deadline, and return a function that passes a build's progress on to its waiters.

        The deadline begins again with `operation.restart_deadline`. The function's first call publishes
        `environment.building` with these details.
        """
        began = False

        def progress(stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
            nonlocal began
            if not began:
                began = True
                self._context.events.publish("environment.building", server=resolved.server, **details)
            operation.progress(stage, message, done, total)

        # An installer may be silent for longer than a start may take, and has limits of its own.
        operation.suspend_deadline()
        return progress

    def _publish_ready(self, resolved: ResolvedRequest, environment: Environment) -> None:
        self._context.events.publish(
            "environment.ready",
            server=resolved.server,
            package=environment.package,
            version=environment.version,
            installed=environment.installed,
            folder=str(environment.path),
        )


def _missing_module(private: Environment, failed: StartFailed) -> str | None:
    """Return which module a server did not find, as its log says. The text is for people.

    Returns None if the log names no module, or if the environment was rebuilt for that module before.
    """
    tail: Sequence[str] = failed.data.get("log_tail") or ()
    for line in reversed(tail):
        if found := _NO_MODULE.search(line):
            reason = f"it has no module {found[1]}"
            return None if private.rebuilt_for == reason else reason
    return None
