"""The program that the service control manager starts in `test_service.py`, without the test's environment.

usage: servant.py REPOSITORY LOG stand-in|crash|refuse|daemon [HOME]
"""

import asyncio
import os
import sys
from pathlib import Path

repository, log, part, *home = sys.argv[1:]
sys.path.insert(0, repository)

from supervisor.native.service_api import ServiceManager  # noqa: E402 (that is what the path is for)
from supervisor.native.services.manager import run_as_service  # noqa: E402


def tell(what: str) -> None:
    with Path(log).open("a", encoding="utf-8") as file:
        file.write(f"{what}\n")


async def live(manager: ServiceManager) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    await manager.begin(lambda: loop.call_soon_threadsafe(stop.set))
    if part == "refuse":
        tell("refused")
        return 78
    manager.ready()
    tell(f"ready {os.getpid()}")
    if part == "crash":
        os._exit(9)
    await stop.wait()
    manager.stopping()
    tell("stopped")
    return 0


def body(manager: ServiceManager) -> int:
    return asyncio.run(live(manager))


def main() -> int:
    if part == "daemon":
        from supervisor.cli.main import main as command

        return command(["service", "run", "--home", *home])
    done = run_as_service("godot-supervisor", body)
    tell(f"done {done}")
    return 3 if done is None else done


if __name__ == "__main__":
    sys.exit(main())
