import pytest

from supervisor.core.restarting import EXITS_TO_GIVE_UP, STABLE_S, GiveUp, RestartAfter, exits_in_a_row, next_start


def test_first_exit_leads_to_an_immediate_restart() -> None:
    assert next_start(1, 0.9) == RestartAfter(0.0)


@pytest.mark.parametrize(("exits", "pause"), [(2, 0.5), (3, 1.0), (4, 2.0)])
def test_later_restarts_wait_twice_as_long_each_time(exits: int, pause: float) -> None:
    assert next_start(exits, 0.0) == RestartAfter(pause)
    spread = next_start(exits, 1.0)
    assert isinstance(spread, RestartAfter)
    assert pause < spread.pause_s <= pause * 1.2


def test_fifth_exit_is_given_up() -> None:
    assert isinstance(next_start(EXITS_TO_GIVE_UP, 0.0), GiveUp)


def test_stable_time_clears_earlier_exits() -> None:
    assert exits_in_a_row(4, STABLE_S) == 1
    assert exits_in_a_row(3, STABLE_S - 1) == 4
