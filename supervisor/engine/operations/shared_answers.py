"""Equal questions, asked once for all callers that wait for the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Asks each question once at a time. A `key` tells the questions apart.

    A caller that comes while an equal question is under way waits for the next one, which is asked once for all such
    callers: no answer is older than the call that it is given to.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, key: Hashable, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """Return the answer to a question that is asked after this call, once for all equal calls."""
        task = self._next.get(key)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._in_turn(key, question), name=f"shared {key}")
            task.add_done_callback(_retrieve)
            self._next[key] = task
        return await asyncio.shield(task)

    async def _in_turn(self, key: Hashable, question: Callable[[], Awaitable[T]]) -> T:
        before = self._under_way.get(key)
        if before is not None:
            await asyncio.wait((before,))
        # Callers that come from here on wait for the next question.
        task = self._under_way[key] = self._next.pop(key)
        try:
            return await question()
        finally:
            if self._under_way.get(key) is task:
                del self._under_way[key]


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """Retrieve the error, or asyncio would report it as never retrieved when all callers have gone."""
    if not task.cancelled():
        task.exception()
