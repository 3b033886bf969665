"""Changes of AI clients' files, and what `clients list` and `check` have found, as text."""

from collections.abc import Iterator, Sequence

from ...client.json_object import JsonObject
from ...mcp.ai_clients import changes
from ...mcp.ai_clients.changes import FileEdit
from ...mcp.ai_clients.checking import Finding
from ...mcp.ai_clients.target import PROJECT
from ..formatting import coloured, printable, table, tilde

HEADERS = ("CLIENT", "FOUND", "SCOPE", "ENTRY", "FILE")

_OUTCOMES = {
    changes.ADDED: "{entry} added to {file}",
    changes.UPDATED: "{entry} updated in {file}",
    changes.UNCHANGED: "nothing to do: {file} has {entry}",
    changes.REMOVED: "{entry} removed from {file}",
    changes.ABSENT: "nothing to do: {file} has no {entry}",
}
_PLANS = {
    changes.ADDED: "{entry} would be added to {file}",
    changes.UPDATED: "{entry} would be updated in {file}",
    changes.REMOVED: "{entry} would be removed from {file}",
}
_COLOURS = {"+": "green", "-": "red"}


def lines(change: FileEdit, *, dry_run: bool) -> Iterator[str]:
    """Yield the lines about a change that has not failed: the outcome, the diff, the backup."""
    client = change.target.client
    texts = {**_OUTCOMES, **_PLANS} if dry_run else _OUTCOMES
    file = tilde(str(change.target.file))
    yield printable(f"{client.title}: {texts[change.outcome].format(entry=change.entry, file=file)}")
    for line in change.difference:
        text = printable(line.replace("\t", "    "))
        yield f"  {coloured(text, _COLOURS[line[0]]) if line[0] in _COLOURS else text}"
    if change.note is not None:
        yield printable(f"  note: {change.note}")
    if change.backup is not None:
        yield printable(f"  backup: {tilde(str(change.backup))}")
    if change.target.scope == PROJECT and client.project_note and change.outcome in {changes.ADDED, changes.UPDATED}:
        yield f"  {client.project_note}"


def overview(rows: Sequence[JsonObject]) -> Iterator[str]:
    """Yield the table of `clients list`."""
    cells = []
    for row in rows:
        found = "yes" if row["found"] else "no"
        for entry in row["entries"] or [{"scope": None, "entry": None, "file": None, "error": None}]:
            file = None if entry["file"] is None else tilde(entry["file"])
            cells.append((row["client"], found, entry["scope"], entry["entry"] or entry["error"], file))
    yield from table(HEADERS, cells)


def findings(found: Sequence[Finding], entries: int) -> Iterator[str]:
    """Yield the lines of `clients check`. `entries` is the number of entries of ours."""
    for finding in found:
        where = tilde(str(finding.target.file)) + ("" if finding.line is None else f":{finding.line}")
        about = "" if finding.entry is None else f" {finding.entry}:"
        yield printable(f"{where}:{about} {finding.message}" if finding.entry else f"{finding.message}")
        if finding.fix:
            yield printable(f"  fix: {finding.fix}")
    noun = "entry" if entries == 1 else "entries"
    if not found:
        yield f"{entries} {noun} of this program, all in order" if entries else "no client has an entry of this program"
