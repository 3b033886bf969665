"""Runs the programs that build one private environment: uv if it is installed, else venv and pip."""

import asyncio
import contextlib
import re
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from ...core.model import Liveness, ProcessIdentity
from ...errors import InstallFailed
from ...native import facts
from ...native.api import ChildCommand, Platform
from .build_watch import BuildWatch, measure
from .install_failures import hint_for, is_missing, versions_named
from .install_settings import variables_for, without_settings

LOOK_EVERY_S = 0.25
LINES_SHOWN = 20
VERSION_QUERIES = 6
"""How often uv is asked for one more version that exists, after it did not find the requested one."""

StopTree = Callable[[ProcessIdentity], Awaitable[None]]
OnStarted = Callable[[ProcessIdentity], None]

_COLLECTED = re.compile(r"(?:Collecting|Processing|\s+Downloaded|\s+Built) ([^\s=<>!~;\[(]+)")
_RESOLVED = re.compile(r"Resolved (\d+) packages?")
_INSTALLING = re.compile(r"Installing collected packages: (.+)")
_WORTH_TELLING = re.compile(r"\s*(?:Downloading|Building|Prepared|Installed|Successfully installed) ")


class Progress(Protocol):
    """Receives the progress of a build. Never blocks."""

    def __call__(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """Report progress: `done` of `total` packages, as far as these are known."""
        ...


@dataclass
class BuildJob:
    """One build or examination of an environment: its folder, and the output of its programs so far.

    `progress` gets what the output says. `lines` is the output, `interpreter` an existing interpreter to use instead of
    that in `venv`. `variables` are the names of the variables that the installers get. `uv_cache` is uv's cache, None
    where it is not used. `reinstall_without_cache` installs again and returns the exit status; None where no file of a
    cache is linked into the environment.
    """

    package: str
    version: str
    folder: Path
    progress: Progress
    lines: list[str] = field(default_factory=list)
    uv_cache: Path | None = None
    interpreter: Path | None = None
    variables: tuple[str, ...] = ()
    reinstall_without_cache: Callable[[], Awaitable[int | None]] | None = None
    _collected: set[str] = field(default_factory=set)
    _total: int | None = None
    _offset: int = 0
    _incomplete: bytes = b""

    @property
    def requirement(self) -> str:
        """The requirement to install."""
        return f"{self.package}=={self.version}"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        """The interpreter of the environment: `interpreter`, else that of `venv`."""
        return self.interpreter or self.venv / facts.VENV_PYTHON

    @property
    def temporary(self) -> Path:
        """The folder for the installers' temporary files."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """The file with the output of the installers."""
        return self.folder / "install.log"

    def read_output(self) -> bool:
        """Read new output in the log and report the progress. Return whether there was new output."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return False
        self._offset += len(new)
        whole, _, self._incomplete = (self._incomplete + new).rpartition(b"\n")
        for line in whole.decode(errors="replace").splitlines():
            self._read_line(line.rstrip())
        return bool(new)

    def _read_line(self, line: str) -> None:
        """Keep a line, and report the progress that it tells of."""
        self.lines.append(line)
        if collected := _COLLECTED.match(line):
            self._collected.add(Path(collected[1]).name)
        elif resolved := _RESOLVED.match(line):
            self._total = int(resolved[1])
        elif installing := _INSTALLING.match(line):
            self._total = len(installing[1].split(","))
            line = f"installing {self._total} packages"
        elif not _WORTH_TELLING.match(line):
            return
        done = len(self._collected)
        self.progress("installing", line.strip(), min(done, self._total) if self._total else done, self._total)

    def measure(self) -> tuple[int, int]:
        """Return how many files and bytes were written so far. Blocks."""
        # uv downloads and unpacks packages under such names in its cache, then links them into the environment.
        aside = self.uv_cache.glob(".tmp*") if self.uv_cache else ()
        return measure((self.folder, *aside))

    def versions(self) -> list[str]:
        """Return the versions of the package that the installers have named, oldest first."""
        return versions_named(self.package, self.lines)

    def failure(self, message: str, output: list[str] | None = None) -> InstallFailed:
        """Return an error that quotes the installers: `output`, or else their last lines."""
        lines = [*self.lines, *filter(None, [self._incomplete.decode(errors="replace")])]
        text = "\n".join(lines)
        versions = self.versions()
        hint = hint_for(self.package, self.version, text, versions, self.variables)
        shown = output if output is not None else lines[-LINES_SHOWN:]
        return InstallFailed(message, hint=hint, data={"output": shown, "versions": versions})


class Installer:
    """Runs installers, and interpreters of environments, and watches their progress.

    `stop_tree` ends an installer and its descendants. Installers inherit `variables`. `no_progress_s` limits how long
    an installer may neither print nor write anything, seconds.
    """

    def __init__(
        self, platform: Platform, stop_tree: StopTree, variables: Mapping[str, str], no_progress_s: float
    ) -> None:
        self._processes = platform.processes
        self._exits = platform.exits
        self._probe = platform.probe
        self._lanes = platform.lanes
        self._stop_tree = stop_tree
        self._variables = dict(variables)
        self._no_progress_s = no_progress_s

    async def install(self, job: BuildJob, on_started: OnStarted) -> None:
        """Make the virtual environment of a job and install its package.

        `on_started` is called with every installer that was started. No installer outlives this call, cancelled or not.

        Raises:
            InstallFailed: an installer failed, or made no progress.
            OSError: an installer could not be started.
        """
        # Imported here, because the daemon rarely needs it, and it imports bz2 and lzma.
        import shutil

        uv = shutil.which("uv", path=self._variables.get("PATH", ""))
        make, install = _commands(job, uv)
        variables = {**variables_for(self._variables, job.temporary, uv=bool(uv)), **_own_variables(job)}
        job.variables = tuple(variables)
        run = partial(self._run_to_end, job, variables, on_started=on_started)
        job.progress("installing", f"making an environment for {job.requirement}")
        if uv and await run((uv, "cache", "dir")) == 0 and job.lines:
            # The last line of the output is the folder of the cache.
            job.uv_cache = Path(job.lines.pop())
        if await run(make) != 0:
            raise job.failure(f"no environment for {job.requirement} could be made")
        job.progress("installing", job.requirement)
        if uv:
            # uv links files of its cache into environments, so a write to one of the two changes both.
            job.reinstall_without_cache = partial(run, (*install, "--reinstall", "--no-cache", job.requirement))
        if await run((*install, job.requirement)) == 0 and job.python.exists():
            return
        failure = job.failure(f"{job.requirement} could not be installed")
        if uv and is_missing(job.package, job.version, "\n".join(job.lines)):
            await self._look_for_versions(
                job, lambda requirement: run((*install, "--dry-run", "--no-deps", requirement))
            )
            failure = job.failure(failure.message, failure.data["output"])
        raise failure

    async def run_interpreter(self, job: BuildJob, arguments: tuple[str, ...], on_started: OnStarted) -> int | None:
        """Run the interpreter of a job's environment to its end. Return its exit status, None if unknown.

        Raises:
            InstallFailed: the interpreter made no progress.
            OSError: the interpreter could not be started.
        """
        variables = {**without_settings(self._variables), **_own_variables(job)}
        return await self._run_to_end(job, variables, (str(job.python), *arguments), on_started=on_started)

    async def _look_for_versions(self, job: BuildJob, resolve: Callable[[str], Awaitable[int | None]]) -> None:
        """Have uv name some existing versions: the newest, then repeatedly one older than the last."""
        # uv lists the existing versions only if no version at all can match.
        requirement = f"{job.package}>{'9' * 9}"
        for _ in range(VERSION_QUERIES):
            before = set(job.versions())
            await resolve(requirement)
            new = [version for version in job.versions() if version not in before]
            if not new:
                return
            requirement = f"{job.package}<{new[0]}"

    async def _run_to_end(
        self, job: BuildJob, variables: Mapping[str, str], argv: tuple[str, ...], *, on_started: OnStarted
    ) -> int | None:
        """Run a program of a job to its end. Return its exit status, None if unknown."""
        command = ChildCommand(argv, variables, job.folder, job.log)
        process = self._processes.spawn(command)
        ended = asyncio.Event()
        watch = self._exits.watch(process, ended.set)
        try:
            on_started(process)
            await self._watch_progress(job, process, ended)
        finally:
            watch.close()
            if self._probe.sample(process) is not Liveness.DEAD:
                await self._stop_tree(process)
        job.read_output()
        return self._processes.exit_status(process)

    async def _watch_progress(self, job: BuildJob, process: ProcessIdentity, ended: asyncio.Event) -> None:
        """Until a program of a job has ended, pass its output on and check its progress. `ended` is set at its end.

        Raises:
            InstallFailed: the program made no progress.
        """
        watch = BuildWatch(job.measure, self._lanes, self._no_progress_s)
        while self._probe.sample(process) is not Liveness.DEAD:
            with contextlib.suppress(TimeoutError):
                # The event is only a hint. If the probe does not agree yet, ask it again after a pause.
                async with asyncio.timeout(LOOK_EVERY_S):
                    await (asyncio.sleep(LOOK_EVERY_S) if ended.is_set() else ended.wait())
            if job.read_output():
                watch.note_progress()
            elif await watch.stalled():
                raise job.failure(f"installing {job.requirement}: no progress for {self._no_progress_s:g} s")


def _own_variables(job: BuildJob) -> dict[str, str]:
    """Return the variables that the daemon sets for every program of a job."""
    temporary = str(job.temporary)
    return {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def _commands(job: BuildJob, uv: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the commands that make the virtual environment and install into it, the latter without the requirement."""
    # Use the base interpreter, because the daemon's own environment may be removed or upgraded.
    base = getattr(sys, "_base_executable", "") or sys.executable
    python = str(job.python)
    if uv:
        # Without bytecode each start of a server compiles its imports, which takes as long as the rest of the start.
        uv_install = (uv, "pip", "install", "--compile-bytecode", "--python")
        return (uv, "venv", "--no-project", "--python", base, str(job.venv)), (*uv_install, python)
    pip = (python, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-user", "--compile")
    return (base, "-P", "-m", "venv", str(job.venv)), pip
