"""How the MCP bridge begins and ends on Windows: no console, launchers in between, a killed client."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.e2e.home import SERVERS, eventually
from tests.mcp.bridge_client import BridgeClient
from tests.ports import reach
from tests.windows.conftest import MakeHome
from tests.windows.home import WindowsHome, end, lives
from tests.windows.test_bridge import SMALL
from tests.wine import WINE

END_S = 5.0
"""A bridge ends within two seconds; a busy machine takes longer to let it."""

# An AI client without a console, as programs with windows are. It hands over a pipe whose other end it does not hold.
CLIENT = """
import ctypes, json, os, subprocess, sys
reader, writer = os.pipe()
os.set_inheritable(writer, True)
holder = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"], close_fds=False)
bridge = subprocess.Popen(sys.argv[2:], stdin=reader, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
console = ctypes.windll.kernel32.GetConsoleWindow()
os.write(writer, b'{"jsonrpc":"2.0","id":1,"method":"ping"}\\r\\n')
answer = bridge.stdout.readline().decode()
with open(sys.argv[1], "w") as report:
    report.write(json.dumps({"bridge": bridge.pid, "holder": holder.pid, "console": console, "answer": answer}))
bridge.wait()
"""


@pytest.fixture
def small(make_home: MakeHome) -> WindowsHome:
    """A home for the small MCP server."""
    return make_home(SMALL.format(python=sys.executable, server=SERVERS / "mcp_server.py", http=reach(0)))


class GuiClient:
    """An AI client without a console, and the bridge that it started by these words."""

    def __init__(self, home: WindowsHome, report: Path, *words: str) -> None:
        program = report.with_suffix(".py")
        program.write_text(CLIENT)
        self.process = home.run(
            *(sys.executable, str(program), str(report), *words),
            creationflags=subprocess.DETACHED_PROCESS,
            cwd=home.project(),
        )
        eventually(lambda: report.exists() and report.read_text().endswith("}"), "the bridge answers")
        self.report: dict[str, Any] = json.loads(report.read_text())
        self.bridges = [each.pid for each in psutil.process_iter() if _is_bridge(each)]


def _is_bridge(process: psutil.Process) -> bool:
    try:
        return "mcp" in process.cmdline() and "python" in process.name()
    except psutil.Error:
        return False


@pytest.fixture
def environment(small: WindowsHome) -> Path:
    """The interpreter of a virtual environment, which is a launcher of the real one."""
    folder = small.folders.home.parent / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    packages = next(path for path in sys.path if path.endswith("site-packages"))
    (folder / "Lib" / "site-packages" / "all.pth").write_text(packages)
    return folder / "Scripts" / "python.exe"


def test_it_ends_with_a_killed_client_that_has_no_console(small: WindowsHome, tmp_path: Path) -> None:
    client = GuiClient(small, tmp_path / "report", sys.executable, "-P", "-m", "supervisor", "mcp", "small")
    assert json.loads(client.report["answer"]) == {"jsonrpc": "2.0", "id": 1, "result": {}}
    assert client.report["console"] == 0
    end(client.process.pid)
    eventually(lambda: not lives(client.report["bridge"]), "the bridge ends", END_S)
    end(client.report["holder"])


def test_it_ends_with_a_killed_client_behind_launchers(small: WindowsHome, environment: Path, tmp_path: Path) -> None:
    words = ("cmd.exe", "/c", str(environment), "-P", "-m", "supervisor", "mcp", "small")
    client = GuiClient(small, tmp_path / "report", *words)
    # cmd, the environment's launcher, and the interpreter.
    assert client.report["bridge"] not in client.bridges
    assert len(client.bridges) >= 1
    end(client.process.pid)
    eventually(lambda: not any(lives(pid) for pid in client.bridges), "the bridge ends", END_S)
    eventually(lambda: not lives(client.report["bridge"]), "its launcher ends", END_S)
    end(client.report["holder"])


def test_a_bridge_starts_everything_without_a_window(small: WindowsHome) -> None:
    """The input has CRLF, and the path of the project is not ASCII."""
    folder = Path(small.project()) / "Spiel \u00e9\u6f22"
    folder.mkdir()
    (folder / "project.godot").touch()
    client = BridgeClient("small", environment=small.environment, folder=str(folder))
    try:
        client.write(b'\r\n{"jsonrpc":"2.0","id":"crlf","method":"ping"}\r\n')
        assert client.answer("crlf")["result"] == {}
        client.begin()
        assert client.tool("write", word="\u00e9\u6f22")["content"][0]["text"] == "\u00e9\u6f22"
        assert str(folder) in json.dumps(small.call("status"), ensure_ascii=False).replace("\\\\", "\\")
        server = small.server("small")
        assert server is not None
        assert [has_visible_console(pid) for pid in (small.daemon_pid(), server["process"]["pid"])] == [False, False]
        if WINE:
            # Without a display Wine shows no window at all. Its consoles tell whether they would have one.
            consoles = [each.cmdline() for each in psutil.process_iter() if "conhost" in each.name().lower()]
            assert len(consoles) >= 2
            assert all("--headless" in words for words in consoles)
        assert client.close() == 0
    finally:
        client.kill()


# A program without a console attaches to that of a process. It has to have one: programs that it starts would each get
# a window otherwise.
LOOK = """
import ctypes, sys
kernel, user = ctypes.windll.kernel32, ctypes.windll.user32
if not kernel.AttachConsole(int(sys.argv[1])):
    sys.exit("no console")
window = kernel.GetConsoleWindow()
print(int(bool(window and user.IsWindowVisible(window))))
"""


def has_visible_console(pid: int | None) -> bool:
    """Return whether the window of a process's console is seen."""
    looked = subprocess.run(
        [sys.executable, "-c", LOOK, str(pid)],
        creationflags=subprocess.DETACHED_PROCESS,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return bool(int(looked.stdout))
