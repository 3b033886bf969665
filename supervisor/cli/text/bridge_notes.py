"""What becomes of the bridges of AI clients whose server was stopped, in words."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .. import output

Json = Mapping[str, Any]


def after_a_stop(bridges: Sequence[Json]) -> Iterator[str]:
    """What a user who takes a server down has to know."""
    for bridge in bridges:
        yield f"{_who(bridge)} is connected, and starts a server of its own at its client's next call"
    if bridges:
        yield "to keep it down, end those clients' sessions; what they start: godot-supervisor down, once more"


def after_a_restart(bridges: Sequence[Json]) -> Iterator[str]:
    """What a user who restarts a server may want to know."""
    for bridge in bridges:
        yield f"{_who(bridge)} was connected, and goes on with the new server at its client's next call"


def _who(bridge: Json) -> str:
    client = f" of {bridge['client']}, pid {bridge['client_pid']}" if bridge["client"] else ""
    return output.printable(f"an AI client's bridge (pid {bridge['pid']}{client})")
