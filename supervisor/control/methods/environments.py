"""The methods of private environments."""

from ...engine.housekeeping import Housekeeping
from ...engine.state.context import EngineContext
from ...wire.messages.environments import (
    EnvironmentsList,
    EnvironmentsListResult,
    EnvironmentsPrune,
    EnvironmentsPruneResult,
)
from ..conversions import environment_info, environment_leftover
from .table import read


class EnvironmentMethods:
    """Handlers of `environments.*`."""

    def __init__(self, housekeeping: Housekeeping, context: EngineContext) -> None:
        self._housekeeping = housekeeping
        self._context = context

    @read("environments.list")
    async def _list(self, _: EnvironmentsList) -> EnvironmentsListResult:
        kept, left = await self._housekeeping.list_environments(), await self._housekeeping.list_leftovers()
        folder = str(self._context.environments.root)
        return EnvironmentsListResult(
            folder, tuple(map(environment_info, kept)), tuple(map(environment_leftover, left))
        )

    @read("environments.prune")
    async def _prune(self, params: EnvironmentsPrune) -> EnvironmentsPruneResult:
        removed = await self._housekeeping.remove_unused(
            dry_run=params.dry_run, include_named=params.all, keys=frozenset(params.environments)
        )
        left = () if params.environments else await self._housekeeping.remove_leftovers(dry_run=params.dry_run)
        return EnvironmentsPruneResult(tuple(map(environment_info, removed)), tuple(map(environment_leftover, left)))
