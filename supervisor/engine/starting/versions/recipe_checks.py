"""Checks recipes: what has changed in one since a server was launched, and which kinds have no program to run."""

from collections.abc import Mapping

from ....core.lifecycle import RUNNING
from ....core.model import RecipeChange, ServerRecord, ServerState
from ....kinds.kind import Kind, launch_command, launch_environment, placeholders
from ....kinds.stamp import changes_since_launch
from ....native.api import ChildCommand
from ...state.context import EngineContext


def recipe_changes(context: EngineContext, record: ServerRecord) -> tuple[RecipeChange, ...]:
    """Return what has changed in a server's recipe since its launch, nothing if the server does not run."""
    kind = context.catalog.kinds.get(record.kind)
    if kind is None or record.foreign or record.state not in RUNNING - {ServerState.STOPPING}:
        return ()
    return changes_since_launch(record, kind)


async def unusable_kinds(context: EngineContext) -> Mapping[str, str]:
    """Return the names of the kinds whose program cannot be run, and why. Kinds with a package are left out."""
    kinds = [kind for kind in context.catalog.kinds.values() if kind.package is None]
    found = [await context.platform.lanes.look(_why_not_runnable, context, kind) for kind in kinds]
    return {kind.name: problem for kind, problem in zip(kinds, found, strict=True) if problem is not None}


def _why_not_runnable(context: EngineContext, kind: Kind) -> str | None:
    """Return why a kind's program cannot be run, None if it can be, or if that depends on the server. Blocks."""
    if {"project", "server_id", "log_dir"} & placeholders(kind.command[0]):
        # The program differs from server to server, so it cannot be checked for the kind.
        return None
    logs = context.logs
    values = {name: str(reach.low) for name, reach in kind.ports.items()}
    values |= {"server_id": kind.name, "project": str(logs), "version": kind.version or "", "log_dir": str(logs)}
    log = logs / f"{kind.name}.rehearsal"
    try:
        command = ChildCommand(
            launch_command(kind, values), launch_environment(kind, context.variables, values, {}), logs, log
        )
        context.platform.processes.rehearse(command)
    except OSError as error:
        return error.strerror or str(error)
    return None
