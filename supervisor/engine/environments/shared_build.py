"""One build of an environment that several callers wait for."""

import asyncio

from .installer import Progress
from .store import Environment


class SharedBuild:
    """One build and the callers that wait for it. If the last of them is cancelled, the build is cancelled.

    `task` performs the build. It is set after the construction, because it reports to `progress`.
    """

    task: asyncio.Task[Environment]

    def __init__(self) -> None:
        self._waiting: list[Progress] = []

    @property
    def abandoned(self) -> bool:
        """Whether the build is being cancelled, because its last caller has left."""
        return not self._waiting and (self.task.cancelling() > 0 or self.task.done())

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Pass progress on to every caller."""
        for pass_on in tuple(self._waiting):
            pass_on(stage, message, done, total)

    async def join(self, progress: Progress) -> Environment:
        """Wait for the build, and return the environment. `progress` gets the progress from now on.

        Raises:
            SupervisorError: what the build raised.
        """
        self._waiting.append(progress)
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting.remove(progress)
            if not self._waiting and not self.task.done():
                self.task.cancel()
                await asyncio.wait({self.task})
