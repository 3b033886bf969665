"""The simulation of one seed: it runs the daemons one after the other, lets time pass, and checks the promises."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from supervisor.core.model import ProcessIdentity, ServerRecord
from supervisor.errors import SupervisorError
from supervisor.kinds.queries.loopback import HttpAnswer
from tests.catalogs import catalog_of
from tests.simulation.checks import Checks
from tests.simulation.environments import FakeEnvironments
from tests.simulation.faults import Faults, InjectedError, ViolationError
from tests.simulation.ledger import Asking, Ledger
from tests.simulation.life import Disk, EventListener, Life
from tests.simulation.loop import DaemonKilledError
from tests.simulation.world import EDITOR, World

REQUEST_BOUND_S = 400.0
TURNS_AT_ONCE = 20_000
"""More loop iterations than this without time passing mean that code repeats itself without end."""

_BASE = {"grace_s": 5, "linger_s": 15, "stop_timeout_s": 4, "ready_timeout_s": 6}
_ASKED = {"http": "/status", "port": "http", "version": "version"}
KINDS: dict[str, dict[str, Any]] = {
    "toy": {
        **_BASE,
        "command": ["toy", "{version}", "{http}", "{sessions}"],
        "ports": {"http": "8000-8004", "sessions": "9500-9504"},
        "env": {"TOY_OWNER": "{owner_pid}"},
        "sessions": {"tcp": "sessions"},
        "identify": {**_ASKED, "match": {"name": "toy"}},
        "package": "toy",
        "version": "1.0",
    },
    "solo": {
        **_BASE,
        "command": ["solo", "{version}", "{http}", "{sessions}"],
        "topology": "per-editor",
        "ports": {"http": "8100-8104", "sessions": "9600-9604"},
        "env": {"TOY_OWNER": "{owner_pid}"},
        "sessions": {"tcp": "sessions"},
        "identify": {**_ASKED, "match": {"name": "solo"}},
        "version": "1.0",
        "health_interval_s": 20,
    },
    "plain": {**_BASE, "command": ["plain", "1.0", "{http}"], "ports": {"http": "8003-8007"}},
}


@dataclass
class Request:
    """A request of a client, and its outcome; None while it is not answered."""

    name: str
    what: str
    began: float
    on_accepted: Callable[[], None] = lambda: None
    accepted: int = 0
    outcome: str | None = None
    task: asyncio.Task[None] | None = None
    who: str = "a client"
    asking: Asking | None = None

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:
        pass


class CheckedRequester:
    """The requester of one request, which checks that the request is accepted once, and ends once."""

    def __init__(self, request: Request) -> None:
        self._request = request

    name = "a client"

    def accepted(self, *, request: str, joined: bool, deadline_s: float) -> None:  # noqa: ARG002 (the Protocol's)
        self._request.accepted += 1
        if self._request.accepted > 1 or self._request.outcome is not None:
            raise ViolationError(f"exactly one answer: {self._request} was accepted again")
        self._request.name = request
        self._request.on_accepted()

    def progress(self, stage: str, message: str, done: int | None = None, total: int | None = None) -> None:  # noqa: ARG002
        if self._request.outcome is not None:
            raise ViolationError(f"exactly one answer: progress after the end of {self._request}")


class Simulation:
    """The run of one seed. The same seed plays the same story."""

    def __init__(self, seed: int, folder: Path, *, rates: Mapping[str, float] | None = None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.faults = Faults(self.rng)
        self.faults.rates.update(rates or {})
        self.world = World(self.rng, self.faults)
        self.ledger = Ledger(self.world)
        self.checks = Checks(self.world, self.ledger)
        self.disk = Disk()
        self.folder = folder
        self.projects = [str(folder / name) for name in ("one", "two")]
        for project in self.projects:
            Path(project).mkdir(exist_ok=True)
        self.catalog = catalog_of(KINDS)
        self.life: Life | None = None
        self.requests: list[Request] = []
        self.editors: dict[ProcessIdentity, str | None] = {}
        """Editors that have been started, with their editor ids; None: not attached."""
        self.ended: list[str] = []
        """Names of requests that this daemon has answered."""
        self.steps = 0
        self.story: list[str] = []
        self.outcomes: Counter[str] = Counter()
        self.trouble: ViolationError | None = None

    @contextmanager
    def at_the_edges(self) -> Iterator[None]:
        """Replace, while this lasts, the functions that the engine does not get by its constructor: HTTP, log files,
        environments.
        """

        async def get(port: int, path: str, bearer: str | None, timeout_s: float, **_: object) -> HttpAnswer | None:
            assert self.life is not None
            return await self.life.ask(port, path, bearer, timeout_s)

        def log_for(_spawner: object, server_id: str, launch: str) -> Path:
            assert self.life is not None
            return self.life.log_for(server_id, launch)

        def environments(*_: object, **__: object) -> FakeEnvironments:
            return FakeEnvironments(self.world.installed, self.world.touch)

        with ExitStack() as edges:
            edges.enter_context(patch("supervisor.kinds.queries.identify.http_get", get))
            edges.enter_context(patch("supervisor.engine.processes.spawn.Spawner.log_for", log_for))
            edges.enter_context(patch("supervisor.engine.assembly.Environments", environments))
            yield

    # -- the daemon's lives

    def start_daemon(self) -> None:
        """Start the next daemon on the registry that the last one left."""
        event_listener = EventListener(self._heard)
        if self.world.folder.lock is not None:
            # Another daemon has the home; the program that starts daemons tries again.
            self.world.plan(1.0, self._start_again)
            return
        self.life = life = Life(self.world, self.disk, self.catalog, self.folder, self.rng, self._judge, event_listener)
        life.on_act = lambda what: self._acts(life, what)
        self.expect(life.home_ownership.take(), "a free home can be taken")
        self.ledger.note_new_daemon(self.life)
        with self.life.loop.running():
            self.life.loop.create_task(self._recover(self.life))

    async def _recover(self, life: Life) -> None:
        try:
            await life.begin()
        except InjectedError:
            # The daemon ends with a message, and is started again.
            self.note("recovery failed")
            life.die()
            raise DaemonKilledError from None
        self.ledger.recovered_at = self.world.clock.now
        self.ledger.forget_all_but(life.records.servers)

    def kill_daemon(self, why: str) -> None:
        """Kill the daemon as by SIGKILL; its clients lose their connections, and it is planned to start again."""
        if self.life is None:
            return
        self.note(f"daemon killed: {why}")
        self.life.die()
        self.life.loop.discard_tasks()
        self.life = None
        self.ledger.life = None
        self.ledger.died_at = self.world.clock.now
        self.ledger.asking.clear()
        self.requests.clear()
        self.ended.clear()
        self.world.plan(self.rng.choice((0.0, 0.1, 2.0, 40.0)), self._start_again)

    def _start_again(self) -> None:
        if self.life is None:
            self.start_daemon()

    # -- time

    def run(self, seconds: float, turns: int | None = None) -> None:
        """Let so many seconds pass, or fewer if `turns` loop iterations have run before."""
        end = self.world.clock.now + seconds
        at_once = 0
        while True:
            self.world.happen()
            life = self.life
            if life is not None and not life.alive:
                self.kill_daemon("in a call")
                life = None
            timer = life.loop.next_timer() if life else None
            now = self.world.clock.now
            if life is not None and (life.loop.busy or (timer is not None and timer <= now)):
                self._turn(life)
                at_once += 1
                if at_once > TURNS_AT_ONCE:
                    raise ViolationError(f"the loop spins: {[t.get_name() for t in asyncio.all_tasks(life.loop)]}")
                if turns is not None:
                    turns -= 1
                    if turns <= 0:
                        return
                continue
            nexts = [at for at in (timer, self.world.next_plan()) if at is not None]
            soonest = max(now, min(nexts)) if nexts else end
            if soonest > end:
                self.world.clock.now = max(now, end)
                return
            if soonest > now:
                at_once = 0
            self.world.clock.now = soonest
            if soonest >= end and not (nexts and soonest == min(nexts)):
                return

    def _turn(self, life: Life) -> None:
        with life.loop.running():
            try:
                life.loop.turn()
            except DaemonKilledError:
                life.die()
        if self.trouble is not None:
            raise self.trouble
        if life.alive and self.faults.hit("daemon killed between turns"):
            life.die()

    # -- the story and its checks

    def note(self, what: str) -> None:
        """Add a line to the story."""
        self.story.append(f"{self.steps:6} {self.world.clock.now:10.3f} {what}")

    def _judge(self, target: ProcessIdentity, how: str) -> None:
        try:
            self.ledger.judge(target, how)
        except ViolationError as error:
            self.trouble = self.trouble or error

    def _acts(self, life: Life, what: str) -> None:
        try:
            self.checks.alone(life, what)
        except ViolationError as error:
            self.trouble = self.trouble or error

    def _heard(self, level: str, event: str, fields: Mapping[str, Any]) -> None:
        told = {k: v for k, v in fields.items() if k not in ("seq", "mono", "exc_info", "at")}
        self.note(f"  {event} {told}")
        self.ledger.note_event(event, fields)
        error = fields.get("exc_info")
        if level == "error" and error is not None and not isinstance(error, InjectedError):
            self.trouble = self.trouble or ViolationError(f"no defect: {event}: {error!r}")

    def ask(self, what: str, call: Callable[[], Awaitable[ServerRecord]], request: Request) -> None:
        """Send a request of a client, and note its outcome in the request and the ledger."""
        life = self.life
        assert life is not None
        self.requests.append(request)

        async def perform() -> None:
            try:
                record = await call()
            except SupervisorError as error:
                request.outcome = error.code
                if error.code == "BUSY" and request.accepted and "another project" not in str(error):
                    self.trouble = self.trouble or ViolationError(f"no BUSY after accepted: {what}")
            except InjectedError:
                request.outcome = "injected"
            except asyncio.CancelledError:
                request.outcome = "vanished"
            except Exception as error:  # noqa: BLE001 (told as what it is: a defect)
                request.outcome = "defect"
                self.trouble = self.trouble or ViolationError(f"no defect: {what} ended in {error!r}")
            else:
                request.outcome = "ok"
                if request.asking is not None and not request.asking.withdrawn:
                    self.ledger.own(record.id, request.asking.editor)
                self.ledger.answered(what, request.asking, record)
            if request.asking in self.ledger.asking and request.outcome != "vanished":
                self.ledger.asking.remove(request.asking)
            self.note(f"  {what} ended: {request.outcome}")

        request.task = life.loop.create_task(perform())

    def check(self) -> None:
        """Check every promise. Raises ViolationError."""
        trouble = self.faults.violation or self.trouble
        if trouble is not None:
            raise trouble
        if self.life is not None and not self.life.alive:
            self.kill_daemon("in a call")
        self.checks.after_step(self.life)
        self.ledger.judge_losses()
        now = self.world.clock.now
        for request in self.requests:
            if request.outcome is None and now - max(request.began, self.ledger.gap_at) > REQUEST_BOUND_S:
                raise ViolationError(f"every request ends: {request.what} has not")
            if request.outcome is not None:
                self.outcomes[f"{request.what}: {request.outcome}"] += 1
                self.ended.append(request.name)
        self.requests = [request for request in self.requests if request.outcome is None]
        if self.life is not None:
            if not self.life.operations._operations:
                self.ledger.asking = [r.asking for r in self.requests if r.asking is not None]
            troubles = [text for text in self.life.loop.troubles if "InjectedError" not in text]
            if troubles:
                raise ViolationError(f"no defect: the loop reports {troubles}")

    def expect(self, holds: bool, promise: str) -> None:  # noqa: FBT001 (an assertion)
        """Raises ViolationError unless it holds."""
        if not holds:
            raise ViolationError(promise)

    def living_editors(self) -> list[ProcessIdentity]:
        """Return the living editors, and forget the others."""
        for editor in [editor for editor in self.editors if not self.world.lives(editor)]:
            del self.editors[editor]
        return list(self.editors)

    def any_project(self) -> str | None:
        """Return one of the projects, or none."""
        return self.rng.choice((None, *self.projects))

    def new_editor(self) -> ProcessIdentity:
        """Start an editor."""
        editor = self.world.begin(EDITOR, "godot", "--editor")
        self.editors[editor] = None
        return editor
