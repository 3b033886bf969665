import sys
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from supervisor.native.platforms import open_platform
from tests import cache
from tests.e2e.home import SERVERS, Home
from tests.ports import reach
from tests.privilege import IS_ROOT
from tests.recycling import Recycled, start_as

# Away from the ports of a godot-ai that a developer may be using while the tests run.
GODOT_AI = """
[daemon]
discover = "off"
environments = "{cache}"

[kinds.godot-ai]
ports = {{ http = "{http}", ws = "{ws}" }}
grace_s = {grace}
linger_s = {linger}
"""

TOY = """
[daemon]
discover = "off"

[kinds.e2e-toy]
command = ["{python}", "{server}", "{{http}}", "{{sessions}}"{options}]
ports = {{ http = "{http}", sessions = "{sessions}" }}
env = {{ TOY_OWNER = "{{owner_pid}}" }}
identify = {{ http = "/", match = {{ name = "e2e-toy" }}, version = "version" }}
sessions = {{ tcp = "sessions" }}
url = "http://127.0.0.1:{{http}}/"
topology = "{topology}"
grace_s = {grace}
linger_s = {linger}
stop_timeout_s = {stop_timeout}
ready_timeout_s = 20
"""

MakeHome = Callable[..., Home]
Recycle = Callable[[int], Recycled]


def toy_config(
    *options: str,
    topology: str = "shared",
    grace: float = 0.5,
    linger: float = 1.0,
    stop_timeout: float = 5.0,
    http: str | None = None,
    sessions: str | None = None,
) -> str:
    """A configuration with the small real server as a kind of the user's own."""
    words = "".join(f', "{option}"' for option in options)
    return TOY.format(
        python=sys.executable,
        server=SERVERS / "toy.py",
        options=words,
        topology=topology,
        grace=grace,
        linger=linger,
        stop_timeout=stop_timeout,
        http=http or reach(0),
        sessions=sessions or reach(1),
    )


def godot_ai_config(grace: float = 2, linger: float = 2, http: str | None = None, ws: str | None = None) -> str:
    """A configuration for the real godot-ai, its environment shared by all tests."""
    return GODOT_AI.format(
        cache=cache.environments(), grace=grace, linger=linger, http=http or reach(2), ws=ws or reach(3)
    )


@pytest.fixture(scope="session", autouse=True)
def _mark_folders() -> None:
    """Make the folders of the marks before any server starts: no test waits for marks of older servers."""
    open_platform().marks.prepare()


@pytest.fixture
def make_home(tmp_path: Path) -> Iterator[MakeHome]:
    """Homes with a configuration of their own, closed in the end."""
    made: list[Home] = []

    def make(config: str) -> Home:
        folder = tmp_path / f"h{len(made)}"
        folder.mkdir()
        made.append(Home(folder, config))
        return made[-1]

    yield make
    for home in made:
        home.close()


@pytest.fixture
def toy(make_home: MakeHome) -> Home:
    """A home with the small real server as kind `e2e-toy`."""
    return make_home(toy_config())


@pytest.fixture
def godot_ai(make_home: MakeHome) -> Home:
    """A home for the real godot-ai, its environment shared by all tests."""
    return make_home(godot_ai_config())


@pytest.fixture
def recycle() -> Iterator[Recycle]:
    """Starts a process with the pid of one that has ended and was waited for."""
    if not IS_ROOT:
        # Before anything is begun, because some of these stories stop the daemon.
        pytest.skip("only root can choose a pid")
    made: list[Recycled] = []

    def attempt(pid: int) -> Recycled:
        made.append(start_as(pid, "sleep", "600"))
        return made[-1]

    yield attempt
    for process in made:
        process.end()


def wheel(folder: Path, *versions: str) -> Path:
    """The small server as a package that pip can install, in these versions; without any, in 1.0."""
    folder.mkdir()
    for version in versions or ("1.0",):
        info = f"toy_server-{version}.dist-info"
        with zipfile.ZipFile(folder / f"toy_server-{version}-py3-none-any.whl", "w") as file:
            file.writestr("toy_server.py", (SERVERS / "toy.py").read_text())
            file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: toy-server\nVersion: {version}\n")
            file.writestr(
                f"{info}/WHEEL", "Wheel-Version: 1.0\nGenerator: by hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
            )
            file.writestr(f"{info}/RECORD", f"toy_server.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")
    return folder


@pytest.fixture
def packaged(make_home: MakeHome, tmp_path: Path) -> Home:
    """The small server in a private environment, made from what lies on this disk."""
    config = toy_config().replace(
        f'command = ["{sys.executable}", "{SERVERS / "toy.py"}"',
        'package = "toy-server"\nversion = "1.0"\ncommand = ["{python}", "-m", "toy_server"',
    )
    assert "package" in config
    home = make_home(config)
    wheels = str(wheel(tmp_path / "wheels"))
    home.environment |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": wheels, "UV_NO_INDEX": "1", "UV_FIND_LINKS": wheels}
    return home
