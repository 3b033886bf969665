"""Reads the end of a log and follows what is written after it."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from ...core.exhaustion import MAKE_ROOM, is_exhaustion
from ...errors import NotFound, StateNotWritable, SystemExhausted
from ..state.context import EngineContext
from .excerpt import written_at
from .follower import LogFollower
from .page import LogUpdate, Page, read_page


class LogReader:
    """Reads the logs of servers and the daemon's own log."""

    def __init__(self, context: EngineContext, own_log: Path) -> None:
        self._context = context
        self._own_log = own_log

    async def read(self, server_id: str | None, count: int, *, whole_lines: bool) -> Page:
        """Return the last `count` lines, or as many of them as fit into one answer.

        `whole_lines` leaves out a last line that is still being written.

        Raises:
            NotFound: no such server, or the server has no log.
            StateNotWritable: the log cannot be read.
        """
        log_of_ended = self._log_of_ended_server(server_id)
        path = self.newest_log(server_id) if log_of_ended is None else log_of_ended
        if path is None:
            raise NotFound(f"{server_id} has no log: it was not started yet, or another program has started it")
        try:
            page = await self._context.platform.lanes.do(partial(read_page, path, count, whole_lines=whole_lines))
            return replace(page, ended=log_of_ended is not None)
        except FileNotFoundError:
            return Page(path, (), 0)
        except OSError as error:
            if is_exhaustion(error):
                raise SystemExhausted(f"the log cannot be read: {error}", hint=MAKE_ROOM) from error
            raise StateNotWritable(f"the log cannot be read: {error}", hint="make the file readable for you") from error

    def follow(
        self,
        server_id: str | None,
        page: Page,
        on_update: Callable[[LogUpdate], None],
        has_room: Callable[[], bool] = lambda: True,
    ) -> Callable[[], None]:
        """Pass on what is written after a page, through new launches, until the server has gone.

        `has_room` says whether the receiver keeps up; while it returns False, nothing is read. The returned function
        ends the following.
        """
        return LogFollower(self.newest_log, self._context, server_id, page, on_update, has_room).close

    def _log_of_ended_server(self, server_id: str | None) -> Path | None:
        """Return the log of the last launch of a server that has ended; None if it has not ended or left no log."""
        if server_id is None or server_id in self._context.records.servers:
            return None
        ended = self._context.records.history.get(server_id)
        if ended is not None and ended.log is not None and Path(ended.log).exists():
            return Path(ended.log)
        # Logs are kept for longer than the history remembers their servers.
        folders = self._context.logs / "servers"
        try:
            # Compare with the listed names: as a path, an id like "..", "C:" or "toy." would lead to other folders.
            logs = [log for folder in folders.iterdir() if folder.name == server_id for log in folder.glob("*.log")]
        except OSError:
            return None
        return max(logs, key=written_at, default=None)

    def newest_log(self, server_id: str | None) -> Path | None:
        """Return the log of a server's newest launch, None if it has none; without an id, the daemon's own log.

        Raises:
            NotFound: no such server.
        """
        if server_id is None:
            return self._own_log
        log = self._context.records.server(server_id).log
        return None if log is None else Path(log)
