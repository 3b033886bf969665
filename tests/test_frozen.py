from dataclasses import FrozenInstanceError, field

import pytest

from supervisor.values import frozen


@frozen
class Greeting:
    """Whom it is for."""

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
    """Its stamp is nobody's business, and what it says is not shown."""

    words: str = field(repr=False)
    stamp: int = field(default=0, compare=False)


@frozen
class Sealed:
    """Shows itself its own way."""

    words: str

    def __repr__(self) -> str:
        return "Sealed"


def test_what_a_field_says_of_itself_is_kept_to() -> None:
    assert Letter("hello", 1) == Letter("hello", 2)
    assert hash(Letter("hello", 1)) == hash(Letter("hello", 2))
    assert repr(Letter("hello", 1)) == "Letter(stamp=1)"


def test_what_a_class_has_of_its_own_is_kept() -> None:
    assert repr(Sealed("hello")) == "Sealed"
    assert Sealed("hello") == Sealed("hello")
