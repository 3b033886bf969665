"""The command `kinds`."""

from typing import Any

import click

from ...kinds.kind import Kind, PortRange
from ...native.facts import folders
from .. import options, output
from ..context import other_files, recipes
from ..formatting import table


@click.command
@options.as_json
def kinds(*, as_json: bool) -> None:
    """List the kinds of server that `up` can start.

    Works without a daemon.
    """
    where = folders()
    known = recipes.read_catalog(where)
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
            ", ".join(f"{name} {_range(ports)}" for name, ports in kind.ports.items()),
            kind.gate,
            kind.pin.argument if kind.pin is not None else None,
        )
        for kind in found
    ]
    for text in table(("KIND", "TOPOLOGY", "PACKAGE", "VERSION", "PORTS", "GATE", "PIN"), rows):
        output.line(text)
    other_files.warn(where, other_files.ask_running_daemon(where))


def _range(ports: PortRange) -> str:
    return str(ports.low) if ports.low == ports.high else f"{ports.low}-{ports.high}"


def _object(kind: Kind) -> dict[str, Any]:
    """Return what may be shown of a kind, without its `env`, which can hold secrets of the user."""
    return {
        "name": kind.name,
        "topology": kind.topology.value,
        "package": kind.package,
        "version": kind.version,
        "engine": dict(kind.engine),
        "ports": {name: {"low": ports.low, "high": ports.high} for name, ports in kind.ports.items()},
        "gate": kind.gate,
        "pin": kind.pin.argument if kind.pin is not None else None,
    }
