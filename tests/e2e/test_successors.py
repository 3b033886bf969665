"""A server waits for the editor that is opening the project of its owner."""

import subprocess
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import eventually, lives

pytestmark = [pytest.mark.linux_only, pytest.mark.full]

STANDS_STILL = "#!/bin/sh\nread -r _\n"


def test_server_waits_for_an_editor_that_is_starting(make_home: MakeHome, tmp_path: Path) -> None:
    """Without an editor that attaches: the program only looks like one."""
    home = make_home(toy_config(grace=0.2, linger=0.2))
    home.start()
    owner, project = home.owner(), home.project()
    home.up("e2e-toy", "--owner-pid", str(owner.pid), "--project", project)
    pid = home.server("e2e-toy")["process"]["pid"]  # type: ignore[index]

    program = tmp_path / "godot"
    program.write_text(STANDS_STILL, encoding="utf-8")
    program.chmod(0o700)
    editor = home.run(str(program), "--path", project, "-e", stdin=subprocess.PIPE)
    owner.kill()
    owner.wait()
    home.event("server.awaits_editor", pid=editor.pid)
    reason = f"an editor of its project is starting: pid {editor.pid}"
    eventually(lambda: reason in home.server("e2e-toy")["reap"]["reasons"], "the reason is shown")  # type: ignore[index]
    assert reason in home.cli("inspect", "e2e-toy").stdout
    assert lives(pid)

    editor.kill()
    editor.wait()
    eventually(lambda: not lives(pid), "the server ends")
