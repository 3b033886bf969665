"""This program is upgraded while a bridge runs: the files that the bridge was started from are replaced."""

import shutil
from pathlib import Path

import pytest

import supervisor
from tests.e2e.home import eventually
from tests.mcp.conftest import Connect
from tests.mcp.home import SmallHome
from tests.mcp.steps import word_of

pytestmark = pytest.mark.linux_only


def threads_of(pid: int) -> int:
    return len([*Path(f"/proc/{pid}/task").iterdir()])


@pytest.mark.full
def test_an_upgrade_does_not_disturb_a_bridge(small: SmallHome, connect: Connect, tmp_path: Path) -> None:
    first = connect(small)
    first.begin()
    assert word_of(first.tool("write", word="first")) == "first"
    eventually(lambda: list(small.folders.home.glob("catalogues/*.json")), "the catalogue is written")
    assert first.close() == 0
    assert small.cli("stop", "--servers").returncode == 0

    copy = tmp_path / "installed" / "supervisor"
    shutil.copytree(Path(supervisor.__file__).parent, copy)
    client = connect(small, "small", PYTHONPATH=str(copy.parent))
    client.begin()
    # The threads that follow the daemon and load modules end, because no daemon runs.
    # A further thread watches the parent.
    eventually(lambda: threads_of(client.process.pid) > 2, "the other threads begin")
    eventually(lambda: threads_of(client.process.pid) == 2, "only the main thread and the watch of the parent are left")
    shutil.rmtree(copy)
    assert word_of(client.tool("write", word="second")) == "second"
    assert client.close() == 0
    assert client.process.stderr is not None
    assert client.process.stderr.read() == b""
