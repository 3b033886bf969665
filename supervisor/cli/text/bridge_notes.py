"""Notes about the bridges of AI clients that were connected to a server when it was stopped or restarted."""

from collections.abc import Iterator, Sequence

from ...client.json_object import JsonObject
from ..formatting import printable


def after_a_stop(bridges: Sequence[JsonObject]) -> Iterator[str]:
    """Yield notes for `down` and `stop --servers`: a bridge can start a server of its own."""
    for bridge in bridges:
        yield f"{_name(bridge)} is still connected: its client's next call starts another server"
    if bridges:
        yield "to prevent that, end those clients' sessions; to stop such a server: godot-supervisor down"


def after_a_restart(bridges: Sequence[JsonObject]) -> Iterator[str]:
    """Yield notes for `restart`: a bridge connects to the new server by itself."""
    for bridge in bridges:
        yield f"{_name(bridge)} was connected: its client's next call uses the new server"


def _name(bridge: JsonObject) -> str:
    client = f" of {bridge['client']}, pid {bridge['client_pid']}" if bridge["client"] else ""
    return printable(f"an AI client's bridge (pid {bridge['pid']}{client})")
