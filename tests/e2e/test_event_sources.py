"""The daemon on a system that tells it nothing: a user namespace without inotify."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home, eventually

CAP_BYTES = 50 * 1024 * 1024

LOUD = """
[kinds.loud]
command = ["{python}", "-u", "-c", "import time; [print('x' * 1048575) for _ in range(70)]; time.sleep(600)"]
"""

DEAF = ("unshare", "--user", "--map-root-user", "sh", "-c")
# The limit of this namespace alone. fs.inotify.max_user_instances is the whole machine's.
WITHOUT_INOTIFY = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'


@pytest.fixture
def deaf(make_home: MakeHome) -> Home:
    """A home whose daemon runs where there is no inotify."""
    if subprocess.run([*DEAF, WITHOUT_INOTIFY, "sh", "true"], check=False, capture_output=True).returncode != 0:
        pytest.skip("no user namespaces here")
    home = make_home(toy_config("--talk") + LOUD.format(python=sys.executable))
    started = subprocess.run(
        [*DEAF, WITHOUT_INOTIFY, "sh", sys.executable, "-P", "-m", "supervisor", "start", "--json"],
        env=home.environment,
        cwd=home.folders.home,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert started.returncode == 0, started.stderr
    return home


def test_without_inotify_a_log_is_capped_followed_and_the_fallback_told(deaf: Home) -> None:
    loud = deaf.up("loud")
    deaf.event("log.cut", server="loud")
    eventually(lambda: Path(loud["log"]).stat().st_size < CAP_BYTES, "the log is capped")
    deaf.up("e2e-toy")
    following = deaf.begin("logs", "e2e-toy", "-f", "-n", "1")
    assert following.stdout is not None
    told = [following.stdout.readline() for _ in range(20)]
    assert [line.split()[0] for line in told[1:]] == ["line"] * 19
    status = json.loads(deaf.cli("status", "--json").stdout)
    [note] = [note for note in status["daemon"]["notes"] if "looking" in note]
    assert "Too many open files" in note
    assert "are noticed by looking" in deaf.cli("status").stdout
    deaf.cli("down", "e2e-toy")
    assert following.wait(30) == 0
    assert following.stderr is not None
    assert "the server has ended" in following.stderr.read()
