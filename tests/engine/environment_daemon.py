"""One daemon's private environments, on the real platform, and helpers for tests of builds."""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

from supervisor.core.model import Liveness, ProcessIdentity
from supervisor.engine.environments.private_environments import Environments
from supervisor.engine.environments.store import Environment
from supervisor.native.platforms import open_platform
from tests import cache

PATIENCE_S = 60.0
REPOSITORY = Path(__file__).parents[2]


class Daemon:
    """The environments of one daemon, and the progress that its callers received."""

    def __init__(self, root: Path, variables: dict[str, str], *, no_progress_s: float = PATIENCE_S) -> None:
        self.platform = open_platform()
        self.told: list[tuple[str, str, int | None, int | None]] = []
        self.stopped: list[ProcessIdentity] = []
        self.environments = Environments(
            root, self.platform, self.stop, variables=variables, no_progress_s=no_progress_s
        )

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        self.told.append((stage, message, done, total))

    async def stop(self, installer: ProcessIdentity) -> None:
        self.stopped.append(installer)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(installer.pid, signal.SIGKILL)
        await until(lambda: self.platform.probe.sample(installer) is Liveness.DEAD)

    async def provide(self, package: str = "toy", version: str = "1.0") -> Environment:
        return await self.environments.provide(package, version, self.progress)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 (files and other processes set no event)
            await asyncio.sleep(0.01)


def run(main: Callable[[], Awaitable[Any]]) -> Any:
    return asyncio.run(main())  # type: ignore[arg-type]


def with_installer(variables: dict[str, str], installer: str) -> dict[str, str]:
    return {**variables, "PATH": str(cache.folder_of_uv())} if installer == "uv" else variables


def folders(root: Path) -> set[Path]:
    return {path for path in root.iterdir() if path.is_dir()}


def runs(tmp_path: Path) -> int:
    path = tmp_path / "runs"
    return len(path.read_text().splitlines()) if path.exists() else 0


GATED = """\
touch "$TEST/begun"
while [ ! -e "$TEST/gate" ]; do sleep 0.02; done
"""
