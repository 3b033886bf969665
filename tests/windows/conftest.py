"""The whole daemon on Windows, with real processes. Wine must be a release that tells the owners of listeners."""

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.ports import reach

if sys.platform == "win32":
    from tests.windows.home import WindowsHome

    MakeHome = Callable[[str], WindowsHome]
else:
    collect_ignore_glob = ["*.py"]

SERVERS = Path(__file__).parent.parent / "e2e" / "servers"

# Literal strings: the paths have backslashes.
TOY = """
[daemon]
discover = "off"

[kinds.e2e-toy]
command = ['{python}', '{server}', '{{http}}', '{{sessions}}'{options}]
ports = {{ http = "{http}", sessions = "{sessions}" }}
env = {{ TOY_OWNER = "{{owner_pid}}" }}
identify = {{ http = "/", match = {{ name = "e2e-toy" }}, version = "version" }}
sessions = {{ tcp = "sessions" }}
url = "http://127.0.0.1:{{http}}/"
grace_s = 0.5
linger_s = 1
stop_timeout_s = 1
ready_timeout_s = 30
"""


def toy_config(*options: str) -> str:
    """Return a configuration with the small real server as a kind of the user."""
    words = "".join(f", '{option}'" for option in options)
    return TOY.format(python=sys.executable, server=SERVERS / "toy.py", options=words, http=reach(0), sessions=reach(1))


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator["MakeHome"]:
    """Make homes with a configuration of their own, and close them at the end."""
    made: list[WindowsHome] = []

    def make(config: str) -> WindowsHome:
        folder = tmp_path / f"h{len(made)}"
        folder.mkdir()
        made.append(WindowsHome(folder, config))
        return made[-1]

    yield make
    for home in made:
        home.close()


@pytest.fixture
def toy(make_home: "MakeHome") -> "WindowsHome":
    """Make a home with the small real server as kind `e2e-toy`."""
    return make_home(toy_config())
