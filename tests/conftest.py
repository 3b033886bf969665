"""The one place where tests are left out because of the system; and what a run has to say beside its verdict."""

import signal

import pytest

from tests.systems import NOT_ON, SYSTEM, not_here

collect_ignore_glob = [*NOT_ON.get(SYSTEM, {})]

# A shell ignores SIGINT for what it starts in the background, and every process that a test starts would inherit that:
# the tests press Ctrl-C, and see what it does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip, visibly, what does not belong to this system."""
    for item in items:
        reason = not_here(item)
        if reason is not None:
            item.add_marker(pytest.mark.skip(reason=reason))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What a test recorded as `covered`: how much one run has been through."""
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        for name, text in report.user_properties:
            if name == "covered" and report.when == "call":
                terminalreporter.write_line(str(text))
