"""The targets of the MCP bridge, as ratios within one run. They are shown, and nothing is asserted."""

from collections.abc import Callable, Iterator, Mapping
from statistics import median

from tests.benchmarks.bridges.rows import Attach, McpRemote, Ours, OursGated, OursGodotAi, Supergateway
from tests.benchmarks.report import Table, percentile

Tables = Mapping[str, Table]


def text(tables: Tables) -> str:
    """Return the targets as Markdown. A target whose rows were not measured is left out."""
    lines = ["", "## Targets", "", "| what | target | this run |", "|---|--:|--:|"]
    for what, target, value in _targets(tables):
        try:
            lines.append(f"| {what} | {target} | {value():.3g} |")
        except (KeyError, ValueError, IndexError, ZeroDivisionError):
            # Not measured.
            continue
    return "\n".join(lines) + "\n"


def _targets(tables: Tables) -> Iterator[tuple[str, str, Callable[[], float]]]:
    def values(part: str, name: str) -> list[float]:
        found = [*tables[part].series[name]]
        if not found:
            raise IndexError(part)
        return found

    def times(part: str, ours: str, peer: str) -> Callable[[], float]:
        return lambda: median(values(part, ours)) / median(values(part, peer))

    us, them = Ours.name, McpRemote.name
    yield f"start, over {them}", "≤ 0.12", times("greeting", us, them)
    yield f"start, over {Attach.name}", "≤ 0.04", times("greeting", OursGodotAi.name, Attach.name)
    peer = Supergateway.name
    yield f"added to a call by http.client, over {peer}", "≤ 0.2", times("added-to-library", us, peer)
    yield f"added to a call on a bare socket, over {peer}", "", times("added", us, peer)
    yield "call through the bridge: p99 over median", "≤ 3", lambda: _spread(values("through", us))
    yield "the same with the gate", "≤ 3", lambda: _spread(values("through", OursGated.name))
    yield "added to a call: p99 over median", "", lambda: _spread(values("added", us))
    yield "the same of the floor", "", lambda: _spread(values("added", "asyncio byte proxy (floor)"))
    yield "the same of a direct call", "", lambda: _spread(values("through", "direct"))
    yield f"private memory, over {them}", "≤ 0.4", times("memory", us, them)
    yield f"private memory, over {Attach.name}", "≤ 0.22", times("memory", OursGodotAi.name, Attach.name)
    yield "image of 8 MiB, over direct", "≤ 1.3", lambda: median(values("image-ratio", us))
    yield "peak of memory for it, in messages", "≤ 3", lambda: max(values("image-memory", us))
    yield "dense JSON of 8 MiB, over direct", "", lambda: median(values("dense-ratio", us))
    yield "peak of memory for it, in messages", "≤ 3", lambda: max(values("dense-memory", us))
    yield "server killed -9, to the next answer, less its start; ms", "≤ 50", lambda: median(values("restarts", us))
    yield "wake-ups of an idle bridge", "0", lambda: max(values("wakeups", us))


def _spread(found: list[float]) -> float:
    return percentile(found, 0.99) / median(found)
