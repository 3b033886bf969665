from dataclasses import dataclass

import pytest

from supervisor.control.method_table import Method, MethodTable
from supervisor.errors import MethodNotFound
from supervisor.wire.messages.session import Ping, PingResult


@dataclass(frozen=True, slots=True)
class Unreadable:
    strange: set[int]


def ping(_params: Ping) -> PingResult:
    return PingResult()


def unreadable(_params: Unreadable) -> PingResult:
    return PingResult()


def test_a_verb_is_found_by_its_method() -> None:
    verb = Method("ping", Ping, ping)
    assert MethodTable([verb]).find("ping") is verb
    assert verb.answer(Ping()) == PingResult()


def test_an_unknown_method_is_a_typed_error_that_names_the_known_ones() -> None:
    with pytest.raises(MethodNotFound) as caught:
        MethodTable([Method("ping", Ping, ping)]).find("pong")
    assert caught.value.hint == "there are hello, ping"


def test_two_verbs_of_one_method_fail_at_construction() -> None:
    with pytest.raises(ValueError, match="ping"):
        MethodTable([Method("ping", Ping, ping), Method("ping", Ping, ping)])


def test_the_greeting_belongs_to_the_connection() -> None:
    with pytest.raises(ValueError, match="hello"):
        MethodTable([Method("hello", Ping, ping)])


def test_params_that_nobody_can_read_fail_at_construction() -> None:
    with pytest.raises(TypeError):
        MethodTable([Method("strange", Unreadable, unreadable)])
