"""The real system's refusals to run a program, explained."""

import asyncio
import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.core.symptoms import Diagnosis
from supervisor.engine.processes.spawn_errors import explain_spawn_error
from supervisor.native.api import ChildCommand
from supervisor.native.platforms import open_platform
from tests.systems import POSIX_ONLY
from tests.wine import IS_WINDOWS


@pytest.fixture
def refused(tmp_path: Path) -> Callable[..., Diagnosis]:
    """Return the diagnosis for a command that the system refuses to run."""

    def run(*argv: str) -> Diagnosis:
        command = ChildCommand(argv, dict(os.environ), tmp_path, tmp_path / "log")

        async def spawn() -> Diagnosis:
            with pytest.raises(OSError, match="cannot start") as caught:
                open_platform().processes.spawn(command)
            return explain_spawn_error(caught.value, command)

        return asyncio.run(spawn())

    return run


def script(folder: Path, text: str, mode: int = 0o755) -> str:
    path = folder / "script.sh"
    path.write_bytes(text.encode())
    path.chmod(mode)
    return str(path)


@POSIX_ONLY
@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("#!/opt/none/python\n", "its interpreter /opt/none/python does not exist"),
        ("#! /opt/none/python -u\n", "its interpreter /opt/none/python does not exist"),
        ("#!/bin/sh\r\nexit 0\r\n", "carriage return (CRLF)"),
        ("echo hello\n", "not a script with a #! line"),
        ("", "not a script with a #! line"),
    ],
)
def test_script_that_cannot_be_run_says_what_is_wrong_with_it(
    refused: Callable[..., Diagnosis], tmp_path: Path, text: str, problem: str
) -> None:
    assert problem in refused(script(tmp_path, text)).problem


@POSIX_ONLY
def test_script_without_the_right_to_run_names_chmod(refused: Callable[..., Diagnosis], tmp_path: Path) -> None:
    told = refused(script(tmp_path, "#!/bin/sh\n", 0o644))
    assert "it is not executable" in told.problem
    assert "chmod +x" in (told.advice or "")


def test_folder_as_program_is_named_as_one(refused: Callable[..., Diagnosis], tmp_path: Path) -> None:
    assert "it is a folder" in refused(str(tmp_path)).problem


@pytest.mark.parametrize(
    ("program", "problem"),
    [
        ("~/server", "~ is not expanded"),
        ("$HOME/server", "variables are not expanded"),
        ("./no-server", "where servers run"),
        ("no-such-program", "no such program in the daemon's PATH"),
    ],
)
def test_missing_program_names_where_it_was_searched(
    refused: Callable[..., Diagnosis], program: str, problem: str
) -> None:
    told = refused(program)
    assert problem in told.problem
    assert told.advice == "write the whole path"


def test_command_in_one_word_gets_advice_to_split_it(refused: Callable[..., Diagnosis]) -> None:
    shell = "cmd" if IS_WINDOWS else "sh"
    told = refused(f"{shell} server.sh", "--port", "1")
    assert "is one word" in told.problem
    assert told.advice == f'write command = ["{shell}", "server.sh", "--port", "1"]'


def test_a_missing_interpreter_is_reported_once(tmp_path: Path) -> None:
    program = script(tmp_path, "#!/opt/none/python\n")
    command = ChildCommand((program,), dict(os.environ), tmp_path, tmp_path / "log")
    error = OSError(errno.ENOENT, f"cannot start {program!r}: No such file: its interpreter '/opt/none/python'")
    assert explain_spawn_error(error, command).problem.count("its interpreter") == 1
