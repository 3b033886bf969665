"""The command `ports`: the occupants of the ports that kinds prefer, and what `up` would do about them."""

import sys
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from ...client.json_object import JsonObject
from ...errors import KindUnknown, SupervisorError
from ...native.facts import folders
from .. import formatting, options, output, remote, terminal
from ..context import recipes
from ..context.projects import project_here, utf8_path
from ..deadline import Deadline

SCAN_TIMEOUT_S = 30.0
_HEADERS = ("PORT", "OCCUPANT", "DECISION", "REASON")
_INDENT = " " * 4
RELOAD = "godot-supervisor config reload"


@click.command
@click.argument("kind", metavar="[KIND]", required=False)
@options.project
@options.as_json
@options.timeout
def ports(*, kind: str | None, project: Path | None, as_json: bool, deadline: Deadline) -> None:
    """Show which processes hold the ports of a kind.

    For each port, DECISION is what `up` would do. Without KIND, shows the ports of every kind.
    """
    answers = _answers(kind, project or project_here(), deadline)
    rows = {row["port"]: row for answer in answers.values() for row in answer["ports"]}
    versions = [
        {"kind": name, **{key: answer[key] for key in ("version", "version_why", "notes")}}
        for name, answer in answers.items()
        if answer.get("version")
    ]
    if as_json:
        output.document({"ports": list(rows.values()), **({"versions": versions} if versions else {})})
        return
    for found in versions:
        output.line(formatting.printable(f"{found['kind']} {found['version']}: {found['version_why']}"))
    for text in lines(list(_merged(rows.values())), terminal.size(sys.stdout)):
        output.line(text)
    for found in versions:
        for note in found["notes"]:
            output.line(formatting.printable(f"{found['kind']}: {note}"))


def _answers(kind: str | None, project: Path | None, deadline: Deadline) -> dict[str, JsonObject]:
    """Return the daemon's answer for this kind, or for each kind that it knows."""
    kinds = [kind] if kind else recipes.read_catalog(folders()).names()
    with_project = {} if project is None else {"project": utf8_path(str(project.resolve()))}
    answers: dict[str, JsonObject] = {}
    with remote.connect(deadline=deadline) as client:
        for name in kinds:
            params = {"kind": name, **with_project}
            try:
                answers[name] = client.call("ports.explain", params, accept_timeout_s=deadline.left_or(SCAN_TIMEOUT_S))
            except SupervisorError as problem:
                if kind or problem.code != KindUnknown.code:
                    raise
                output.note(f"{name}: the daemon has not read this kind yet: {RELOAD}")
    return answers


def lines(rows: Sequence[tuple[str, ...]], size: tuple[int, int] | None) -> Iterator[str]:
    """Yield the table. A reason that does not fit into its row gets lines of its own, because it is the answer.

    `size`: columns and rows of the terminal, None if the output is no terminal.
    """
    whole = formatting.table(_HEADERS, rows, columns=None)
    if size is None or max(map(len, whole)) <= size[0]:
        yield from whole
        return
    heading, *shortened = formatting.table(_HEADERS[:-1], [row[:-1] for row in rows], columns=size[0])
    yield heading
    for text, (*_, reason) in zip(shortened, rows, strict=True):
        yield text
        if reason:
            yield from textwrap.wrap(
                formatting.cell(reason), size[0], initial_indent=_INDENT, subsequent_indent=_INDENT
            )


def _merged(rows: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield one row for neighbouring ports with equal facts, because most ports of a range are free."""
    pending: list[tuple[int, tuple[str, ...]]] = []
    for row in rows:
        holder = formatting.occupant(row["occupant"]) if row["occupant"] else ""
        fact = (row["port"], (holder, row["decision"], row["reason"]))
        if pending and (pending[-1][0] + 1, pending[-1][1]) != fact:
            yield _merged_row(pending)
            pending = []
        pending.append(fact)
    if pending:
        yield _merged_row(pending)


def _merged_row(facts: Sequence[tuple[int, tuple[str, ...]]]) -> tuple[str, ...]:
    first, last = facts[0][0], facts[-1][0]
    return (str(first) if first == last else f"{first}-{last}", *facts[0][1])
