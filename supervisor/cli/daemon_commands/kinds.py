"""`kinds`: what can be started."""

from typing import Any

import click

from ...kinds.kind import Kind, PortRange
from ...native.facts import folders
from .. import options, output
from ..context import other_files, recipes


@click.command
@options.as_json
def kinds(*, as_json: bool) -> None:
    """Show the kinds of server that there are. Works without a daemon."""
    where = folders()
    known = recipes.catalog(where)
    found = [known.get(name) for name in known.names()]
    if as_json:
        output.document({"kinds": [_object(kind) for kind in found]})
        return
    rows = [
        (
            kind.name,
            kind.topology.value,
            kind.package,
            kind.version,
            ", ".join(f"{name} {_reach(reach)}" for name, reach in kind.ports.items()),
        )
        for kind in found
    ]
    for text in output.table(("KIND", "TOPOLOGY", "PACKAGE", "VERSION", "PORTS"), rows):
        output.line(text)
    other_files.warn(where, other_files.daemon_of(where))


def _reach(ports: PortRange) -> str:
    return str(ports.low) if ports.low == ports.high else f"{ports.low}-{ports.high}"


def _object(kind: Kind) -> dict[str, Any]:
    """What may be shown of a kind: its `env` can hold a user's secrets."""
    return {
        "name": kind.name,
        "topology": kind.topology.value,
        "package": kind.package,
        "version": kind.version,
        "engine": dict(kind.engine),
        "ports": {name: {"low": reach.low, "high": reach.high} for name, reach in kind.ports.items()},
    }
