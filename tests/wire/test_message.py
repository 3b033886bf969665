from dataclasses import FrozenInstanceError

import pytest

from supervisor.wire.message import message


@message
class Greeting:
    """Whom it is for."""

    to: str
    words: tuple[str, ...] = ()


@message
class Farewell:
    """The same fields in another class."""

    to: str
    words: tuple[str, ...] = ()


def test_messages_of_one_class_with_equal_fields_are_equal_and_hash_alike() -> None:
    assert Greeting("you", ("hello",)) == Greeting("you", ("hello",))
    assert hash(Greeting("you", ("hello",))) == hash(Greeting("you", ("hello",)))
    assert Greeting("you") != Greeting("me")


def test_messages_of_two_classes_are_never_equal() -> None:
    assert Greeting("you") != Farewell("you")
    assert Greeting("you") != ("you", ())


def test_a_message_shows_its_fields() -> None:
    assert repr(Greeting("you", ("hello",))) == "Greeting(to='you', words=('hello',))"


def test_a_message_is_frozen_and_has_no_room_for_more() -> None:
    greeting = Greeting("you")
    with pytest.raises(FrozenInstanceError):
        greeting.to = "me"  # type: ignore[misc]
    assert not hasattr(greeting, "__dict__")
