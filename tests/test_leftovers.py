"""A failed test leaves no process behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

from tests.leftovers import HOME_VARIABLE, SLACK_S, end_leftovers

SLEEPER = (sys.executable, "-c", "import time; print('on', flush=True); time.sleep(600)")


def sleeper(home: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, HOME_VARIABLE: str(home)}
    process = subprocess.Popen(SLEEPER, stdout=subprocess.PIPE, text=True, env=environment)
    assert process.stdout
    assert process.stdout.readline().strip() == "on"
    return process


def test_what_was_started_since_then_is_ended(tmp_path: Path) -> None:
    with sleeper(tmp_path / "home") as older:
        # The system tells a start in hundredths of a second.
        time.sleep(4 * SLACK_S)
        since = time.time()
        with sleeper(tmp_path / "home") as newer:
            ended = end_leftovers(since, tmp_path)
            assert newer.wait(10) != 0
        assert any("time.sleep(600)" in command for command in ended)
        assert older.poll() is None
        older.kill()
