from dataclasses import replace

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.core.processes.owners import DeadOwner, LivingOwner, NoOwner, OwnerCandidate, UnknownOwner, judge_owner

OWNER = ProcessIdentity(70, "t")
NAMED = OwnerCandidate("70", same_namespace=True, process_now=OWNER, readable=True, born=100.0, server_born=200.0)


def test_server_without_the_variable_has_no_owner() -> None:
    assert judge_owner(None) == NoOwner()


def test_process_older_than_the_server_is_its_owner() -> None:
    assert judge_owner(NAMED) == LivingOwner(OWNER)


def test_process_started_in_the_same_instant_is_its_owner() -> None:
    assert judge_owner(replace(NAMED, born=200.0)) == LivingOwner(OWNER)


def test_process_younger_than_the_server_has_a_reused_pid() -> None:
    assert judge_owner(replace(NAMED, born=200.01)) == DeadOwner(70)


def test_unused_pid_is_a_dead_owner() -> None:
    assert judge_owner(replace(NAMED, process_now=None, born=None)) == DeadOwner(70)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", " 70", "70 ", "seventy", "99999999999999999999", "\u0667\u0660", "7.0", "1" * 5000]
)
def test_malformed_value_is_an_unknown_owner(text: str) -> None:
    assert isinstance(judge_owner(replace(NAMED, text=text)), UnknownOwner)


@pytest.mark.parametrize("same", [False, None])
@pytest.mark.parametrize("process_now", [None, OWNER])
def test_pid_of_another_namespace_is_an_unknown_owner(same: bool | None, process_now: ProcessIdentity | None) -> None:  # noqa: FBT001
    assert isinstance(judge_owner(replace(NAMED, same_namespace=same, process_now=process_now)), UnknownOwner)


def test_missing_facts_never_make_an_owner_dead() -> None:
    assert isinstance(judge_owner(replace(NAMED, readable=False, process_now=None)), UnknownOwner)
    assert isinstance(judge_owner(replace(NAMED, born=None)), UnknownOwner)
    assert isinstance(judge_owner(replace(NAMED, server_born=None)), UnknownOwner)
