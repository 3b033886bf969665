"""What became of servers that have ended: the last launch of each, until there are too many or it is too long ago."""

from collections.abc import Iterable

from ...core.model import Ended, ServerRecord

KEPT = 32
KEPT_S = 7 * 24 * 3600.0
"""Bounds of what every write of the registry has to carry."""

DETAIL_LENGTH = 200


class History:
    """One row for each id, the oldest first."""

    def __init__(self, rows: Iterable[Ended] = ()) -> None:
        self._rows = {row.id: row for row in rows}

    def add(self, row: Ended) -> None:
        """Remember the end of a launch; of the server's earlier ones nothing stays."""
        self._rows.pop(row.id, None)
        rows = [*self._rows.values(), row][-KEPT:]
        self._rows = {kept.id: kept for kept in rows if kept.ended > row.ended - KEPT_S}

    def get(self, server_id: str) -> Ended | None:
        """How the last launch of a server ended; None: that is not remembered."""
        return self._rows.get(server_id)

    def rows(self) -> tuple[Ended, ...]:
        """All that is remembered, the oldest first."""
        return tuple(self._rows.values())


def ended(
    record: ServerRecord,
    how: str,
    at: float,
    *,
    status: int | None = None,
    by: str | None = None,
    detail: str | None = None,
) -> Ended:
    """The end of a server's launch. `at` is wall time, seconds; `status` its exit status, `by` who asked for it."""
    return Ended(
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
