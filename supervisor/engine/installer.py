"""Runs the installer of one private environment: uv where there is one, else venv and pip."""

import asyncio
import contextlib
import os
import re
import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from ..core.model import Liveness, ProcessIdentity
from ..errors import InstallFailed
from ..kinds.versions import versions_offered
from ..native import facts, search_path
from ..native.api import Command, ExitWatcher, Probe, ProcessControl

LOOK_EVERY_S = 0.25
WEIGH_EVERY_S = 5.0
LINES_SHOWN = 20

StopTree = Callable[[ProcessIdentity], Awaitable[None]]
Started = Callable[[ProcessIdentity], None]

# Each would put the packages elsewhere, or nowhere. Indexes, proxies and certificates pass.
_ELSEWHERE = ("VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_USER", "PIP_DRY_RUN")
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
    """One build at work: its folder, and what its installers have said so far."""

    package: str
    version: str
    folder: Path
    tell: Progress
    lines: list[str] = field(default_factory=list)
    uv_cache: Path | None = None
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
        return self.venv / ("Scripts/python.exe" if facts.SYSTEM == "windows" else "bin/python")

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

    def failure(self, message: str, output: list[str] | None = None) -> InstallFailed:
        """What went wrong, in the installers' words: `output`, else the last ones."""
        said = [*self.lines, *filter(None, [self._rest.decode(errors="replace")])]
        text = "\n".join(said)
        versions = versions_offered(self.package, text)
        if versions:
            hint = "there is: " + ", ".join(versions[-LINES_SHOWN:])
        elif "ensurepip" in text:
            hint = "this Python makes no environments: install its venv package (python3-venv), or uv"
        else:
            hint = "can the package index be reached? PIP_* and UV_* variables of the daemon say which one is asked"
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

    def __init__(self, tops: Callable[[], Iterable[Path]], patience_s: float) -> None:
        self._tops = tops
        self._patience_s = patience_s
        self._weight: tuple[int, int] | None = None
        self._grown = self._weighed = asyncio.get_running_loop().time()

    async def stalled(self) -> bool:
        """Whether nothing new was seen for the whole patience. To be asked again and again."""
        now = asyncio.get_running_loop().time()
        if self._weight is None or now - self._weighed > min(WEIGH_EVERY_S, self._patience_s / 4):
            before, self._weight = self._weight, await asyncio.to_thread(lambda: _weigh(self._tops()))
            self._weighed = now
            self._grown = now if self._weight != before else self._grown
        return now - self._grown > self._patience_s


class Installer:
    """Runs installers, and sees that they get on.

    `stop_tree` ends an installer and all that it started. `environment` is what installers inherit from.
    `no_progress_s` is how long one may neither say nor write anything, seconds.
    """

    def __init__(
        self,
        processes: ProcessControl,
        exits: ExitWatcher,
        probe: Probe,
        stop_tree: StopTree,
        environment: Mapping[str, str],
        no_progress_s: float,
    ) -> None:
        self._processes = processes
        self._exits = exits
        self._probe = probe
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
        job.tell("installing", f"making an environment for {job.requirement}")
        if uv and await self._run(job, (uv, "cache", "dir"), started) == 0 and job.lines:
            job.uv_cache = Path(job.lines.pop())
        if await self._run(job, make, started) != 0:
            raise job.failure(f"no environment for {job.requirement} could be made")
        job.tell("installing", job.requirement)
        if await self._run(job, (*install, job.requirement), started) == 0 and job.python.exists():
            return
        failure = job.failure(f"{job.requirement} could not be installed")
        if uv and not failure.data["versions"]:
            # uv says that a version is missing, not which ones there are, unless nothing at all can match.
            await self._run(job, (*install, "--dry-run", f"{job.package}>{'9' * 9}"), started)
            failure = job.failure(failure.message, failure.data["output"])
        raise failure

    async def _run(self, job: Job, argv: tuple[str, ...], started: Started) -> int | None:
        """Run an installer to its end. Its exit status, None where that is unknown."""
        command = Command(argv, self._inherited(job), job.folder, job.log)
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
                before, weight = weight, await asyncio.to_thread(job.weigh)
                last_weighed = clock()
                last_sign = last_weighed if weight != before else last_sign
            if clock() - last_sign > self._no_progress_s:
                raise job.failure(f"installing {job.requirement}: no progress for {self._no_progress_s:g} s")

    def _inherited(self, job: Job) -> dict[str, str]:
        kept = {
            name: value
            for name, value in self._environment.items()
            if name not in _ELSEWHERE and not search_path.of_the_interpreter(name)
        }
        temporary = str(job.temporary)
        own = {"TMPDIR": temporary, "TMP": temporary, "TEMP": temporary, "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}
        return {**kept, **own}


def _commands(job: Job, uv: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """How to make the virtual environment, and how to install into it (less what)."""
    # The interpreter below the daemon's own environment: that one may be removed, or upgraded, under ours.
    base = getattr(sys, "_base_executable", "") or sys.executable
    python = str(job.python)
    if uv:
        return (uv, "venv", "--no-project", "--python", base, str(job.venv)), (uv, "pip", "install", "--python", python)
    pip = (python, "-P", "-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--no-user")
    return (base, "-P", "-m", "venv", str(job.venv)), pip
