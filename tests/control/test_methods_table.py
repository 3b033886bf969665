from dataclasses import dataclass

import pytest

from supervisor.control.methods.table import Method, MethodTable, read, table_of
from supervisor.errors import MethodNotFound
from supervisor.wire.messages.session import Ping, PingResult


@dataclass(frozen=True, slots=True)
class Unreadable:
    strange: set[int]


def ping(_params: Ping) -> PingResult:
    return PingResult()


def unreadable(_params: Unreadable) -> PingResult:
    return PingResult()


def test_a_method_is_found_by_its_name() -> None:
    method = Method("ping", Ping, ping)
    assert MethodTable([method]).find("ping") is method
    assert method.answer(Ping()) == PingResult()


def test_an_unknown_method_gets_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(MethodNotFound) as caught:
        MethodTable([Method("ping", Ping, ping)]).find("pong")
    assert caught.value.hint == "there are hello, ping"


def test_two_methods_of_one_name_fail_at_construction() -> None:
    with pytest.raises(ValueError, match="ping"):
        MethodTable([Method("ping", Ping, ping), Method("ping", Ping, ping)])


def test_the_greeting_cannot_be_in_the_table() -> None:
    with pytest.raises(ValueError, match="hello"):
        MethodTable([Method("hello", Ping, ping)])


def test_unreadable_params_fail_at_construction() -> None:
    with pytest.raises(TypeError):
        MethodTable([Method("strange", Unreadable, unreadable)])


class Half:
    @read("ping")
    def _ping(self, _params: Ping) -> PingResult:
        return PingResult()


def test_a_method_without_a_handler_fails_at_construction() -> None:
    with pytest.raises(ValueError, match="differ"):
        table_of(Half())
