"""Requests on their way in: between their frame and their admission nobody but us knows them."""

import asyncio
import contextlib
from collections.abc import Iterator


class PendingRequests:
    """The tasks of requests that carry an id of their client's."""

    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[object]]] = {}

    @contextlib.contextmanager
    def noted(self, request: str) -> Iterator[None]:
        """While inside, the current task can be cancelled by the id of its request."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 (requests are tasks)
        tasks = self._tasks.setdefault(request, set())
        tasks.add(task)
        try:
            yield
        finally:
            tasks.discard(task)
            if not tasks:
                self._tasks.pop(request, None)

    def cancel(self, request: str) -> bool:
        """Whether there was something to cancel. Nothing of it has been done yet."""
        tasks = self._tasks.get(request, ())
        for task in tasks:
            task.cancel()
        return bool(tasks)
