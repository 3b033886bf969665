"""`config`; all but `reload` work without a daemon."""

from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import ConfigInvalid, KindUnknown
from tests.cli.conftest import Run
from tests.cli.scripted import Script
from tests.systems import POSIX_ONLY

MINE = """
[daemon]
discover = "off"

[kinds.mine]
command = ["x", "{http}"]
ports = { http = "7000-7001" }
env = { KEY = "hidden-value" }
identify = { http = "/", match = { name = "mine" } }
grace_s = 2
"""


@pytest.fixture
def file(home: Path) -> Path:
    path = home / "config.toml"
    path.write_text(MINE)
    return path


def settings(run: Run) -> dict[str, tuple[Any, str]]:
    rows = run("config", "show", "--json").document["settings"]
    return {row["key"]: (row["value"], row["source"]) for row in rows}


def test_path_is_printed_even_without_a_file(run: Run, home: Path) -> None:
    assert run("config", "path").out == f"{home / 'config.toml'}\n"
    assert run("config", "path", "--json").document == {"file": str(home / "config.toml"), "exists": False}


def test_show_has_every_value_with_its_source(
    run: Run, home: Path, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert file.exists()
    monkeypatch.setenv("GODOT_SUPERVISOR_LOG_LEVEL", "debug")
    found = settings(run)
    assert found["daemon.log_level"] == ("debug", "environment")
    assert found["daemon.discover"] == ("off", "file")
    assert found["daemon.event_loop"] == ("auto", "default")
    assert found["daemon.environments"] == (str(home / "environments"), "default")
    assert found["kinds.mine.command"] == (["x", "{http}"], "file")
    assert found["kinds.mine.ports"] == ({"http": "7000-7001"}, "file")
    assert found["kinds.mine.identify"] == ({"http": "/", "port": "http", "match": {"name": "mine"}}, "file")
    assert found["kinds.mine.grace_s"] == (2.0, "file")
    assert found["kinds.mine.linger_s"] == (15.0, "default")
    assert found["kinds.godot-ai.version"][1] == "default"
    assert "kinds.mine.name" not in found


def test_variables_of_the_user_are_hidden(run: Run, file: Path) -> None:
    assert file.exists()
    plain = run("config", "show").out
    assert settings(run)["kinds.mine.env"] == ({"KEY": "(not shown)"}, "file")
    assert "hidden-value" not in plain + run("config", "show", "--json").out
    rows = {line.split()[0]: line.split()[1:] for line in plain.splitlines()}
    assert rows["kinds.mine.env"] == ["file", "KEY", "=", "(not", "shown)"]
    assert rows["kinds.mine.grace_s"] == ["file", "2"]
    assert rows["kinds.mine.url"] == ["default", "-"]
    assert " ".join(rows["kinds.mine.identify"]) == "file http = /, port = http, match = { name = mine }"


def test_show_of_one_kind_has_only_its_settings(run: Run, file: Path) -> None:
    assert file.exists()
    rows = run("config", "show", "mine", "--json").document["settings"]
    assert {row["key"].rpartition(".")[0] for row in rows} == {"kinds.mine"}
    unknown = run("config", "show", "none")
    assert (unknown.code, unknown.out) == (4, "")


def test_show_changed_leaves_the_defaults_out(run: Run, file: Path) -> None:
    assert file.exists()
    rows = run("config", "show", "--changed", "--json").document["settings"]
    keys = {"command", "ports", "env", "identify", "grace_s"}
    assert {row["key"] for row in rows} == {"daemon.discover", *(f"kinds.mine.{key}" for key in keys)}


def test_variables_of_a_built_in_recipe_are_shown(run: Run, home: Path) -> None:
    assert settings(run)["kinds.godot-ai.env"][0]["FASTMCP_SHOW_SERVER_BANNER"] == "false"
    (home / "config.toml").write_text('[kinds.godot-ai.env]\nKEY = "hidden-value"\n')
    assert set(settings(run)["kinds.godot-ai.env"][0].values()) == {"(not shown)"}


def test_validate_accepts_a_good_file_and_no_file(run: Run, home: Path) -> None:
    outcome = run("config", "validate")
    assert (outcome.code, outcome.out) == (0, f"{home / 'config.toml'}: no such file, every setting has its default\n")
    (home / "config.toml").write_text(MINE)
    assert run("config", "validate").out == f"{home / 'config.toml'}: valid\n"
    assert run("config", "validate", "--json").document["valid"] is True


@pytest.mark.parametrize(
    ("text", "key"),
    [("daemon = 3", "daemon"), ("[daemon]\ndiscover = 'x'", "daemon.discover"), ("[kinds.x]\n", "kinds.x.command")],
)
def test_validate_names_the_file_and_the_key_that_are_wrong(run: Run, home: Path, text: str, key: str) -> None:
    (home / "config.toml").write_text(text)
    for command in ("validate", "show"):
        outcome = run("config", command, "--json")
        assert (outcome.code, outcome.out) == (1, "")
        assert (outcome.error["code"], outcome.error["key"]) == ("CONFIG_INVALID", key)
        assert outcome.error["file"] == str(home / "config.toml")
        assert outcome.error["hint"]


def test_reload_reports_what_needs_a_restart(run: Run, daemon: Script) -> None:
    daemon.answers["daemon.reload"] = {"waiting": []}
    assert run("config", "reload").out == "reloaded\n"
    daemon.answers["daemon.reload"] = {"waiting": ["daemon.event_loop"]}
    assert run("config", "reload").out.splitlines() == [
        "reloaded",
        "changed, but used only after a restart of the daemon: daemon.event_loop",
        "to restart it now: godot-supervisor restart --daemon",
    ]
    assert run("config", "reload", "--json").document == {"waiting": ["daemon.event_loop"]}


def test_a_refused_reload_is_explained(run: Run, daemon: Script) -> None:
    daemon.answers["daemon.reload"] = ConfigInvalid("config.toml: daemon.discover: 'x' is not a valid value")
    assert run("config", "reload").code == 1


@POSIX_ONLY
def test_validate_refuses_what_a_start_refuses(run: Run, home: Path) -> None:
    (home / "config.toml").write_text('[daemon]\nevent_loop = "proactor"\n')
    outcome = run("config", "validate", "--json")
    assert (outcome.code, outcome.error["code"]) == (1, "CONFIG_INVALID")


def test_config_commands_name_the_file_that_the_daemon_reads(run: Run, daemon: Script, file: Path) -> None:
    other = "/elsewhere/config.toml"
    daemon.answers["status"] = {"daemon": {"pid": 7, "config": other, "logs": str(file.parent / "logs")}}
    daemon.answers["daemon.reload"] = {"waiting": [], "config": other}
    for words in (["config", "path"], ["config", "show"], ["config", "validate"], ["config", "reload"], ["kinds"]):
        outcome = run(*words)
        assert outcome.code == 0
        assert f"the daemon's configuration file is {other}; in this shell it is {file}" in outcome.err
        assert "godot-supervisor restart --daemon" in outcome.err
    assert run("config", "path", "--json").document["daemon_file"] == other
    daemon.answers["status"] = {"daemon": {"pid": 7, "config": str(file), "logs": str(file.parent / "logs")}}
    assert run("config", "validate").err == ""
    assert "daemon_file" not in run("config", "path", "--json").document


def test_a_kind_in_a_file_the_daemon_does_not_read_is_explained(run: Run, daemon: Script, file: Path) -> None:
    assert file.exists()
    daemon.answers["status"] = {"daemon": {"pid": 7, "config": "/elsewhere/config.toml"}}
    daemon.answers["server.ensure"] = KindUnknown("no kind 'mine'")
    hint = run("up", "mine", "--json").error["hint"]
    assert "/elsewhere/config.toml" in hint
    assert hint.endswith("godot-supervisor restart --daemon")
