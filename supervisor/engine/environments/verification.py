"""Verifies environments by their own interpreters: before they are published, and after a server failed to start."""

import asyncio
import errno
import os
from functools import partial
from pathlib import Path

from ...errors import InstallFailed
from ...native.lane import Lane, Lanes
from . import examination
from .examination import EnvironmentReport
from .installer import BuildJob, Installer, OnStarted
from .removal import remove_tree
from .store import Environment

EXAMINED_WITHIN_S = 60.0
"""How long the interpreter of a published environment may take to examine it."""

NO_PROGRAM = (errno.ENOENT, errno.EACCES, errno.ENOEXEC, errno.ENOTDIR, errno.ELOOP)
"""The system's errors for a program that is missing or cannot be run. Other errors prove nothing about the program."""

NO_INTERPRETER = "its interpreter no longer exists"


class Verifier:
    """Has interpreters examine their environments. Runs them as installers are run, so that none outlives its time."""

    def __init__(self, installer: Installer, lanes: Lanes) -> None:
        self._installer = installer
        self._lanes = lanes

    async def verify(self, job: BuildJob, module: str | None, on_started: OnStarted) -> Environment:
        """Return the installed environment as its own interpreter sees it.

        If files are missing, install again without the installer's cache first. `on_started` is called with every
        process that was started.

        Raises:
            InstallFailed: the environment does not contain what was to be installed.
        """
        installed_lines = len(job.lines)
        examined = await self._examine(job, module, on_started)
        if not _is_whole(examined, job, module) and job.reinstall_without_cache is not None:
            job.progress(
                "installing",
                f"{job.requirement} is damaged in the installer's cache: installing again without the cache",
            )
            await job.reinstall_without_cache()
            examined = await self._examine(job, module, on_started)
        refused = _refusal(examined, job, module)
        if refused is not None or isinstance(examined, str):
            raise InstallFailed(
                f"{job.requirement} was installed, but its environment cannot be used: {refused}",
                hint="see the installer's output; a setting of pip or uv may have installed it elsewhere",
                data={"output": job.lines[:installed_lines][-20:], "versions": []},
            )
        installed = examined.version or job.version
        whole = examined.lost_count == 0
        return Environment(job.folder, job.python, job.package, job.version, installed, examined.python, whole)

    async def _examine(self, job: BuildJob, module: str | None, on_started: OnStarted) -> EnvironmentReport | str:
        """Return the interpreter's report about its environment, or why there is none."""
        begin = len(job.lines)
        arguments = examination.interpreter_arguments(job.package, module)
        status = await self._installer.run_interpreter(job, arguments, on_started)
        report = examination.read_report(job.lines[begin:])
        if report is None:
            last = next((line for line in reversed(job.lines[begin:]) if line.strip()), "")
            exit_text = "" if status is None else f" (exit status {status})"
            return f"its interpreter does not run{exit_text}" + (f": {last.strip()[:200]}" if last else "")
        return report

    async def find_damage(self, environment: Environment, module: str | None, folder: Path) -> str | None:
        """Return what is wrong with a published environment, None if nothing was found. Starts its interpreter.

        `folder` is created for the time of the examination. An examination that cannot be made finds nothing.
        """
        if not environment.usable:
            return NO_INTERPRETER
        job = BuildJob(environment.package, environment.version, folder, _silent, interpreter=environment.python)
        try:
            await self._lanes.do(partial(job.temporary.mkdir, parents=True), lane=Lane.FILES)
        except OSError:
            return None
        try:
            async with asyncio.timeout(EXAMINED_WITHIN_S):
                examined = await self._examine(job, module, lambda _: None)
        except TimeoutError:
            return None
        except OSError as error:
            return (
                f"its interpreter cannot be started: {os.strerror(error.errno)}" if error.errno in NO_PROGRAM else None
            )
        finally:
            await self._lanes.do(remove_tree, folder, lane=Lane.FILES)
        if isinstance(examined, EnvironmentReport):
            return examined.damage(environment, module)
        return examined


def _refusal(examined: EnvironmentReport | str, job: BuildJob, module: str | None) -> str | None:
    """Return why an installed environment must not be used, None if it may be."""
    return examined if isinstance(examined, str) else examined.refusal(job.package, job.version, module)


def _is_whole(examined: EnvironmentReport | str, job: BuildJob, module: str | None) -> bool:
    return isinstance(examined, EnvironmentReport) and not (examined.lost_count or _refusal(examined, job, module))


def _silent(stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
    """Ignore progress."""
