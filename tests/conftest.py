"""Skips tests that do not belong to this system, and reports results of a run beside its verdict."""

import signal
import time
from collections.abc import Iterator

import pytest

from tests import gates
from tests.leftovers import end_leftovers
from tests.systems import NOT_ON, SYSTEM, not_here

BEGAN, FAILED = pytest.StashKey[float](), pytest.StashKey[bool]()

gates.register_profiles()

collect_ignore_glob = [*NOT_ON.get(SYSTEM, {})]

# A shell ignores SIGINT for background jobs, which every process of a test would inherit. The tests press Ctrl-C, so
# the default is restored.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


# Before `-m` selects by the markers that are added here.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item], config: pytest.Config) -> None:
    """Skip, visibly, the tests that do not belong here; mark the gates; put long tests first."""
    gates.longest_first(items)
    for item in items:
        gates.mark(item)
        reason = not_here(item) or gates.not_asked_for(item, config.option.markexpr)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Note when a test began, and whether it failed."""
    item.stash[BEGAN] = time.time()
    outcome = yield
    item.stash[FAILED] = outcome.excinfo is not None and not isinstance(outcome.excinfo[1], pytest.skip.Exception)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """End processes that a failed test started and did not end; its fixtures run first."""
    yield
    if item.stash.get(FAILED, False):
        factory = getattr(item.config, "_tmp_path_factory", None)
        assert isinstance(factory, pytest.TempPathFactory)
        for command in end_leftovers(item.stash[BEGAN], factory.getbasetemp()):
            item.add_report_section("teardown", "left behind", f"ended: {command}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Report what tests recorded as `covered`: how much one run has exercised."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "covered" and report.when == "call":
                terminalreporter.write_line(str(text))
