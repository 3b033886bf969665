"""Why a server has its version, as it is noted down; and where plugins look that do not know us."""

from dataclasses import replace

from ...core.model import Chosen, ServerRecord
from ...core.reconcile import Relocate, Spawn
from ...kinds.kind import Kind
from .resolve import Demand


def told_beside(demand: Demand, plan: Spawn | Relocate) -> Chosen | None:
    """Return why a server has its version, with what keeps it from the ports where plugins look."""
    chosen = demand.chosen
    if chosen is None or demand.kind.addon is None or dict(plan.ports) == first_ports(demand.kind):
        return chosen and replace(chosen, beside=None)
    rivals = (*demand.rivals, *(plan.rivals if isinstance(plan, Relocate) else ()))
    held = plan.occupied if isinstance(plan, Relocate) else ()
    named = [" ".join(filter(None, (rival.what, rival.version))) for rival in rivals]
    named += [f"pid {row.occupant.pid}" for row in held if row.occupant is not None and row.occupant.pid is not None]
    return replace(chosen, beside=named[0] if named else "something")


def merged(record: ServerRecord, demand: Demand) -> Chosen | None:
    """Return why a server that runs has its version, after it was given to one more caller."""
    known, now = record.chosen, demand.chosen
    if now is None:
        return known
    if known is None and demand.required is None:
        return replace(now, why="any version will do, and this one runs")
    if known is None:
        return now
    if demand.required is None or known.source.rank > now.source.rank:
        project = known.project or now.project
        return replace(known, project=project, passed_over=now.passed_over or known.passed_over)
    return replace(now, beside=known.beside)


def first_ports(kind: Kind) -> dict[str, int]:
    """The ports that a kind likes best, and the only ones on which plugins look that do not know us."""
    return {name: reach.low for name, reach in kind.ports.items()}


def looks_only(kind: Kind) -> str:
    """Say where the plugin of a kind's addon looks for a server, for people."""
    return f"its plugin looks on {', '.join(f'{name} {port}' for name, port in first_ports(kind).items())} only"
