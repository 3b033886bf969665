"""Loads no more than needed: an import costs every user of the command line time (docs/architecture.md, Weight)."""

import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent


def loaded_by(statement: str) -> set[str]:
    """The modules that this statement loads in a fresh interpreter, which has some already if coverage is measured."""
    program = f"import sys\nbefore = set(sys.modules)\n{statement}\nprint('\\n'.join(set(sys.modules) - before))"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60
    )
    return set(run.stdout.split())


def test_the_daemon_is_light() -> None:
    # asyncio itself imports ssl, so ssl cannot be kept out of the process: rule `weight` keeps it out of our modules.
    loaded = loaded_by("import supervisor.daemon.app")
    assert "supervisor.daemon.app" in loaded
    assert loaded & {"click", "http.client", "urllib.request"} == set()


def test_the_mcp_bridge_answers_before_it_loads_more() -> None:
    loaded = loaded_by(
        "from supervisor.cli import main; import supervisor.mcp.bridge.run, supervisor.mcp.bridge.project"
    )
    assert "supervisor.mcp.core.conversation" in loaded
    assert (
        loaded & {"asyncio", "click", "dataclasses", "h11", "platformdirs", "psutil", "structlog", "subprocess"}
        == set()
    )
    assert [name for name in loaded if name.startswith(("supervisor.client", "supervisor.wire"))] == []


def test_a_client_that_finds_no_daemon_loads_no_loop(tmp_path: Path) -> None:
    loaded = loaded_by(
        f"from supervisor.native import presence; assert presence.ask({tmp_path.name!r} + 'no daemon', 1.0) is None"
    )
    assert "supervisor.native.presence" in loaded
    assert loaded & {"asyncio", "psutil", "structlog", "platformdirs", "h11"} == set()


def test_the_loop_is_not_paid_by_the_front_of_the_command_line() -> None:
    loaded = loaded_by("from supervisor.cli.group import cli; cli.get_command(None, 'status')")
    assert "supervisor.cli.server_commands.status" in loaded
    assert loaded & {"asyncio", "psutil", "structlog", "platformdirs", "h11"} == set()
    assert [name for name in loaded if name.startswith("supervisor.wire.messages.")] == []
