from pathlib import Path

import pytest

from supervisor.mcp.bridge.daemon_variables import variables_for_daemon
from supervisor.mcp.bridge.project import find_project


@pytest.fixture
def game(tmp_path: Path) -> Path:
    folder = (tmp_path / "game").resolve()
    (folder / "addons" / "x").mkdir(parents=True)
    (folder / "project.godot").touch()
    return folder


def test_the_project_is_the_nearest_folder_above(game: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(game / "addons" / "x")
    assert find_project(None, {}) == str(game)


def test_a_given_project_counts_first(game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(game)
    assert find_project(str(tmp_path), {}) == str(tmp_path.resolve())


def test_a_client_may_name_the_project(game: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert find_project(None, {"CLAUDE_PROJECT_DIR": str(game)}) == str(game)
    assert find_project(None, {}) is None


def test_secrets_of_a_client_do_not_reach_the_daemon() -> None:
    inherited = {"PATH": "p", "HOME": "h", "XDG_RUNTIME_DIR": "x", "lc_all": "C", "HTTPS_PROXY": "y"}
    secret = {"ANTHROPIC_API_KEY": "s", "CLAUDECODE": "1", "GITHUB_TOKEN": "s", "MY_SECRET": "s"}
    assert variables_for_daemon(inherited | secret) == inherited
