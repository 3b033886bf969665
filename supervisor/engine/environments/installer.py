"""Runs the installer of one private environment: uv if it is installed, else venv and pip."""

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
from .build_watch import BuildWatch, weigh
from .install_failures import hint_for, is_missing, versions_named
from .install_settings import variables_for, without_settings

LOOK_EVERY_S = 0.25
LINES_SHOWN = 20
VERSIONS_LOOKED_FOR = 6

StopTree = Callable[[ProcessIdentity], Awaitable[None]]
Started = Callable[[ProcessIdentity], None]

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
class Job:
    """One build: its folder, and the output of its installers so far.

    `interpreter` is an existing one to use. `variables` are the names of the variables that the installers get.
    `past_cache` installs again without the cache; None where no file of a cache is linked into the environment.
    """

    package: str
    version: str
    folder: Path
    tell: Progress
    lines: list[str] = field(default_factory=list)
    uv_cache: Path | None = None
    interpreter: Path | None = None
    variables: tuple[str, ...] = ()
    past_cache: Callable[[], Awaitable[int | None]] | None = None
    _collected: set[str] = field(default_factory=set)
    _total: int | None = None
    _offset: int = 0
    _rest: bytes = b""

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
        """The interpreter of the virtual environment."""
        return self.interpreter or self.venv / facts.VENV_PYTHON

    @property
    def temporary(self) -> Path:
        """The folder for the installers' temporary files."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """The output of the installers."""
        return self.folder / "install.log"

    def follow(self) -> bool:
        """Read new output in the log and report the progress. Return whether there was new output."""
        try:
            with self.log.open("rb") as file:
                file.seek(self._offset)
                new = file.read()
        except FileNotFoundError:
            return False
        self._offset += len(new)
        whole, _, self._rest = (self._rest + new).rpartition(b"\n")
        for line in whole.decode(errors="replace").splitlines():
            self._heard(line.rstrip())
        return bool(new)

    def _heard(self, line: str) -> None:
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
        self.tell("installing", line.strip(), min(done, self._total) if self._total else done, self._total)

    def weigh(self) -> tuple[int, int]:
        """Return the files and bytes written so far. Blocking: call it off the loop."""
        # uv downloads and unpacks packages under such names in its cache, then links them into the environment.
        aside = self.uv_cache.glob(".tmp*") if self.uv_cache else ()
        return weigh((self.folder, *aside))

    def versions(self) -> list[str]:
        """Return the versions that its installers have named, oldest first."""
        return versions_named(self.package, self.lines)

    def failure(self, message: str, output: list[str] | None = None) -> InstallFailed:
        """Return an error that quotes the installers: `output`, or else their last lines."""
        said = [*self.lines, *filter(None, [self._rest.decode(errors="replace")])]
        text = "\n".join(said)
        versions = self.versions()
        hint = hint_for(self.package, self.version, text, versions, self.variables)
        shown = output if output is not None else said[-LINES_SHOWN:]
        return InstallFailed(message, hint=hint, data={"output": shown, "versions": versions})


class Installer:
    """Runs installers and watches their progress.

    `stop_tree` ends an installer and its descendants. Installers inherit `environment`. `no_progress_s` limits how long
    an installer may neither print nor write anything, seconds.
    """

    def __init__(
        self, platform: Platform, stop_tree: StopTree, environment: Mapping[str, str], no_progress_s: float
    ) -> None:
        self._processes = platform.processes
        self._exits = platform.exits
        self._probe = platform.probe
        self._lanes = platform.lanes
        self._stop_tree = stop_tree
        self._environment = dict(environment)
        self._no_progress_s = no_progress_s

    async def install(self, job: Job, started: Started) -> None:
        """Make the virtual environment of a job and install its package. `started` is called with every installer.

        No installer outlives this call, cancelled or not.

        Raises:
            InstallFailed: an installer failed, or made no progress.
            OSError: an installer could not be started.
        """
        # Imported here, because the daemon rarely needs it, and it imports bz2 and lzma.
        import shutil

        uv = shutil.which("uv", path=self._environment.get("PATH", ""))
        make, install = _commands(job, uv)
        variables = {**variables_for(self._environment, job.temporary, uv=bool(uv)), **_own(job)}
        job.variables = tuple(variables)
        run = partial(self._run, job, variables, started=started)
        job.tell("installing", f"making an environment for {job.requirement}")
        if uv and await run((uv, "cache", "dir")) == 0 and job.lines:
            job.uv_cache = Path(job.lines.pop())
        if await run(make) != 0:
            raise job.failure(f"no environment for {job.requirement} could be made")
        job.tell("installing", job.requirement)
        if uv:
            # uv links files of its cache into environments, so a write to one of the two changes both.
            job.past_cache = partial(run, (*install, "--reinstall", "--no-cache", job.requirement))
        if await run((*install, job.requirement)) == 0 and job.python.exists():
            return
        failure = job.failure(f"{job.requirement} could not be installed")
        if uv and is_missing(job.package, job.version, "\n".join(job.lines)):
            await self._look_for_versions(
                job, lambda requirement: run((*install, "--dry-run", "--no-deps", requirement))
            )
            failure = job.failure(failure.message, failure.data["output"])
        raise failure

    async def run(self, job: Job, argv: tuple[str, ...], started: Started) -> int | None:
        """Run the interpreter of a job to its end. Return its exit status, None if unknown.

        Raises:
            InstallFailed: the interpreter made no progress.
            OSError: the interpreter could not be started.
        """
        variables = {**without_settings(self._environment), **_own(job)}
        return await self._run(job, variables, argv, started=started)

    async def _look_for_versions(self, job: Job, resolve: Callable[[str], Awaitable[int | None]]) -> None:
        """Have uv name some existing versions: the newest, then repeatedly one older than the last."""
        # uv lists the existing versions only if no version at all can match.
        requirement = f"{job.package}>{'9' * 9}"
        for _ in range(VERSIONS_LOOKED_FOR):
            before = set(job.versions())
            await resolve(requirement)
            new = [version for version in job.versions() if version not in before]
            if not new:
                return
            requirement = f"{job.package}<{new[0]}"

    async def _run(
        self, job: Job, variables: Mapping[str, str], argv: tuple[str, ...], *, started: Started
    ) -> int | None:
        """Run an installer to its end. Return its exit status, None if unknown."""
        command = ChildCommand(argv, variables, job.folder, job.log)
        installer = self._processes.spawn(command)
        ended = asyncio.Event()
        watch = self._exits.watch(installer, ended.set)
        try:
            started(installer)
            await self._attend(job, installer, ended)
        finally:
            watch.close()
            if self._probe.sample(installer) is not Liveness.DEAD:
                await self._stop_tree(installer)
        job.follow()
        return self._processes.exit_status(installer)

    async def _attend(self, job: Job, installer: ProcessIdentity, ended: asyncio.Event) -> None:
        """Until the installer has ended, pass on its output and check its progress."""
        watch = BuildWatch(job.weigh, self._lanes, self._no_progress_s)
        while self._probe.sample(installer) is not Liveness.DEAD:
            with contextlib.suppress(TimeoutError):
                # The event is only a hint. If the probe does not agree yet, ask it again after a pause.
                async with asyncio.timeout(LOOK_EVERY_S):
                    await (asyncio.sleep(LOOK_EVERY_S) if ended.is_set() else ended.wait())
            if job.follow():
                watch.progressed()
            elif await watch.stalled():
                raise job.failure(f"installing {job.requirement}: no progress for {self._no_progress_s:g} s")


def _own(job: Job) -> dict[str, str]:
    temporary = str(job.temporary)
    return {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def _commands(job: Job, uv: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
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
