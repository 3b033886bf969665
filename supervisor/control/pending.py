"""Requests that have arrived and are not admitted yet, so the engine does not know them and cannot cancel them."""

import asyncio
import contextlib
from collections.abc import Iterator


class PendingRequests:
    """The tasks of pending requests whose clients have chosen an id, by the engine's name for the request."""

    def __init__(self) -> None:
        self._tasks: dict[str, set[asyncio.Task[object]]] = {}

    @contextlib.contextmanager
    def cancellable(self, request: str) -> Iterator[None]:
        """Let `cancel` cancel the current task, by the name of its request, while the context is open."""
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
        """Cancel a request of which nothing has been done yet. Return False if no such request is pending."""
        tasks = self._tasks.get(request, ())
        for task in tasks:
            task.cancel()
        return bool(tasks)
