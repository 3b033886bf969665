"""The recorded reason for a server's version, and the ports on which plugins look that do not know this daemon."""

from dataclasses import replace

from ....core.model import ServerRecord, VersionChoice
from ....core.reconcile import Relocate, Spawn
from ....kinds.kind import Kind
from ..resolve import ResolvedRequest


def chosen_for_launch(resolved: ResolvedRequest, plan: Spawn | Relocate) -> VersionChoice | None:
    """Return why a server has its version, and which process keeps it from the ports where plugins look."""
    chosen = resolved.chosen
    if chosen is None or resolved.kind.addon is None or dict(plan.ports) == first_ports(resolved.kind):
        return chosen and replace(chosen, beside=None)
    others = (
        *resolved.conflicting_servers,
        *(plan.conflicting_servers if isinstance(plan, Relocate) else ()),
    )
    held = plan.occupied if isinstance(plan, Relocate) else ()
    named = [" ".join(filter(None, (other.what, other.version))) for other in others]
    named += [f"pid {row.occupant.pid}" for row in held if row.occupant is not None and row.occupant.pid is not None]
    return replace(chosen, beside=named[0] if named else "something")


def chosen_for_reuse(record: ServerRecord, resolved: ResolvedRequest) -> VersionChoice | None:
    """Return why a running server has its version, after one more caller was given the server."""
    known, now = record.chosen, resolved.chosen
    if now is None:
        return known
    if known is None and resolved.required is None:
        return replace(now, why="any version fits, and this one runs")
    if known is None:
        return now
    if resolved.required is None or known.source.rank > now.source.rank:
        project = known.project or now.project
        return replace(known, project=project, passed_over=now.passed_over or known.passed_over)
    return replace(now, beside=known.beside)


def first_ports(kind: Kind) -> dict[str, int]:
    """Return the preferred ports of a kind: plugins that do not know this daemon look only there."""
    return {name: reach.low for name, reach in kind.ports.items()}


def plugin_looks_text(kind: Kind) -> str:
    """Return a sentence that says where the plugin of a kind's addon looks for a server."""
    return f"its plugin looks on {', '.join(f'{name} {port}' for name, port in first_ports(kind).items())} only"
