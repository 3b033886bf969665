"""Runs the installer of one private environment: uv where there is one, else venv and pip."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Protocol

from ...core.model import Liveness, ProcessIdentity
from ...errors import InstallFailed
from ...native import facts
from ...native.api import Command, Lanes, Platform
from ...native.lane import Lane
from .install_failures import hint_for, is_missing, versions_named
from .install_settings import variables_for, without_settings

LOOK_EVERY_S = 0.25
WEIGH_EVERY_S = 5.0
LINES_SHOWN = 20
VERSIONS_LOOKED_FOR = 6

StopTree = Callable[[ProcessIdentity], Awaitable[None]]
Started = Callable[[ProcessIdentity], None]

_COLLECTED = re.compile(r"(?:Collecting|Processing|\s+Downloaded|\s+Built) ([^\s=<>!~;\[(]+)")
_RESOLVED = re.compile(r"Resolved (\d+) packages?")
_INSTALLING = re.compile(r"Installing collected packages: (.+)")
_WORTH_TELLING = re.compile(r"\s*(?:Downloading|Building|Prepared|Installed|Successfully installed) ")


class Progress(Protocol):
    """Told how far a build is. Never blocks."""

    def __call__(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        """`done` of `total` packages, as far as they are known."""
        ...


@dataclass
class Job:
    """One build at work: its folder, and what its installers have said so far.

    `interpreter` is one that is there already. `variables` are names of those that the installers are given.
    `past_cache` installs once more, from the index itself; None where no cache is linked into the environment.
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
        """What is to be installed."""
        return f"{self.package}=={self.version}"

    @property
    def venv(self) -> Path:
        """The virtual environment."""
        return self.folder / "venv"

    @property
    def python(self) -> Path:
        """Its interpreter."""
        return self.interpreter or self.venv / facts.VENV_PYTHON

    @property
    def temporary(self) -> Path:
        """Where the installers put what they need for a while."""
        return self.folder / "tmp"

    @property
    def log(self) -> Path:
        """What the installers say."""
        return self.folder / "install.log"

    def follow(self) -> bool:
        """Read on in the log, and tell how far it is. Whether there was anything new."""
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
        """Files and bytes written so far. Blocking: call it off the loop."""
        # uv downloads and unpacks under such names in its cache before it links packages into the environment.
        aside = self.uv_cache.glob(".tmp*") if self.uv_cache else ()
        return _weigh((self.folder, *aside))

    def versions(self) -> list[str]:
        """The versions that its installers have named, oldest first."""
        return versions_named(self.package, self.lines)

    def failure(self, message: str, output: list[str] | None = None) -> InstallFailed:
        """What went wrong, in the installers' words: `output`, else the last ones."""
        said = [*self.lines, *filter(None, [self._rest.decode(errors="replace")])]
        text = "\n".join(said)
        versions = self.versions()
        hint = hint_for(self.package, self.version, text, versions, self.variables)
        shown = output if output is not None else said[-LINES_SHOWN:]
        return InstallFailed(message, hint=hint, data={"output": shown, "versions": versions})


def _weigh(tops: Iterable[Path]) -> tuple[int, int]:
    """Files and bytes below these folders. Blocking."""
    files = size = 0
    for top in tops:
        for folder, _, names in os.walk(top):
            for name in names:
                with contextlib.suppress(OSError):
                    size += (Path(folder) / name).lstat().st_size
                    files += 1
    return files, size


class Growth:
    """Whether somebody else's build gets on: it shows in the folders that `tops` finds. `patience_s` is seconds."""

    def __init__(self, tops: Callable[[], Iterable[Path]], lanes: Lanes, patience_s: float) -> None:
        self._tops = tops
        self._lanes = lanes
        self._patience_s = patience_s
        self._weight: tuple[int, int] | None = None
        self._grown = self._weighed = asyncio.get_running_loop().time()

    async def stalled(self) -> bool:
        """Whether nothing new was seen for the whole patience. To be asked again and again."""
        now = asyncio.get_running_loop().time()
        if self._weight is None or now - self._weighed > min(WEIGH_EVERY_S, self._patience_s / 4):
            before, self._weight = self._weight, await self._lanes.do(lambda: _weigh(self._tops()), lane=Lane.FILES)
            self._weighed = now
            self._grown = now if self._weight != before else self._grown
        return now - self._grown > self._patience_s


