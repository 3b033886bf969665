"""Remembers the last launch of each server that has ended, within bounds of number and age."""

from collections.abc import Iterable

from ...core.model import EndedLaunch, ServerRecord

KEPT = 32
KEPT_S = 7 * 24 * 3600.0
"""Both bounds keep the registry small, because every write contains the history."""

DETAIL_LENGTH = 200


class History:
    """One ended launch for each server id, the oldest first."""

    def __init__(self, launches: Iterable[EndedLaunch] = ()) -> None:
        self._by_server = {launch.id: launch for launch in launches}

    def add(self, launch: EndedLaunch) -> None:
        """Remember the end of a launch in place of the server's earlier ones."""
        self._by_server.pop(launch.id, None)
        latest = [*self._by_server.values(), launch][-KEPT:]
        self._by_server = {kept.id: kept for kept in latest if kept.ended > launch.ended - KEPT_S}

    def get(self, server_id: str) -> EndedLaunch | None:
        """Return how the last launch of a server ended, None if that is not remembered."""
        return self._by_server.get(server_id)

    def launches(self) -> tuple[EndedLaunch, ...]:
        """Return all remembered launches, the oldest first."""
        return tuple(self._by_server.values())


def ended_launch(
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
