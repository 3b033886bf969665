"""The reason for a server's version that its record keeps, and the ports where plugins look that know no daemon."""

from dataclasses import replace

from ....core.model import ServerRecord, VersionChoice
from ....core.reconcile import Relocate, Spawn
from ....kinds.kind import Kind
from ..resolve import ResolvedRequest


def chosen_for_launch(resolved: ResolvedRequest, plan: Spawn | Relocate) -> VersionChoice | None:
    """Return why a server that is about to be launched has its version, None if that is unknown.

    If the server gets other ports than those where its plugin looks, `beside` names what holds those.
    """
    chosen = resolved.chosen
    if chosen is None or resolved.kind.addon is None or dict(plan.ports) == first_ports(resolved.kind):
        return chosen and replace(chosen, beside=None)
    others = (
        *resolved.conflicting_servers,
        *(plan.conflicting_servers if isinstance(plan, Relocate) else ()),
    )
    held = plan.occupied if isinstance(plan, Relocate) else ()
    named = [" ".join(filter(None, (other.what, other.version))) for other in others]
    named += [
        f"pid {each.occupant.pid}" for each in held if each.occupant is not None and each.occupant.pid is not None
    ]
    return replace(chosen, beside=named[0] if named else "something")


def chosen_for_reuse(record: ServerRecord, resolved: ResolvedRequest) -> VersionChoice | None:
    """Return why a running server has its version, now that one more request is answered with it.

    The stronger of the two reasons counts: that of the server's record, or that of the request.
    """
    recorded, requested = record.chosen, resolved.chosen
    if requested is None:
        return recorded
    if recorded is None and resolved.required is None:
        return replace(requested, why="any version fits, and this one runs")
    if recorded is None:
        return requested
    if resolved.required is None or recorded.source.rank > requested.source.rank:
        project = recorded.project or requested.project
        return replace(recorded, project=project, passed_over=requested.passed_over or recorded.passed_over)
    return replace(requested, beside=recorded.beside)


def first_ports(kind: Kind) -> dict[str, int]:
    """Return the lowest port of each range of a kind. Plugins that do not know this daemon look only there."""
    return {name: each.low for name, each in kind.ports.items()}


def plugin_looks_text(kind: Kind) -> str:
    """Return a clause, for people, that says where the plugin of a kind's addon looks for a server."""
    return f"its plugin looks on {', '.join(f'{name} {port}' for name, port in first_ports(kind).items())} only"
