"""Plays a story: chooses its steps, and checks the promises after each."""

import shutil
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.simulation import ambiguous_origins, clients, events
from tests.simulation.driver import Simulation
from tests.simulation.faults import ViolationError
from tests.simulation.ledger import STARTING_S

STEPS_OF_A_STORY = 250
CALM_S = 100.0

Action = Callable[[Simulation], None]

ACTIONS: dict[Action, int] = {
    clients.attach: 10,
    clients.ensure: 26,
    clients.detach: 4,
    clients.release: 2,
    clients.occupy: 2,
    clients.lease: 6,
    clients.stop: 5,
    clients.restart: 3,
    clients.adopt: 4,
    clients.look: 6,
    clients.again: 3,
    clients.cancel: 6,
    events.process_dies: 12,
    events.pid_recycled: 4,
    events.sessions: 6,
    events.foreign_server: 4,
    events.thief: 3,
    ambiguous_origins.launched_editor: 3,
    ambiguous_origins.under_a_shell: 2,
    ambiguous_origins.second_home: 2,
    events.server_falls_silent: 3,
    events.clock_gap: 1,
    events.wall_clock: 1,
    events.disk: 2,
    events.daemon_killed: 3,
    events.environment_breaks: 2,
    events.event_source: 1,
}
RARE: Mapping[Action, int] = {
    events.reboot: 2,
    events.registry_lost: 1,
    events.shutdown: 4,
    events.home_vanished: 3,
    events.home_taken: 2,
}


def calm(sim: Simulation) -> None:
    """Inject no fault for a while, and check that every request and operation ends in that time."""
    sim.note("calm")
    sim.faults.quiet = True
    sim.disk.full = False
    sim.world.restore_exit_events()
    for manners in sim.world.manners.values():
        manners.silent_until = manners.slow_s = 0.0
    try:
        # Editors that are starting have become too old by its end, and what ends then has ended.
        sim.run(CALM_S + (STARTING_S if sim.ledger.starting else 0.0))
        sim.check()
        if sim.life is not None:
            sim.expect(not sim.requests, f"every request ends: {sim.requests}")
            sim.expect(not sim.life.operations._operations, "the server accepts requests again")
    finally:
        sim.faults.quiet = False


def step(sim: Simulation, action: Action | None = None) -> None:
    """Perform an action (without one, the seed chooses), let time pass, and check every promise."""
    sim.steps += 1
    rng = sim.rng
    if action is None:
        roll = rng.random()
        if roll < 0.008:
            action = calm
        else:
            table = RARE if roll < 0.018 else ACTIONS
            action = rng.choices(list(table), list(table.values()))[0]
    sim.note(action.__name__)
    action(sim)
    pause = rng.random()
    if pause < 0.35:
        sim.run(60.0, turns=rng.randrange(1, 8))
    elif pause < 0.65:
        sim.run(rng.random() * 0.5)
    elif pause < 0.95:
        sim.run(rng.random() * 5.0)
    else:
        sim.run(rng.choice((12.0, 20.0, 35.0)))
    sim.check()


@dataclass
class Tally:
    """What the stories of a run have exercised."""

    stories: int = 0
    steps: int = 0
    virtual_s: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)

    def text(self) -> str:
        """Return the numbers as text for people."""
        steps = f"{self.stories} stories, {self.steps} steps, {sum(self.faults.values())} faults"
        rows = [f"{steps}, {self.virtual_s / 3600:.1f} hours of virtual time"]
        rows += [f"  {number:8} {name}" for name, number in sorted(self.faults.items())]
        rows += [f"  {number:8} {name}" for name, number in sorted(self.outcomes.items())]
        return "\n".join(rows)


class StoryFailedError(AssertionError):
    """A seed has broken a promise. The text has the command that plays it again."""


def play(
    seed: int,
    steps: int = STEPS_OF_A_STORY,
    tally: Tally | None = None,
    *,
    tell: bool = False,
    rates: Mapping[str, float] | None = None,
) -> Simulation:
    """Play a seed to its end.

    Raises:
        StoryFailedError: a promise was broken; the text has the command that shows it again.
    """
    folder = Path(tempfile.mkdtemp(prefix="simulation-"))
    sim = Simulation(seed, folder, rates=rates)
    began = sim.world.clock.now
    try:
        with sim.at_the_edges():
            try:
                sim.start_daemon()
                for _ in range(steps):
                    step(sim)
                calm(sim)
            except ViolationError as error:
                again = f"python -m tests.simulation {seed} --steps {sim.steps}"
                raise StoryFailedError(f"{error}\nseed {seed}, step {sim.steps}; again: {again}") from error
            finally:
                if tell:
                    print("\n".join(sim.story).replace(str(folder), "/p"))  # noqa: T201 (that is what it was asked for)
                if sim.life is not None:
                    sim.life.die()
                    sim.life.loop.discard_tasks()
    finally:
        shutil.rmtree(folder)
    if tally is not None:
        tally.stories += 1
        tally.steps += sim.steps
        tally.virtual_s += sim.world.clock.now - began
        tally.faults += sim.faults.came
        tally.outcomes += sim.outcomes
    return sim
