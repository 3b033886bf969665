from pathlib import Path

import pytest

from supervisor.mcp.bridge.project import find_project, find_project_in_roots, path_of


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


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///home/u/my%20game", "/home/u/my game"),
        ("file://localhost/g", "/g"),
        ("file:/g", "/g"),
        ("FILE:///g%C3%A9", "/g\u00e9"),
        ("file:///g\u00e9", "/g\u00e9"),
        ("file:///a%23b#c", "/a#b"),
        ("file:///a%FFb", "/a\udcffb"),
        ("file:///a%00b", None),
        ("file://server/share", None),
        ("file:g", None),
        ("https://example.org/g", None),
        ("/g", None),
        ("", None),
    ],
)
def test_uris_name_paths(uri: str, path: str | None) -> None:
    assert path_of(uri, drives=False) == path


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("file:///C:/g/My%20Game", "C:\\g\\My Game"),
        ("file:///c%3A/g", "c:\\g"),
        ("file:///C|/g", "C:\\g"),
        ("file:///C:", "C:\\"),
        ("file://C:/g", "C:\\g"),
        ("file://localhost/C:/g", "C:\\g"),
        ("file://server/share/g", "\\\\server\\share\\g"),
        ("file:////server/share", "\\\\server\\share"),
        ("file:///D:/%E6%BC%A2", "D:\\\u6f22"),
        ("file:///home/u", None),
    ],
)
def test_uris_name_paths_of_windows(uri: str, path: str | None) -> None:
    assert path_of(uri, drives=True) == path


def test_the_first_root_in_a_project_counts(game: Path, tmp_path: Path) -> None:
    other = tmp_path / "other g"
    other.mkdir()
    (other / "project.godot").touch()
    roots = [tmp_path.as_uri(), "nonsense", "file:///a%00", (game / "addons").as_uri(), other.as_uri()]
    assert find_project_in_roots(roots) == str(game)
    assert find_project_in_roots([other.as_uri()]) == str(other.resolve())
    assert find_project_in_roots([tmp_path.as_uri()]) is None


def test_a_path_that_no_message_can_carry_is_no_project(tmp_path: Path) -> None:
    assert find_project(f"{tmp_path}/\udcff", {}) is None
