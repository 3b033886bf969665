"""Files among the arguments of a command that a start needs."""

from pathlib import Path

import pytest

from supervisor.engine.processes.argument_files import existing_files, find_missing_file, script_of

HERE = Path.cwd().anchor
SCRIPT = str(Path(HERE, "x", "srv.py"))


@pytest.mark.parametrize(
    ("command", "found"),
    [
        (("python3.11", SCRIPT, "8000"), SCRIPT),
        (("/usr/bin/node", SCRIPT), SCRIPT),
        (("C:\\Python\\python.exe", SCRIPT), SCRIPT),
        (("python3", "-m", "srv"), None),
        (("python3", "-u", SCRIPT), None),
        (("ruby", "-I", SCRIPT), None),
        (("bun", "run", SCRIPT), None),
        (("sh", "a-program-of-path"), None),
        (("srv", SCRIPT), None),
        (("python3",), None),
    ],
)
def test_the_script_of_an_interpreter_is_known(command: tuple[str, ...], found: str | None) -> None:
    assert script_of(command) == found


def test_a_script_that_is_gone_is_named(tmp_path: Path) -> None:
    file, settings = tmp_path / "srv.py", tmp_path / "settings"
    command = ("python3", str(file), f"--settings={settings}", str(tmp_path / "never"))
    assert find_missing_file(command, frozenset()) == str(file)
    file.touch()
    settings.touch()
    before = existing_files(command)
    assert before == {str(file), str(settings)}
    assert find_missing_file(command, before) is None
    settings.unlink()
    assert find_missing_file(command, before) == str(settings)


def test_an_argument_that_cannot_be_examined_is_no_file() -> None:
    command = ("srv", HERE + "x" * 5000, HERE + "a\0b", f"--text={HERE}{'y' * 300} and more")
    assert existing_files(command) == frozenset()
    assert find_missing_file(command, frozenset()) is None
