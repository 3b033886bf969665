"""Measurements as tables."""

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from tests.benchmarks.parts import Series


class Table(NamedTuple):
    """A figure that was measured. `digits` are shown after the point."""

    title: str
    series: Series
    digits: int = 2


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, round(share * (len(ordered) - 1)))]


def text(machine: str, versions: Mapping[str, str], tables: Sequence[Table], left_out: Sequence[str]) -> str:
    """All of it, as Markdown."""
    lines = [machine, "", *(f"- {name}: {version}" for name, version in versions.items())]
    lines += [f"- left out, not installed: {', '.join(left_out)}"] if left_out else []
    for table in tables:
        lines += ["", f"## {table.title}", "", *_rows(table)]
    return "\n".join(lines) + "\n"


def _rows(table: Table) -> Iterator[str]:
    yield "| | n | min | median | p95 | p99 | max |"
    yield "|---|--:|--:|--:|--:|--:|--:|"
    for name, values in table.series.items():
        if values:
            shares = (percentile(values, share) for share in (0.95, 0.99))
            figures = (min(values), median(values), *shares, max(values))
            cells = " | ".join(f"{value:.{table.digits}f}" for value in figures)
            yield f"| {name} | {len(values)} | {cells} |"
        else:
            yield f"| {name} | 0 | | | | | |"


def keep(folder: Path, report: str, tables: Sequence[Table], facts: Mapping[str, Any], name: str = "latest") -> None:
    """Write the report, and every single measurement."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.md").write_text(report, encoding="utf-8")
    raw = {**facts, "tables": {table.title: table.series for table in tables}}
    (folder / f"{name}.json").write_text(json.dumps(raw, indent=1), encoding="utf-8")
