"""Processes of POSIX systems."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.native.api import ChildCommand
from supervisor.native.posix import processes
from supervisor.native.shared import exit_statuses

RAISE = (
    "import resource; from supervisor.native.platforms import raise_descriptor_limit; "
    "hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]; resource.setrlimit(resource.RLIMIT_NOFILE, (64, hard)); "
    "print(raise_descriptor_limit() == (64, hard), resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 64, "
    "resource.getrlimit(resource.RLIMIT_NOFILE)[1] == hard)"
)


def exited(status: int) -> ProcessIdentity:
    """Return a child that has ended and has not been waited for."""
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", f"raise SystemExit({status})"])
    processes.disown(child)
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    return ProcessIdentity(child.pid, "token")


def test_the_soft_descriptor_limit_is_raised_and_the_old_one_returned() -> None:
    said = subprocess.run([sys.executable, "-c", RAISE], capture_output=True, text=True, check=True)
    assert said.stdout.split() == ["True", "True", "True"]


def test_a_child_is_waited_for_once_and_its_status_kept() -> None:
    children = processes.Children()
    child = exited(3)
    children.add(child)
    children.collect(child)
    with pytest.raises(ChildProcessError):
        os.waitpid(child.pid, os.WNOHANG)
    children.collect(child)
    assert children.exit_status(child) == 3


def test_child_that_other_code_waited_for_has_no_status() -> None:
    children = processes.Children()
    child = exited(3)
    children.add(child)
    os.waitpid(child.pid, 0)
    assert children.exit_status(child) is None


def test_only_recorded_children_are_waited_for() -> None:
    child = exited(3)
    processes.Children().collect(child)
    _, status = os.waitpid(child.pid, os.WNOHANG)
    assert os.waitstatus_to_exitcode(status) == 3


def test_number_of_kept_statuses_is_limited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exit_statuses, "KEPT", 2)
    children = processes.Children()
    ended = [exited(status) for status in (1, 2, 3)]
    for child in ended:
        children.add(child)
        children.collect(child)
    assert [children.exit_status(child) for child in ended] == [None, 2, 3]


@pytest.mark.parametrize(
    ("argv", "folder"),
    [(("no-such-program",), "."), (("true",), "no/such/folder"), (("true", "a\0b"), "."), (("/",), ".")],
)
def test_an_error_names_the_program(argv: tuple[str, ...], folder: str, tmp_path: Path) -> None:
    command = ChildCommand(argv, {"PATH": os.environ["PATH"]}, tmp_path / folder, tmp_path / "log")
    with pytest.raises(OSError, match=argv[0]):
        processes.start_detached(command)


def test_a_log_that_cannot_be_opened_is_an_error_of_that_program(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="true") as caught:
        processes.start_detached(ChildCommand(("true",), {}, tmp_path, tmp_path / "no" / "log"))
    assert caught.value.filename == str(tmp_path / "no" / "log")


def test_an_abandoned_child_is_gone() -> None:
    child = subprocess.Popen(["sleep", "600"])
    processes.abandon(child)
    with pytest.raises(ProcessLookupError):
        os.kill(child.pid, 0)


def test_a_user_without_a_name_is_a_number() -> None:
    assert processes.user_name(0) == "root"
    assert processes.user_name(3_999_999_999) == "3999999999"
