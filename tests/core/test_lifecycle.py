import pytest

from supervisor.core.lifecycle import TRANSITIONS, IllegalMoveError, move
from supervisor.core.model import ServerState


def test_every_state_is_in_the_table() -> None:
    assert set(TRANSITIONS) == set(ServerState)


@pytest.mark.parametrize("state", list(ServerState))
@pytest.mark.parametrize("to", list(ServerState))
def test_only_moves_in_the_table_are_legal(state: ServerState, to: ServerState) -> None:
    if to in TRANSITIONS[state]:
        assert move(state, to) is to
    else:
        with pytest.raises(IllegalMoveError, match=f"from {state} to {to}"):
            move(state, to)


def test_stopped_server_can_only_start_again() -> None:
    assert TRANSITIONS[ServerState.STOPPED] == {ServerState.STARTING}
