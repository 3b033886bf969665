import pytest

from supervisor.core.restarting import EXITS_ALLOWED, STABLE_S, At, GiveUp, exits_in_a_row, next_start


def test_the_first_exit_is_followed_at_once() -> None:
    assert next_start(1, 0.9) == At(0.0)


@pytest.mark.parametrize(("exits", "pause"), [(2, 0.5), (3, 1.0), (4, 2.0)])
def test_later_ones_after_pauses_that_double(exits: int, pause: float) -> None:
    assert next_start(exits, 0.0) == At(pause)
    spread = next_start(exits, 1.0)
    assert isinstance(spread, At)
    assert pause < spread.pause_s <= pause * 1.2


def test_the_fifth_is_given_up() -> None:
    assert isinstance(next_start(EXITS_ALLOWED, 0.0), GiveUp)


def test_a_stable_time_forgives_what_was_before() -> None:
    assert exits_in_a_row(4, STABLE_S) == 1
    assert exits_in_a_row(3, STABLE_S - 1) == 4
