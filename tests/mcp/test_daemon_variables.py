"""What a daemon inherits that a bridge starts, and in which home it is."""

from pathlib import Path

import pytest

from supervisor.mcp.bridge.daemon_variables import folders_of_login, variables_for_daemon
from supervisor.native.facts import HOME_VARIABLE, Folders
from supervisor.native.startup import login_variables


def test_secrets_of_a_client_do_not_reach_the_daemon() -> None:
    inherited = {"PATH": "p", "HOME": "h", "XDG_RUNTIME_DIR": "x", "lc_all": "C", "HTTPS_PROXY": "y"}
    secret = {"ANTHROPIC_API_KEY": "s", "CLAUDECODE": "1", "GITHUB_TOKEN": "s", "MY_SECRET": "s"}
    assert variables_for_daemon(inherited | secret, {}) == inherited


def test_the_login_completes_what_a_client_lacks() -> None:
    client = {"PATH": "client", "HOME": "h"}
    login = {"PATH": "login", "Path": "login", "DISPLAY": ":0", "UV_INDEX_URL": "u", "EDITOR": "vi"}
    assert variables_for_daemon(client, login) == {**client, "DISPLAY": ":0", "UV_INDEX_URL": "u"}


@pytest.mark.parametrize(
    "name",
    [
        *("UV_PUBLISH_TOKEN", "UV_INDEX_X_PASSWORD", "PIP_API_KEY", "UNITY_MCP_SECRET", "GODOT_SUPERVISOR_AUTH"),
        *("XDG_SESSION_COOKIE", "uv_credentials_dir", "PIP_CLIENT_PASSPHRASE", "UV_PUBLISH_PWD", "UNITY_MCP_PASS"),
    ],
)
def test_names_that_look_secret_are_not_handed_on(name: str) -> None:
    assert variables_for_daemon({name: "s"}, {name: "s"}) == {}


@pytest.mark.parametrize("name", ["XAUTHORITY", "UV_KEYRING_PROVIDER", "PATHEXT", "PYTHONPATH"])
def test_names_that_only_look_similar_are_handed_on(name: str) -> None:
    assert variables_for_daemon({}, {name: "v"}) == {name: "v"}


def test_a_home_that_the_login_names_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = {HOME_VARIABLE: str(tmp_path / "theirs")}
    monkeypatch.setattr(login_variables, "login_variables", lambda: told)
    ours = Folders(tmp_path / "ours", moved=False)
    found = folders_of_login(ours)
    assert (found.home_text, found.moved) == (str(tmp_path / "theirs"), True)
    assert folders_of_login(Folders(tmp_path / "mine", moved=True)).home_text == str(tmp_path / "mine")
    # A daemon has been here.
    ours.home.mkdir()
    ours.endpoint.touch()
    assert folders_of_login(ours) is ours


@pytest.mark.parametrize("told", [{}, {HOME_VARIABLE: ""}, {HOME_VARIABLE: "relative"}])
def test_a_login_without_a_usable_home_changes_nothing(
    told: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(login_variables, "login_variables", lambda: told)
    ours = Folders(tmp_path, moved=False)
    assert folders_of_login(ours) is ours
