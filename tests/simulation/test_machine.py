"""The same world, driven by hypothesis: it chooses the steps, and shrinks a story that breaks a promise."""

import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path

import hypothesis.strategies as st
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from tests.gates import examples
from tests.simulation.driver import Simulation
from tests.simulation.play import ACTIONS, RARE, Action, calm, step

_NAMED: dict[str, Action] = {action.__name__: action for action in (*ACTIONS, *RARE, calm)}


class Machine(RuleBasedStateMachine):
    """Every rule is one step; every invariant is checked in it."""

    @initialize(seed=st.integers(0, 2**32))
    def begin(self, seed: int) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="simulation-"))
        self.edges = ExitStack()
        self.sim = Simulation(seed, self.folder)
        self.edges.enter_context(self.sim.at_the_edges())
        self.sim.start_daemon()

    @rule(action=st.sampled_from(sorted(_NAMED)))
    def act(self, action: str) -> None:
        step(self.sim, _NAMED[action])

    def teardown(self) -> None:
        if not hasattr(self, "sim"):
            return
        try:
            calm(self.sim)
        finally:
            if self.sim.life is not None:
                self.sim.life.die()
                self.sim.life.loop.discard_tasks()
            self.edges.close()
            shutil.rmtree(self.folder)


Machine.TestCase.settings = settings(
    max_examples=examples(150),
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
test_hypothesis_finds_no_story_that_breaks_a_promise = Machine.TestCase
