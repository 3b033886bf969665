"""Files among the arguments of a command that a start needs."""

from pathlib import Path

import pytest

from supervisor.engine.processes.arguments import gone, script


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("python3.11", "/x/srv.py", "8000"), "/x/srv.py"),
        (("/usr/bin/node", "--inspect", "srv.js"), "srv.js"),
        (("C:\\Python\\python.exe", "-u", "srv.py"), "srv.py"),
        (("python3", "-m", "srv"), None),
        (("python3", "-Im", "srv"), None),
        (("sh", "-c", "srv"), None),
        (("node", "-r", "hook", "srv.js"), None),
        (("srv", "/x/y"), None),
        (("python3",), None),
    ],
)
def test_the_script_of_an_interpreter_is_known(command: tuple[str, ...], found: str | None) -> None:
    assert script(command) == found


def test_a_script_that_is_gone_is_named(tmp_path: Path) -> None:
    command = ("python3", "srv.py", str(tmp_path / "never"))
    assert gone(command, tmp_path, frozenset()) == "srv.py"
    (tmp_path / "srv.py").touch()
    assert gone(command, tmp_path, frozenset()) is None
    assert gone(command, tmp_path, frozenset({str(tmp_path / "never")})) == str(tmp_path / "never")
