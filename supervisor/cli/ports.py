"""`ports`: who holds the ports that the kinds want, and what would be done about it."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import click

from ..native.facts import folders
from . import knock, options, output, recipes

SCAN_TIMEOUT_S = 30.0


@click.command
@click.argument("kind", metavar="[KIND]", required=False)
@options.as_json
@options.timeout
def ports(*, kind: str | None, as_json: bool, timeout_s: float | None) -> None:
    """Show each port that a kind wants, its occupant, and the decision; without KIND, for every kind."""
    kinds = [kind] if kind else recipes.catalog(folders()).names()
    rows: dict[int, dict[str, Any]] = {}
    with knock.connect(timeout_s=timeout_s) as client:
        for name in kinds:
            answer = client.call("ports.explain", {"kind": name}, accept_timeout_s=timeout_s or SCAN_TIMEOUT_S)
            rows |= {row["port"]: row for row in answer["ports"]}
    if as_json:
        output.document({"ports": list(rows.values())})
        return
    for text in output.table(("PORT", "OCCUPANT", "DECISION", "REASON"), _runs(rows.values())):
        output.line(text)


def _runs(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """One row for neighbouring ports of which the same is true: most ports of a range are free."""
    pending: list[tuple[int, tuple[str, ...]]] = []
    for row in rows:
        holder = output.occupant(row["occupant"]) if row["occupant"] else ""
        fact = (row["port"], (holder, row["decision"], row["reason"]))
        if pending and (pending[-1][0] + 1, pending[-1][1]) != fact:
            yield _run(pending)
            pending = []
        pending.append(fact)
    if pending:
        yield _run(pending)


def _run(facts: Sequence[tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
    first, last = facts[0][0], facts[-1][0]
    return (str(first) if first == last else f"{first}-{last}", *facts[0][1])
