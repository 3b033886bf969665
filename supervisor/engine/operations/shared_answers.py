"""Equal questions are asked once for all who wait for the answer."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Hashable
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class SharedAnswers(Generic[T]):
    """Questions by what tells them apart.

    A caller that comes while an equal question is under way waits for the next one, which is asked once for all such
    callers: no answer is older than the call that it is given to.
    """

    def __init__(self) -> None:
        self._under_way: dict[Hashable, asyncio.Task[T]] = {}
        self._next: dict[Hashable, asyncio.Task[T]] = {}

    async def ask(self, key: Hashable, question: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """The answer to a question that is begun after this call, together with equal ones."""
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
        # Callers that come from here on get the one after this.
        task = self._under_way[key] = self._next.pop(key)
        try:
            return await question()
        finally:
            if self._under_way.get(key) is task:
                del self._under_way[key]


def _retrieve(task: "asyncio.Task[Any]") -> None:
    """All who asked may have gone: then asyncio would complain that an error was not looked at."""
    if not task.cancelled():
        task.exception()
