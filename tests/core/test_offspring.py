from dataclasses import replace

import pytest

from supervisor.core.model import ProcessIdentity, ProcessRow
from supervisor.core.processes.offspring import Offspring, head, ours
from supervisor.core.processes.proof import Recognised


def who(pid: int) -> ProcessIdentity:
    return ProcessIdentity(pid, f"t{pid}")


def row(pid: int, parent: int) -> ProcessRow:
    return ProcessRow(who(pid), parent, pid)


TOKEN_ONLY = Offspring(who(7), True, seen_below=False, left_over=False, command_fits=False, guarded=False)


def test_launch_token_alone_proves_nothing() -> None:
    assert not isinstance(ours(TOKEN_ONLY), Recognised)


@pytest.mark.parametrize("proof", ["seen_below", "left_over", "command_fits"])
def test_token_and_one_more_fact_prove_a_server(proof: str) -> None:
    seen = replace(TOKEN_ONLY, **{proof: True})
    assert isinstance(ours(seen), Recognised)
    assert not isinstance(ours(replace(seen, guarded=True)), Recognised)
    assert not isinstance(ours(replace(seen, same_user=None)), Recognised)


TABLE = (row(1, 0), row(10, 1), row(11, 10), row(12, 11), row(20, 1))


def test_head_is_the_process_that_all_listeners_come_from() -> None:
    assert head(TABLE, {who(11), who(12)}, {}) == who(11)
    assert head(TABLE, {who(12)}, {}) == who(12)


def test_head_climbs_to_parents_that_run_the_kinds_program() -> None:
    assert head(TABLE, {who(12)}, {who(11): True, who(10): True}) == who(10)
    assert head(TABLE, {who(12)}, {who(11): False, who(10): True}) == who(12)


def test_listeners_that_have_nothing_in_common_have_no_head() -> None:
    assert head(TABLE, {who(12), who(20)}, {who(11): True}) is None
