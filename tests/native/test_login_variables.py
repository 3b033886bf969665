"""The variables of the user's login, from stand-ins for what the system has, and from the system itself."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from supervisor.native import facts
from supervisor.native.startup import login_variables
from supervisor.native.startup.login_variables import parse_environment

SystemdSays = Callable[[str], None]


@pytest.fixture
def systemd_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SystemdSays:
    """Put a `systemctl` in the place of the real one. The text is its script."""
    (tmp_path / "run" / "systemd").mkdir(parents=True)
    (tmp_path / "run" / "systemd" / "private").touch()
    monkeypatch.setattr(facts, "user_runtime_folder", lambda: str(tmp_path / "run"))
    monkeypatch.setattr(login_variables, "PATIENCE_S", 0.5)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    def say(script: str) -> None:
        program = tmp_path / "systemctl"
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)

    return say


def asked(given: Mapping[str, str]) -> Mapping[str, str]:
    login_variables._told.cache_clear()
    return login_variables.login_variables(given)


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=plain", "plain"),
        ("A=", ""),
        ("A=with=equals", "with=equals"),
        (r"A=$'it\'s\ttwo\nlines'", "it's\ttwo\nlines"),
        (r"A=$'\\x \x41 \101'", "\\x A A"),
        (r"A=$'caf\303\251'", "caf\u00e9"),
        (r'A="old \"form\" \$x"', 'old "form" $x'),
        ("A=$'", "$'"),
        # Line ends of Unicode, which are not quoted.
        ("A=one\u2028B=two\x85C=three\x0bD=four", "one\u2028B=two\x85C=three\x0bD=four"),
    ],
)
def test_printed_variables_are_read(line: str, value: str) -> None:
    assert parse_environment(f"garbage\n=x\n{line}\n") == {"A": value}


@pytest.mark.linux_only
def test_the_service_manager_tells_the_variables(systemd_says: SystemdSays) -> None:
    systemd_says('[ "$1 $2" = "--user show-environment" ] && echo HOME=/h && echo "DISPLAY=:7"')
    assert asked({"HOME": "/h"}) == {"HOME": "/h", "DISPLAY": ":7"}


@pytest.mark.linux_only
def test_a_process_with_another_home_gets_no_variables(systemd_says: SystemdSays) -> None:
    systemd_says('echo HOME=/h; echo "XDG_CONFIG_HOME=/h/settings"')
    assert asked({"HOME": "/kept-apart"}) == {}


@pytest.mark.linux_only
@pytest.mark.parametrize("script", ["exec sleep 60", "echo HOME=/h; exit 1", "exit 127"])
def test_a_service_manager_that_fails_tells_nothing(systemd_says: SystemdSays, script: str) -> None:
    systemd_says(script)
    begun = time.monotonic()
    assert asked({"HOME": "/h"}) == {}
    assert time.monotonic() - begun < 5


@pytest.mark.linux_only
def test_without_a_service_manager_nothing_is_asked(systemd_says: SystemdSays, tmp_path: Path) -> None:
    systemd_says(f"touch {tmp_path}/asked; echo HOME=/h")
    (tmp_path / "run" / "systemd" / "private").unlink()
    assert asked({"HOME": "/h"}) == {}
    assert not (tmp_path / "asked").exists()


@pytest.mark.skipif(sys.platform != "win32", reason="Windows only")
def test_windows_tells_the_variables_of_a_new_login(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ONLY_HERE", "1")
    found = {name.upper(): value for name, value in asked(os.environ).items()}
    assert found["USERPROFILE"].lower() == os.environ["USERPROFILE"].lower()
    assert "SYSTEMROOT" in found
    assert "ONLY_HERE" not in found
