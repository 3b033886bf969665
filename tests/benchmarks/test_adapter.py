"""The benchmarks' own adapter works. No measured figure is asserted."""

import sys
from pathlib import Path

import pytest

from tests.benchmarks import ours, processes


@pytest.mark.linux_only
def test_children_are_started_restarted_and_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "PROGRAMS", Path(sys.executable).parent)
    peer = ours.Ours(tmp_path)
    try:
        assert peer.start(2) is not None
        assert peer.query() > 0
        peer.await_ready(1)
        assert peer.restart_after_kill(1) is not None
        assert peer.pid_of(1) == peer.newest[1]
        children = list(peer.newest.values())
    finally:
        peer.stop()
    assert [pid for pid in children if processes.started(pid) is not None] == []