class Installer:
    """Runs installers, and sees that they get on.

    `stop_tree` ends an installer and all that it started. `environment` is what installers inherit from.
    `no_progress_s` is how long one may neither say nor write anything, seconds.
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
        """Make the virtual environment of a job, with its package in it. `started` is told of every installer.

        No installer outlives this call, cancelled or not.

        Raises:
            InstallFailed: an installer failed, or made no progress.
            OSError: an installer could not be started.
        """
        # Late, as in environments.py: the daemon rarely needs it, and it brings bz2 and lzma.
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
            # uv links files of its cache into environments: what writes to one of them changes both.
            job.past_cache = partial(run, (*install, "--reinstall", "--no-cache", job.requirement))
        if await run((*install, job.requirement)) == 0 and job.python.exists():
            return
        failure = job.failure(f"{job.requirement} could not be installed")
        if uv and is_missing(job.package, job.version, "\n".join(job.lines)):
            await self._look_for_versions(job, lambda wish: run((*install, "--dry-run", "--no-deps", wish)))
            failure = job.failure(failure.message, failure.data["output"])
        raise failure

    async def run(self, job: Job, argv: tuple[str, ...], started: Started) -> int | None:
        """Run the interpreter of a job, to its end. Returns its exit status, None where that is unknown.

        Raises:
            InstallFailed: it made no progress.
            OSError: it could not be started.
        """
        variables = {**without_settings(self._environment), **_own(job)}
        return await self._run(job, variables, argv, started=started)

    async def _look_for_versions(self, job: Job, resolve: Callable[[str], Awaitable[int | None]]) -> None:
        """Have uv name some versions that are there: the newest, and one older than the last, again and again."""
        # uv says that a version is missing, not which ones there are, unless nothing at all can match.
        wish = f"{job.package}>{'9' * 9}"
        for _ in range(VERSIONS_LOOKED_FOR):
            before = set(job.versions())
            await resolve(wish)
            new = [version for version in job.versions() if version not in before]
            if not new:
                return
            wish = f"{job.package}<{new[0]}"

    async def _run(
        self, job: Job, variables: Mapping[str, str], argv: tuple[str, ...], *, started: Started
    ) -> int | None:
        """Run an installer to its end. Its exit status, None where that is unknown."""
        command = Command(argv, variables, job.folder, job.log)
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
        """Until the installer has ended: pass on what it says, and see that it gets on."""
        clock = asyncio.get_running_loop().time
        last_sign = last_weighed = clock()
        weight: tuple[int, int] | None = None
        while self._probe.sample(installer) is not Liveness.DEAD:
            with contextlib.suppress(TimeoutError):
                # The event is a hint: where the probe does not agree yet, it is asked again, not all the time.
                async with asyncio.timeout(LOOK_EVERY_S):
                    await (asyncio.sleep(LOOK_EVERY_S) if ended.is_set() else ended.wait())
            if job.follow():
                last_sign = clock()
            elif clock() - last_weighed > min(WEIGH_EVERY_S, self._no_progress_s / 4):
                before, weight = weight, await self._lanes.do(job.weigh, lane=Lane.FILES)
                last_weighed = clock()
                last_sign = last_weighed if weight != before else last_sign
            if clock() - last_sign > self._no_progress_s:
                raise job.failure(f"installing {job.requirement}: no progress for {self._no_progress_s:g} s")


def _own(job: Job) -> dict[str, str]:
    temporary = str(job.temporary)
    return {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def _commands(job: Job, uv: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How to make the virtual environment, and how to install into it (less what)."""
    # The interpreter below the daemon's own environment: that one may be removed, or upgraded, under ours.
    base = getattr(sys, "_base_executable", "") or sys.executable
    python = str(job.python)
    if uv:
        # Without bytecode each start of a server compiles what it imports, which takes as long as all the rest of it.
        uv_install = (uv, "pip", "install", "--compile-bytecode", "--python")
        return (uv, "venv", "--no-project", "--python", base, str(job.venv)), (*uv_install, python)
    pip = (python, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-user", "--compile")
    return (base, "-P", "-m", "venv", str(job.venv)), pip
