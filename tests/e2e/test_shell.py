"""Commands of a shell that is not the one that started the daemon."""

import os
from pathlib import Path

import pytest

from tests.e2e.conftest import MakeHome, toy_config
from tests.e2e.home import Home


@pytest.fixture
def home(make_home: MakeHome) -> Home:
    """A home with a daemon that was started from a plain shell."""
    home = make_home(toy_config() + '\n[kinds.mine]\ncommand = ["my-program"]\n')
    for name in [name for name in home.environment if name.endswith(("TELEMETRY", "_PROXY", "_proxy"))]:
        del home.environment[name]
    home.start()
    return home


def test_an_opt_out_that_the_daemon_lacks_is_named(home: Home) -> None:
    home.environment["DO_NOT_TRACK"] = "topsecret"
    for words in (("up", "e2e-toy"), ("restart", "e2e-toy")):
        said = home.cli(*words).stderr
        assert "DO_NOT_TRACK is set in this shell but not for the daemon" in said
        assert "restart --daemon" in said
        assert "[kinds.e2e-toy.env]" in said
        assert "topsecret" not in said
    home.cli("restart", "--daemon")
    assert "DO_NOT_TRACK" not in home.cli("restart", "e2e-toy").stderr
    assert "topsecret" not in home.cli("status", "--json").stdout


def test_an_opt_out_of_the_kind_itself_is_no_news(home: Home) -> None:
    home.environment["DO_NOT_TRACK"] = "1"
    config = home.folders.config
    config.write_text(config.read_text().replace("env = { ", 'env = { DO_NOT_TRACK = "1", '))
    assert home.cli("config", "reload").returncode == 0
    assert "DO_NOT_TRACK" not in home.cli("up", "e2e-toy").stderr


def test_a_program_of_this_shells_path_is_found_for_the_user(home: Home, tmp_path: Path) -> None:
    program = tmp_path / "tools" / "my-program"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\nexec sleep 600\n")
    program.chmod(0o755)
    before = home.refused("up", "mine")[1]
    assert "restart --daemon" not in before["data"]["hint"]
    path = home.environment["PATH"]
    home.environment["PATH"] = f"{program.parent}{os.pathsep}{path}"
    code, error = home.refused("up", "mine")
    assert (code, error["data"]["code"]) == (1, "START_FAILED")
    hint = error["data"]["hint"]
    assert hint.startswith(f"{program} is on this shell's PATH but not on the daemon's ({path}): ")
    assert "restart --daemon" in hint
