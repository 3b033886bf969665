"""The real command and daemon, given a configuration that no reader can digest."""

import json

import pytest

from tests.e2e.conftest import MakeHome, toy_config

BREAKS_A_READER = {
    "brackets": "x = " + "[" * 5000,
    "digits": "[kinds.e2e-toy]\ngrace_s = " + "9" * 6000,
    "hexadecimal": "[kinds.e2e-toy]\ngrace_s = 0x" + "f" * 6000,
    "parts": "a." * 20_000 + "b = 1",
    "size": "#" * (3 * 1024 * 1024),
}


@pytest.mark.parametrize("text", BREAKS_A_READER.values(), ids=BREAKS_A_READER)
def test_no_command_breaks_with_its_configuration(make_home: MakeHome, text: str) -> None:
    home = make_home(toy_config())
    file = home.folders.config
    file.write_text(text)
    for words in (("config", "validate"), ("start",), ("up", "e2e-toy"), ("kinds",)):
        code, error = home.refused(*words)
        assert (code, error["data"]["code"]) == (1, "CONFIG_INVALID")
        assert str(file) in error["message"]
    assert home.daemon_processes() == []


def test_a_reload_keeps_the_old_configuration(make_home: MakeHome) -> None:
    home = make_home(toy_config())
    home.start()
    for text in BREAKS_A_READER.values():
        home.folders.config.write_text(text)
        assert home.refused("config", "reload")[1]["data"]["code"] == "CONFIG_INVALID"
    assert json.loads(home.cli("up", "e2e-toy", "--json").stdout)["state"] == "ready"
