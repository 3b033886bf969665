"""Installers and interpreters of private environments, for the platform in memory."""

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from supervisor.engine.environments.examination import MARK, SCRIPT
from supervisor.native import facts
from supervisor.native.api import ChildCommand
from tests.fakes import FakeProcess, FakeSystem, Program

BASE = Path(getattr(sys, "_base_executable", "") or sys.executable).name
"""The program that makes virtual environments without uv."""

PYTHON = ".".join(map(str, sys.version_info[:3]))


def installer(pause_s: float, version: Callable[[Path], str | None]) -> Program:
    """Return a program that makes an environment without output, and reports its version; None for none."""

    def run(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        def end() -> None:
            if SCRIPT in command.argv:
                said = {"python": PYTHON, "version": version(Path(command.argv[0])), "module": True}
                answer = json.dumps({**said, "lost": [], "lost_count": 0})
                command.log.write_text(f"{MARK}{answer}\n", encoding="utf-8")
            else:
                python = command.cwd / "venv" / facts.VENV_PYTHON
                python.parent.mkdir(parents=True, exist_ok=True)
                python.touch()
            system.end(process.identity, 0)

        asyncio.get_running_loop().call_later(0.1 if SCRIPT in command.argv else pause_s, end)

    return run
