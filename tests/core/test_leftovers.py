from dataclasses import replace

import pytest

from supervisor.core.model import ProcessIdentity, ProcessRow
from supervisor.core.processes.leftovers import LeftoverProcess, common_ancestor, judge_leftover
from supervisor.core.processes.proof import Recognised


def who(pid: int) -> ProcessIdentity:
    return ProcessIdentity(pid, f"t{pid}")


def row(pid: int, parent: int) -> ProcessRow:
    return ProcessRow(who(pid), parent, pid)


TOKEN_ONLY = LeftoverProcess(who(7), True, seen_below=False, in_session=False, command_fits=False, guarded=False)


def test_launch_token_alone_proves_nothing() -> None:
    assert not isinstance(judge_leftover(TOKEN_ONLY), Recognised)


@pytest.mark.parametrize("proof", ["seen_below", "in_session", "command_fits"])
def test_token_and_one_more_fact_prove_a_server(proof: str) -> None:
    seen = replace(TOKEN_ONLY, **{proof: True})
    assert isinstance(judge_leftover(seen), Recognised)
    assert not isinstance(judge_leftover(replace(seen, guarded=True)), Recognised)
    assert not isinstance(judge_leftover(replace(seen, same_user=None)), Recognised)


TABLE = (row(1, 0), row(10, 1), row(11, 10), row(12, 11), row(20, 1))


def test_common_ancestor_is_the_parent_of_all_listeners() -> None:
    assert common_ancestor(TABLE, {who(11), who(12)}, {}) == who(11)
    assert common_ancestor(TABLE, {who(12)}, {}) == who(12)


def test_common_ancestor_may_be_a_parent_that_runs_the_program() -> None:
    assert common_ancestor(TABLE, {who(12)}, {who(11): True, who(10): True}) == who(10)
    assert common_ancestor(TABLE, {who(12)}, {who(11): False, who(10): True}) == who(12)


def test_unrelated_listeners_have_no_common_ancestor() -> None:
    assert common_ancestor(TABLE, {who(12), who(20)}, {who(11): True}) is None
