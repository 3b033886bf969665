"""Remembers the last launch of each server that has ended, within bounds of number and age."""

from collections.abc import Iterable

from ...core.model import EndedLaunch, ServerRecord

KEPT = 32
KEPT_S = 7 * 24 * 3600.0
"""Both bounds keep the registry small, because every write contains the history."""

DETAIL_LENGTH = 200


class History:
    """One ended launch for each server id, the oldest first."""

    def __init__(self, rows: Iterable[EndedLaunch] = ()) -> None:
        self._rows = {row.id: row for row in rows}

    def add(self, row: EndedLaunch) -> None:
        """Remember the end of a launch in place of the server's earlier ones."""
        self._rows.pop(row.id, None)
        rows = [*self._rows.values(), row][-KEPT:]
        self._rows = {kept.id: kept for kept in rows if kept.ended > row.ended - KEPT_S}

    def get(self, server_id: str) -> EndedLaunch | None:
        """Return how the last launch of a server ended, None if that is not remembered."""
        return self._rows.get(server_id)

    def rows(self) -> tuple[EndedLaunch, ...]:
        """Return all remembered launches, the oldest first."""
        return tuple(self._rows.values())


def ended(
    record: ServerRecord,
    how: str,
    at: float,
    *,
    status: int | None = None,
    by: str | None = None,
    detail: str | None = None,
) -> EndedLaunch:
    """Return the end of a server's launch. `at` is wall time, seconds; `status` the exit status, `by` the requester."""
    return EndedLaunch(
        id=record.id,
        kind=record.kind,
        version=record.version,
        project=record.project,
        launch=record.launch,
        ports=record.ports,
        url=record.url,
        log=record.log,
        since=record.since,
        ended=at,
        how=how,
        exit=status,
        by=by,
        detail=detail[:DETAIL_LENGTH] if detail else None,
    )
