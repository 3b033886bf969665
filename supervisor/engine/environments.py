"""Private environments: one for each package and version, built aside, and published whole or not at all."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from ..core.model import Liveness, ProcessIdentity
from ..errors import InstallFailed, InvalidParams, NotOurs
from ..frozen import frozen
from ..native import private, trust
from ..native.api import ExitWatcher, Probe, ProcessControl
from .installer import Growth, Installer, Job, Progress, StopTree

SCHEMA = 1
LOCK_PAUSE_S = 0.5
BUILDERS = "builders.json"
"""In every build: the daemon and the installers that work on it."""

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_VERSION = re.compile(r"[0-9]([A-Za-z0-9.!+_-]*[A-Za-z0-9])?")


@frozen
class Environment:
    """A published environment. `python` is its interpreter."""

    path: Path
    python: Path
    package: str
    version: str


def key_of(package: str, version: str) -> str:
    """What an environment is published as. Names of packages differ in letters that mean the same."""
    return f"{re.sub(r'[-_.]+', '-', package).lower()}-{version}"


class Environments:
    """Makes and finds private environments under one folder, which several daemons may share.

    `stop_tree` ends an installer and all that it started. `environment` is what installers inherit from, None for the
    daemon's own. `no_progress_s` is how long an installer, or another daemon's build, may show nothing new, seconds.
    """

    def __init__(
        self,
        root: Path,
        processes: ProcessControl,
        exits: ExitWatcher,
        probe: Probe,
        stop_tree: StopTree,
        *,
        environment: Mapping[str, str] | None = None,
        no_progress_s: float = 120.0,
    ) -> None:
        self._root = root.absolute()
        self._probe = probe
        inherited = os.environ if environment is None else environment
        self._installer = Installer(processes, exits, probe, stop_tree, inherited, no_progress_s)
        self._no_progress_s = no_progress_s
        self._builds: dict[str, _Build] = {}

    async def provide(self, package: str, version: str, progress: Progress) -> Environment:
        """The environment with exactly this version, built if need be. Concurrent callers share one build.

        Cancelling the last caller stops the installer; nothing is left behind.

        Raises:
            InvalidParams: the version cannot be one.
            NotOurs: somebody else may write into the folder: what lies there is run.
            InstallFailed: `data.output` has the installer's last lines, `data.versions` what there is instead.
        """
        wanted = _Wanted.checked(package, version)
        problem = trust.problem_of(self._root)
        if problem is not None:
            raise NotOurs(
                f"the folder of environments: {problem}",
                hint=problem.fix or "daemon.environments in config.toml chooses another",
            )
        while True:
            ready = self._published(wanted.key)
            if ready is not None:
                return ready
            build = self._builds.get(wanted.key)
            if build is None:
                build = self._begin(wanted)
            if not build.abandoned:
                return await build.join(progress)
            await asyncio.wait({build.task})

    def ready(self, package: str, version: str) -> Environment | None:
        """The environment with exactly this version, if it is there; nothing is built.

        Raises:
            InvalidParams: the version cannot be one.
        """
        return self._published(_Wanted.checked(package, version).key)

    @property
    def root(self) -> Path:
        """The folder that all of them are in."""
        return self._root

    def known(self) -> list[Environment]:
        """Every published environment whose interpreter is there."""
        return [found for found in self.published() if found.python.exists()]

    def published(self) -> list[Environment]:
        """Every published environment, also one whose interpreter has gone."""
        keys = sorted(path.stem for path in self._root.glob("*.json"))
        return [found for key in keys if (found := self._record(key)) is not None]

    async def discard(self, environment: Environment, unused: Callable[[], bool]) -> bool:
        """Remove a published environment. `unused` is asked at the last moment.

        Returns:
            False: it is used after all, somebody builds it anew, or it is not there any more.

        Raises:
            OSError: the system refused.
        """
        key = key_of(environment.package, environment.version)
        lock = FileLock(self._root / f"{key}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            return False
        try:
            if self._record(key) != environment or not unused():
                return False
            # Nothing was awaited since the question. From here on nobody finds it, so nobody can begin to use it.
            (self._root / f"{key}.json").unlink()
            await asyncio.to_thread(_remove, environment.path)
        finally:
            lock.release()
        return True

    def _published(self, key: str) -> Environment | None:
        found = self._record(key)
        # exists() follows links: an interpreter whose base was removed is broken too.
        return found if found is not None and found.python.exists() else None

    def _record(self, key: str) -> Environment | None:
        """What is published under this key, broken or not. Only folders of ours count."""
        if trust.problem_of(self._root) is not None:
            return None
        content = _read_json(self._root / f"{key}.json")
        texts = [content.get(name) for name in ("path", "python", "package", "version")]
        path, python, package, version = (text if isinstance(text, str) else "" for text in texts)
        if content.get("schema") != SCHEMA or not (python and package and version):
            return None
        # The name is compared too, because `..` also has the root as its parent, and what is recorded may be removed.
        if Path(path).parent != self._root or not re.fullmatch(rf"{re.escape(key)}-[0-9a-f]+", Path(path).name):
            return None
        return Environment(Path(path), Path(python), package, version)

    def _begin(self, wanted: "_Wanted") -> "_Build":
        build = _Build()
        build.task = asyncio.get_running_loop().create_task(self._build(wanted, build.tell))
        self._builds[wanted.key] = build

        def done(task: asyncio.Task[Environment]) -> None:
            self._builds.pop(wanted.key, None)
            if not task.cancelled():
                task.exception()  # Somebody has asked: without a waiter left, asyncio would complain.

        build.task.add_done_callback(done)
        return build

    async def _build(self, wanted: "_Wanted", tell: Progress) -> Environment:
        try:
            trust.make_folder(self._root)
            async with self._alone(wanted, tell):
                ready = self._published(wanted.key)
                if ready is None:
                    await asyncio.to_thread(self._sweep)
                    ready = await self._make(wanted, tell)
                return ready
        except (OSError, trust.DistrustedError) as error:
            hint = f"is there room, and may you write there: {self._root}"
            raise InstallFailed(f"{wanted.requirement} could not be installed: {error}", hint=hint) from error

    @contextlib.asynccontextmanager
    async def _alone(self, wanted: "_Wanted", tell: Progress) -> AsyncIterator[None]:
        lock = FileLock(self._root / f"{wanted.key}.lock")
        growth = Growth(lambda: self._root.glob(f"{wanted.key}-*"), self._no_progress_s)
        while True:
            try:
                lock.acquire(timeout=0)
                break
            except Timeout:
                tell("waiting", f"waiting for another daemon's build of {wanted.requirement}")
            if await growth.stalled():
                raise InstallFailed(
                    f"another daemon's build of {wanted.requirement}: no progress for {self._no_progress_s:g} s",
                    hint=f"if that daemon hangs, end it; it holds {lock.lock_file}",
                )
            await asyncio.sleep(LOCK_PAUSE_S)
        try:
            yield
        finally:
            lock.release()

    async def _make(self, wanted: "_Wanted", tell: Progress) -> Environment:
        job = Job(wanted.package, wanted.version, self._root / f"{wanted.key}-{secrets.token_hex(4)}", tell)
        builders: list[ProcessIdentity] = []

        def note(builder: ProcessIdentity | None) -> None:
            """Write down who works on this build: it is rubbish when all of them are dead, and not before."""
            if builder is not None:
                builders.append(builder)
            named = [{"pid": one.pid, "start_token": one.start_token} for one in builders]
            _write_json(job.folder / BUILDERS, {"schema": SCHEMA, "builders": named})

        job.folder.mkdir()
        try:
            note(self._probe.identify(os.getpid()))
            job.temporary.mkdir()
            await self._installer.install(job, note)
            return await self._publish(job, wanted.key)
        except BaseException:
            await asyncio.to_thread(_remove, job.folder)
            raise

    async def _publish(self, job: Job, key: str) -> Environment:
        before = self._record(key)
        await asyncio.to_thread(_remove_tree, job.temporary)
        content = {
            "schema": SCHEMA,
            "path": str(job.folder),
            "python": str(job.python),
            "package": job.package,
            "version": job.version,
            "created": time.time(),
        }
        await asyncio.to_thread(_write_json, self._root / f"{key}.json", content)
        if before is not None and before.path != job.folder:
            await asyncio.to_thread(_remove, before.path)
        return Environment(job.folder, job.python, job.package, job.version)

    def _sweep(self) -> None:
        """Remove the builds of daemons that are proven dead."""
        for marker in self._root.glob(f"*/{BUILDERS}"):
            builders = _identities(_read_json(marker).get("builders"))
            # Asked in this order: what the dead have not published they never will.
            if builders and all(self._probe.sample(builder) is Liveness.DEAD for builder in builders):
                published = {found.path for found in self.known()}
                if marker.parent not in published:
                    _remove(marker.parent)


class _Build:
    """One build, and everybody who waits for it."""

    task: asyncio.Task[Environment]

    def __init__(self) -> None:
        self._waiting: list[Progress] = []

    @property
    def abandoned(self) -> bool:
        return not self._waiting and (self.task.cancelling() > 0 or self.task.done())

    def tell(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        for progress in tuple(self._waiting):
            progress(stage, message, done, total)

    async def join(self, progress: Progress) -> Environment:
        self._waiting.append(progress)
        try:
            return await asyncio.shield(self.task)
        finally:
            self._waiting.remove(progress)
            if not self._waiting and not self.task.done():
                self.task.cancel()
                await asyncio.wait({self.task})


@frozen
class _Wanted:
    package: str
    version: str
    key: str

    @classmethod
    def checked(cls, package: str, version: str) -> "_Wanted":
        if not _NAME.fullmatch(package):
            raise InvalidParams("package", f"{package!r} is no name of a package")
        if not _VERSION.fullmatch(version):
            raise InvalidParams("version", f"{version!r} is no exact version", hint='ask for one like "4.3.0"')
        return cls(package, version, key_of(package, version))

    @property
    def requirement(self) -> str:
        return f"{self.package}=={self.version}"


def _remove(folder: Path) -> None:
    """Remove a build, its list of builders last: what is left of it can be told to be rubbish again."""
    with contextlib.suppress(OSError):
        for entry in list(folder.iterdir()):
            if entry.is_dir():
                _remove_tree(entry)
            elif entry.name != BUILDERS:
                entry.unlink()
        if [entry.name for entry in folder.iterdir()] in ([], [BUILDERS]):
            _remove_tree(folder)


def _identities(content: Any) -> list[ProcessIdentity]:
    """The builders that were noted; none at all where one cannot be read."""
    try:
        return [ProcessIdentity(int(one["pid"]), str(one["start_token"])) for one in content]
    except (TypeError, KeyError, ValueError):
        return []


def _read_json(path: Path) -> dict[str, Any]:
    """The object in a file; empty where there is none that can be read."""
    try:
        content = json.loads(private.patiently(path.read_bytes))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    temporary.write_text(json.dumps(content), encoding="utf-8")
    try:
        private.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


def _remove_tree(folder: Path) -> None:
    """Remove what can be removed."""
    import shutil

    shutil.rmtree(folder, ignore_errors=True)
