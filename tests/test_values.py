from dataclasses import FrozenInstanceError, field

import pytest

from supervisor.values import frozen


@frozen
class Greeting:
    """The receiver of the greeting."""

    to: str
    words: tuple[str, ...] = ()


@frozen
class Farewell:
    """The same fields in another class."""

    to: str
    words: tuple[str, ...] = ()


def test_values_of_one_class_with_equal_fields_are_equal_and_hash_alike() -> None:
    assert Greeting("you", ("hello",)) == Greeting("you", ("hello",))
    assert hash(Greeting("you", ("hello",))) == hash(Greeting("you", ("hello",)))
    assert Greeting("you") != Greeting("me")


def test_values_of_two_classes_are_never_equal() -> None:
    assert Greeting("you") != Farewell("you")
    assert Greeting("you") != ("you", ())


def test_a_value_shows_its_fields() -> None:
    assert repr(Greeting("you", ("hello",))) == "Greeting(to='you', words=('hello',))"


def test_a_value_is_frozen_and_has_no_room_for_more() -> None:
    greeting = Greeting("you")
    with pytest.raises(FrozenInstanceError):
        greeting.to = "me"  # type: ignore[misc]
    assert not hasattr(greeting, "__dict__")


@frozen
class Letter:
    """A letter: its stamp is not compared, and its text is not shown."""

    words: str = field(repr=False)
    stamp: int = field(default=0, compare=False)


@frozen
class Sealed:
    """A class with a `__repr__` of its own."""

    words: str

    def __repr__(self) -> str:
        return "Sealed"


def test_field_options_are_respected() -> None:
    assert Letter("hello", 1) == Letter("hello", 2)
    assert hash(Letter("hello", 1)) == hash(Letter("hello", 2))
    assert repr(Letter("hello", 1)) == "Letter(stamp=1)"


def test_own_methods_of_a_class_are_kept() -> None:
    assert repr(Sealed("hello")) == "Sealed"
    assert Sealed("hello") == Sealed("hello")
