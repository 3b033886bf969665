import pytest

from supervisor.client.timeouts import MARGIN_S, SILENCE_S, CallTimeout


def call_timeout(timeout_s: float | None = None) -> CallTimeout:
    return CallTimeout(100, accept_timeout_s=2, timeout_s=timeout_s)


def test_the_wait_for_accepted_is_short() -> None:
    assert call_timeout().deadline == 102
    assert call_timeout().timeout_error("server.ensure").code == "ACCEPT_TIMEOUT"
    assert call_timeout().disconnection_error("server.ensure").code == "DISCONNECTED_BEFORE_ACCEPT"


def test_progress_does_not_replace_accepted() -> None:
    waiting = call_timeout()
    waiting.note_progress(101.9, "installing")
    assert waiting.deadline == 102


def test_three_missed_heartbeats_end_an_accepted_call() -> None:
    waiting = call_timeout()
    waiting.note_accepted(101, deadline_s=180)
    assert waiting.deadline == 101 + SILENCE_S
    waiting.note_progress(110, "starting")
    assert waiting.deadline == 110 + SILENCE_S
    problem = waiting.timeout_error("server.ensure")
    assert problem.code == "RESPONSE_TIMEOUT"
    assert "silent" in problem.message
    assert waiting.disconnection_error("server.ensure").code == "DISCONNECTED_AFTER_ACCEPT"


def test_heartbeats_do_not_move_the_deadline() -> None:
    waiting = call_timeout()
    waiting.note_accepted(100, deadline_s=20)
    for now in range(105, 126, 5):
        waiting.note_progress(now, "waiting")
    assert waiting.deadline == 120 + MARGIN_S
    problem = waiting.timeout_error("server.ensure")
    assert problem.code == "RESPONSE_TIMEOUT"
    assert "silent" not in problem.message


def test_an_installation_does_not_count_towards_the_deadline() -> None:
    waiting = call_timeout()
    waiting.note_accepted(100, deadline_s=20)
    waiting.note_progress(600, "installing")
    waiting.note_progress(610, "waiting")
    assert waiting.deadline == 620 + MARGIN_S


@pytest.mark.parametrize("accepted", [False, True])
def test_the_callers_limit_holds_in_both_phases(*, accepted: bool) -> None:
    waiting = call_timeout(timeout_s=1)
    if accepted:
        waiting.note_accepted(100, deadline_s=180)
        waiting.note_progress(100.5, "installing")
    assert waiting.deadline == 101
    assert waiting.timeout_error("x").code == ("RESPONSE_TIMEOUT" if accepted else "ACCEPT_TIMEOUT")
