"""Processes that begin with state that a careless program left behind."""

import json
import os
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from typing import Any

import pytest

SEEN = """
import json, os, resource, signal, sys
from supervisor.native.startup import inherited
getattr(inherited, sys.argv[1])()
numbers = signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}
mask = os.umask(0)
print(json.dumps({
    "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())),
    "ignored": sorted(n for n in numbers if signal.getsignal(n) is signal.SIG_IGN),
    "umask": mask, "limits": [resource.getrlimit(n) for n in (resource.RLIMIT_CPU, resource.RLIMIT_FSIZE)],
    "niceness": os.getpriority(os.PRIO_PROCESS, 0), "notes": inherited.notes(), "home": os.environ.get("HOME"),
    "config": os.environ.get("XDG_CONFIG_HOME"), "data": os.environ.get("XDG_DATA_HOME"),
}))
"""
PYTHONS = sorted((signal.SIGPIPE, signal.SIGXFSZ))
CONVENTIONS = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}


def ignore_all() -> None:
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_IGN)


def block_all() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())


def after(begin: str, prepare: Callable[[], object], **variables: str) -> dict[str, Any]:
    """Return what a process sees of itself that was prepared before its exec, and then began."""
    done = subprocess.run(
        [sys.executable, "-c", SEEN, begin],
        env={**os.environ, **variables},
        preexec_fn=prepare,
        restore_signals=False,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    seen: dict[str, Any] = json.loads(done.stdout)
    return seen


@pytest.mark.parametrize("begin", ["reset_for_command", "reset_for_daemon"])
def test_no_signal_is_blocked(begin: str) -> None:
    assert after(begin, block_all)["blocked"] == []


def test_a_mask_of_the_starting_thread_is_undone_too() -> None:
    seen: list[dict[str, Any]] = []

    def in_a_thread() -> None:
        block_all()
        seen.append(after("reset_for_daemon", lambda: None))

    thread = threading.Thread(target=in_a_thread)
    thread.start()
    thread.join()
    assert seen[0]["blocked"] == []


def test_the_daemon_ignores_no_signal_but_pythons_own() -> None:
    assert after("reset_for_daemon", ignore_all)["ignored"] == PYTHONS


def test_a_command_ignores_what_shells_ignore_by_convention() -> None:
    assert after("reset_for_command", ignore_all)["ignored"] == sorted({*PYTHONS, *CONVENTIONS})


@pytest.mark.parametrize(("given", "kept"), [(0o777, 0o077), (0o022, 0o022), (0, 0), (0o177, 0o077)])
def test_the_owner_can_always_read_its_files(given: int, kept: int) -> None:
    assert after("reset_for_command", lambda: os.umask(given))["umask"] == kept


def test_soft_limits_are_raised_and_hard_ones_reported() -> None:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_CPU, (100, 1000))
        resource.setrlimit(resource.RLIMIT_FSIZE, (10000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    seen = after("lift_limits", limit)
    assert seen["limits"][0] == [1000, 1000]
    assert seen["limits"][1][0] == seen["limits"][1][1]
    assert any("1000 seconds of CPU time" in note for note in seen["notes"])


def test_niceness_is_undone_or_reported() -> None:
    seen = after("lift_limits", lambda: os.nice(5))
    assert seen["niceness"] == 0 or any(f"niceness of {seen['niceness']}" in note for note in seen["notes"])


def test_relative_base_folders_are_ignored_and_absolute_ones_kept() -> None:
    seen = after("reset_for_command", lambda: None, XDG_CONFIG_HOME="mine", XDG_DATA_HOME="/data")
    assert (seen["config"], seen["data"]) == (None, "/data")


def test_an_empty_home_counts_as_none() -> None:
    assert after("reset_for_command", lambda: None, HOME="")["home"] is None
