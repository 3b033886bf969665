from dataclasses import replace

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.core.processes.owners import DeadOwner, LivingOwner, Named, NoOwner, UnknownOwner, judge_owner

OWNER = ProcessIdentity(70, "t")
NAMED = Named("70", same_namespace=True, observed=OWNER, readable=True, born=100.0, server_born=200.0)


def test_no_variable_names_no_owner() -> None:
    assert judge_owner(None) == NoOwner()


def test_a_process_older_than_the_server_is_its_owner() -> None:
    assert judge_owner(NAMED) == LivingOwner(OWNER)


def test_one_started_in_the_same_instant_is_its_owner_too() -> None:
    assert judge_owner(replace(NAMED, born=200.0)) == LivingOwner(OWNER)


def test_a_process_younger_than_the_server_has_a_recycled_pid() -> None:
    assert judge_owner(replace(NAMED, born=200.01)) == DeadOwner(70)


def test_a_pid_that_nobody_has_is_a_dead_owner() -> None:
    assert judge_owner(replace(NAMED, observed=None, born=None)) == DeadOwner(70)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", " 70", "70 ", "seventy", "99999999999999999999", "\u0667\u0660", "7.0", "1" * 5000]
)
def test_a_malformed_value_is_an_owner_that_is_not_known(text: str) -> None:
    assert isinstance(judge_owner(replace(NAMED, text=text)), UnknownOwner)


@pytest.mark.parametrize("same", [False, None])
@pytest.mark.parametrize("observed", [None, OWNER])
def test_a_pid_of_another_namespace_says_nothing(same: bool | None, observed: ProcessIdentity | None) -> None:  # noqa: FBT001
    assert isinstance(judge_owner(replace(NAMED, same_namespace=same, observed=observed)), UnknownOwner)


def test_what_the_system_does_not_tell_kills_nobody() -> None:
    assert isinstance(judge_owner(replace(NAMED, readable=False, observed=None)), UnknownOwner)
    assert isinstance(judge_owner(replace(NAMED, born=None)), UnknownOwner)
    assert isinstance(judge_owner(replace(NAMED, server_born=None)), UnknownOwner)
