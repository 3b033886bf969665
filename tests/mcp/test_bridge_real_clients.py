"""Real clients call tools through the bridge, whatever happens to servers and daemons (tests/lab/clients)."""

import shutil
from pathlib import Path

import pytest

from tests.lab.clients.lab_home import FixtureHome
from tests.lab.clients.matrix import EVENTS, OK, run_client
from tests.lab.clients.subjects import SUBJECTS

pytestmark = [pytest.mark.full, pytest.mark.needs_index, pytest.mark.linux_only, pytest.mark.timeout(600)]

NEEDS_NPM = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not installed")


@pytest.mark.parametrize(
    "name",
    [
        "python-sdk-1",
        "python-sdk-2",
        "fastmcp",
        pytest.param("typescript-sdk", marks=NEEDS_NPM),
        pytest.param("claude", marks=NEEDS_NPM),
    ],
)
def test_real_clients_keep_their_server(tmp_path: Path, name: str) -> None:
    subject = SUBJECTS[name]
    subject.install()
    home = FixtureHome(tmp_path)
    try:
        cells = list(run_client(subject, home, EVENTS))
    finally:
        home.close()
    assert [cell for cell in cells if not cell.outcome.startswith(OK)] == []
