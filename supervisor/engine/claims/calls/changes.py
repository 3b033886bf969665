"""Changes of the tool calls of servers, for watchers. There are too many changes for events."""

import asyncio
from collections.abc import Callable, Iterable

Watcher = Callable[[tuple[str, ...]], None]
"""Called with the ids of servers. A watcher must not change calls."""


class CallChanges:
    """Collects changes, and hands them to watchers once for each turn of the loop. Costs nothing without watchers."""

    def __init__(self) -> None:
        self._watchers: dict[int, Watcher] = {}
        self._watched = 0
        self._changed: dict[str, None] = {}

    def watch(self, watcher: Watcher) -> Callable[[], None]:
        """Call `watcher` with the servers of every further change until the returned function is called."""
        self._watched += 1
        number = self._watched
        self._watchers[number] = watcher
        return lambda: self._forget(number)

    def note(self, servers: Iterable[str]) -> None:
        """Note that the calls of these servers have changed."""
        if not self._watchers:
            return
        was_empty = not self._changed
        self._changed.update(dict.fromkeys(servers))
        if was_empty and self._changed:
            asyncio.get_running_loop().call_soon(self._tell)

    def _tell(self) -> None:
        servers, self._changed = tuple(self._changed), {}
        # Iterate over a copy: a watcher that closes its connection removes other watchers of that connection.
        for watcher in list(self._watchers.values()):
            watcher(servers)

    def _forget(self, number: int) -> None:
        self._watchers.pop(number, None)
