"""The whole engine under every fault that the world knows. A failing seed plays again with one command."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.gates import rest_in_full
from tests.simulation import clients
from tests.simulation.faults import RATES
from tests.simulation.play import ACTIONS, STEPS_OF_A_STORY, Tally, play

BUDGET_S = 120.0
STEPS, FULL_STEPS = 10_000, 100_000
RELOADED_STORIES = 8
ROOT = Path(__file__).parents[2]

FAULTS_FROM_OUTSIDE = {
    "client cancelled",
    "client vanished",
    "clock gap",
    "adopted by a second home",
    "daemon killed",
    "disk full",
    "editor launched by a server",
    "environment broken",
    "event source lost",
    "home taken",
    "home vanished",
    "identification silent",
    "identification slow",
    "pid recycled",
    "port stolen",
    "process died",
    "reboot",
    "registry lost",
    "server under a shell",
    "foreign server",
    "wall clock set",
    "write torn",
}


@pytest.mark.parametrize("steps", rest_in_full([STEPS, FULL_STEPS]))
@pytest.mark.timeout(600)
def test_every_promise_holds_after_every_step(record_property: Callable[[str, object], None], steps: int) -> None:
    tally, began, seed = Tally(), time.process_time(), 0
    while tally.steps < steps and time.process_time() - began < BUDGET_S:
        seed += 1
        play(seed, STEPS_OF_A_STORY, tally)
    record_property("covered", f"simulation, {time.process_time() - began:.0f} s of CPU: {tally.text()}")
    assert tally.steps >= steps / 10
    if steps == FULL_STEPS:
        assert set(RATES) | FAULTS_FROM_OUTSIDE == set(tally.faults)


@pytest.mark.full
def test_every_promise_holds_while_projects_are_reloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Editors start the next ones, which attach late or never: orphans wait for them, and go in time."""
    monkeypatch.setitem(ACTIONS, clients.reload_project, 12)
    tally = Tally()
    for seed in range(1, RELOADED_STORIES + 1):
        play(seed, STEPS_OF_A_STORY, tally)
    assert tally.faults["project reloaded"] > RELOADED_STORIES


def test_a_seed_plays_the_same_story_in_another_process() -> None:
    stories = []
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-m", "tests.simulation", "7", "--steps", "120"]
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True)
        stories.append([line for line in done.stdout.splitlines() if not line.endswith("failed")])
    assert len(stories[0]) > 200
    assert stories[0] == stories[1]


@pytest.mark.soak
@pytest.mark.timeout(0)
def test_every_promise_holds_in_a_soak(
    record_property: Callable[[str, object], None], pytestconfig: pytest.Config
) -> None:
    if "soak" not in pytestconfig.option.markexpr:
        pytest.skip("asked for with -m soak")
    tally, began = Tally(), time.monotonic()
    seed = int(os.environ.get("SOAK_SEED", "1000000"))
    while time.monotonic() - began < float(os.environ.get("SOAK_SECONDS", "3600")):
        seed += 1
        play(seed, STEPS_OF_A_STORY, tally)
    record_property("covered", f"soak, to seed {seed}: {tally.text()}")
