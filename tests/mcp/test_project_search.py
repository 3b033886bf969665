"""The search for the project in the client's roots: the bridge goes on while a file system takes its time."""

import os
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest

from supervisor.mcp.bridge import run
from supervisor.native.facts import HOME_VARIABLE, folders
from tests.e2e.home import eventually
from tests.mcp.test_loop import close_bell


def test_the_last_roots_count_whichever_is_found_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    is_there = threading.Event()

    def find(roots: Iterable[str]) -> str:
        [root] = roots
        assert root != "slow" or is_there.wait(30)
        return root

    sink = os.open(os.devnull, os.O_WRONLY)
    monkeypatch.setattr(run, "find_project_in_roots", find)
    monkeypatch.setattr(run, "redirect_stdout", lambda: sink)
    bridge = run.McpBridge("small", None, folders({HOME_VARIABLE: str(tmp_path)}), lambda _: False)
    try:
        for root in ("slow", "quick"):
            bridge._find_project((root,))
        posted = bridge._loop._posted
        eventually(lambda: len(posted) == 1, "the quick root is found")
        posted.popleft()()
        assert (bridge._project, bridge._daemon.project) == ("quick", "quick")
        is_there.set()
        eventually(lambda: posted, "the slow root is found")
        posted.popleft()()
        assert bridge._project == "quick"
    finally:
        is_there.set()
        close_bell(bridge._loop._bell)
        os.close(sink)
