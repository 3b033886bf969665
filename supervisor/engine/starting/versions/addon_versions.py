"""Finds the version that a project's addon needs, and remembers versions that the package index lacks."""

import asyncio
import contextlib
from dataclasses import replace
from functools import partial

from ....core.model import ServerRecord, VersionSource
from ....core.pep440 import same_version
from ....errors import InstallFailed
from ....kinds.addon import AddonSeen, project_engine, read_addon
from ....kinds.kind import Addon, Kind
from ....kinds.versions import choose_version, names_version_for_engine
from ...environments.installer_output import index_lacks
from ...operations.shared_answers import SharedAnswers
from ...state.context import EngineContext
from ..resolve import EnsureRequest, ResolvedRequest, project_of, resolve_with_same_version

READ_WITHIN_S = 2.0
"""How long reading a file of a project may take. A project may lie on a network drive."""

MISSING_FOR_S = 300.0
"""How long the index is not asked again for a version that it lacked. The version may be published later."""


class AddonVersions:
    """Reads addons outside the loop, and remembers versions that the package index lacked."""

    def __init__(self, context: EngineContext) -> None:
        self._context = context
        self._clock = context.platform.clock
        self._missing: dict[tuple[str, str], float] = {}
        """When the index lacked a version (monotonic, seconds), by package and version."""
        self._looks: SharedAnswers[AddonSeen | None] = SharedAnswers()

    async def with_project_versions(self, request: EnsureRequest) -> EnsureRequest:
        """Return the request with the version that its project's addon needs, else with the engine of the project file.

        Raises:
            InvalidParams: there is no such project.
        """
        kind = self._context.catalog.kinds.get(request.kind)
        if kind is not None and kind.addon is None and not kind.engine:
            return request
        project = project_of(request)
        if kind is None or project is None:
            return request
        request = replace(request, addon=await self.read_addon(kind, project)) if kind.addon is not None else request
        known = request.version or request.engine_version or (request.editor.engine_version if request.editor else None)
        engine = None if known else await self.read_engine(kind, project, request.addon)
        return replace(request, engine_version=engine) if engine else request

    async def read_engine(self, kind: Kind, project: str, seen: AddonSeen | None) -> str | None:
        """Return the engine version that the project's file names, if the version of the server depends on it.

        Returns None if the addon in `seen` decides, or if the kind has no version of its own for this engine.
        """
        addon_decides = seen is not None and seen.version is not None and seen.problem is None
        if addon_decides or not kind.engine:
            return None
        engine = None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(READ_WITHIN_S):
                engine = await self._context.platform.lanes.look(project_engine, project)
        return engine if engine and names_version_for_engine(kind, engine) else None

    async def read_addon(self, kind: Kind, project: str) -> AddonSeen | None:
        """Return the version that the addon of a project needs, None if the project has no addon of the kind.

        `problem` says why that version cannot be used: the file cannot be read, or the index lacked the version.
        """
        if kind.addon is None:
            return None
        try:
            async with asyncio.timeout(READ_WITHIN_S):
                seen = await self._looks.ask((kind.addon, project), partial(self._look, kind.addon, project))
        except TimeoutError:
            return AddonSeen(project, kind.addon.file, problem=f"could not be read within {READ_WITHIN_S:g} s")
        if seen is None or seen.version is None or kind.package is None:
            return seen
        since = self._missing.get((kind.package, seen.version))
        if since is None or self._clock.monotonic() >= since + MISSING_FOR_S or self._is_at_hand(kind, seen.version):
            return seen
        return replace(seen, problem=_lacked_text(kind.package))

    def without_addon(
        self, request: EnsureRequest, resolved: ResolvedRequest, problem: InstallFailed
    ) -> EnsureRequest | None:
        """Return the request without the addon's version if the index lacks that version, and remember that it does.

        Returns None if the installation has failed for another reason; `problem` is that failure.
        """
        package, version, seen = resolved.kind.package, resolved.version, request.addon
        if package is None or version is None or seen is None or resolved.chosen is None:
            return None
        if resolved.chosen.source is not VersionSource.ADDON or not index_lacks(
            package, version, "\n".join(problem.data.get("output", ()))
        ):
            return None
        now = self._clock.monotonic()
        self._missing = {known: at for known, at in self._missing.items() if now < at + MISSING_FOR_S}
        self._missing[package, version] = now
        return replace(request, addon=replace(seen, problem=_lacked_text(package)))

    async def resolve_with_current_version(self, kind: Kind, record: ServerRecord) -> ResolvedRequest:
        """Return the request that restarts a server, in the version that a `server.ensure` would choose now.

        A server that was requested in a version, and a foreign server, keep their version.
        """
        resolved = resolve_with_same_version(kind, record)
        chosen = record.chosen
        if chosen is None or chosen.source is VersionSource.ASKED or (record.foreign and chosen.project is None):
            return resolved
        seen = await self.read_addon(kind, chosen.project) if chosen.project is not None else None
        version, choice = choose_version(kind, None, chosen.engine, seen)
        # Keep the written form of an equal version, because environments are named by it.
        version = record.version if same_version(version, record.version) else version
        return replace(resolved, required=version, version=version, chosen=choice)

    async def note_addon_version(self, record: ServerRecord) -> None:
        """Note in a server's record whether its project's addon has another version now. Plugins update themselves."""
        kind, chosen = self._context.catalog.kinds.get(record.kind), record.chosen
        if kind is None or chosen is None or chosen.project is None or chosen.source is not VersionSource.ADDON:
            return
        seen = await self.read_addon(kind, chosen.project)
        note = None
        if seen is not None and seen.version is not None and not same_version(seen.version, record.version):
            note = f"{seen.file} in {seen.project} has {seen.version} now: godot-supervisor restart {record.id}"
        current = self._context.records.servers.get(record.id)
        if current is not None and current.chosen is chosen and note != chosen.passed_over:
            self._context.records.change(record.id, chosen=replace(chosen, passed_over=note))

    async def _look(self, addon: Addon, project: str) -> AddonSeen | None:
        return await self._context.platform.lanes.look(read_addon, addon, project)

    def _is_at_hand(self, kind: Kind, version: str) -> bool:
        """Return whether a server of this version runs, or its environment exists, so that the index is not needed."""
        records = self._context.records.servers.values()
        runs = any(
            record.kind == kind.name and same_version(record.version, version) and record.process for record in records
        )
        return runs or self._context.private_environment(kind, version) is not None


def _lacked_text(package: str) -> str:
    """Return what is wrong with a version, for people; the text follows the version."""
    return f"which the package index does not have of {package}"
