import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import InvalidParams
from supervisor.wire import fields
from supervisor.wire.fields import Length, Range


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Inner:
    pid: Annotated[int, Range(1, 100)]
    note: str | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    text: str
    count: int
    ratio: float
    flag: bool
    inner: Inner
    colour: Colour
    word: Literal["one", "two"]
    maybe: Inner | None = None
    many: tuple[Inner, ...] = ()
    words: tuple[str, ...] = ()
    ports: Mapping[str, Annotated[int, Range(1, 65535)]] | None = None
    short: Annotated[str, Length(1, 3)] = "abc"


@dataclass(frozen=True, slots=True)
class Empty:
    pass


@dataclass(frozen=True, slots=True)
class Unreadable:
    strange: set[int]


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
INNERS = st.builds(Inner, pid=st.integers(1, 100), note=st.none() | TEXT)
OUTERS = st.builds(
    Outer,
    text=TEXT,
    count=st.integers(),
    ratio=st.floats(allow_nan=False, allow_infinity=False),
    flag=st.booleans(),
    inner=INNERS,
    colour=st.sampled_from(Colour),
    word=st.sampled_from(["one", "two"]),
    maybe=st.none() | INNERS,
    many=st.lists(INNERS, max_size=3).map(tuple),
    words=st.lists(TEXT, max_size=3).map(tuple),
    ports=st.none() | st.dictionaries(TEXT.filter(bool), st.integers(1, 65535), max_size=3),
    short=TEXT.filter(lambda text: 0 < len(text) <= 3),
)
GOOD: dict[str, Any] = {
    "text": "t",
    "count": 1,
    "ratio": 0.5,
    "flag": True,
    "inner": {"pid": 5},
    "colour": "red",
    "word": "one",
}


def problem(value: object, cls: type[Any] = Outer) -> str:
    with pytest.raises(InvalidParams) as caught:
        fields.decode(cls, value)
    return str(caught.value)


@given(OUTERS)
def test_a_dataclass_survives_the_wire(outer: Outer) -> None:
    assert fields.decode(Outer, fields.encode(outer)) == outer


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*GOOD, "maybe", "many", "pid"]), inner),
        max_leaves=12,
    )
)
def test_hostile_values_are_typed_errors(value: object) -> None:
    with contextlib.suppress(InvalidParams):
        decoded = fields.decode(Outer, {**GOOD, **value} if isinstance(value, dict) else value)
        assert fields.decode(Outer, fields.encode(decoded)) == decoded


def test_defaults_replace_missing_fields() -> None:
    assert fields.decode(Outer, GOOD) == Outer("t", 1, 0.5, True, Inner(5), Colour.RED, "one")


def test_unknown_fields_are_ignored() -> None:
    assert fields.decode(Inner, {"pid": 5, "future": {"a": []}}) == Inner(5)


def test_an_optional_field_may_be_null() -> None:
    assert fields.decode(Inner, {"pid": 5, "note": None}) == Inner(5)


def test_a_whole_number_is_accepted_for_a_float() -> None:
    ratio = fields.decode(Outer, {**GOOD, "ratio": 2}).ratio
    assert (ratio, type(ratio)) == (2.0, float)


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("text", 5, "text: expected a string of 0 to 4096 characters, got the number 5"),
        ("text", "x" * 5000, "text: expected a string of 0 to 4096 characters, got a string of 5000 characters"),
        ("text", "a\0b", "text: has a NUL character or a lone surrogate"),
        ("text", "\ud800", "text: has a NUL character or a lone surrogate"),
        ("count", True, "count: expected a whole number, got true"),
        ("count", 1.5, "count: expected a whole number, got the number 1.5"),
        ("count", float("inf"), "count: expected a whole number, got a huge number"),
        ("count", "1", "count: expected a whole number, got a string of 1 characters"),
        ("ratio", False, "ratio: expected a number, got false"),
        ("ratio", 10**400, "ratio: expected a number, got a huge number"),
        ("ratio", None, "ratio: expected a number, got null"),
        ("flag", 1, "flag: expected true or false, got the number 1"),
        ("inner", [], "inner: expected an object, got an array"),
        ("inner", {"pid": 0}, "inner.pid: expected a whole number from 1 to 100, got the number 0"),
        ("inner", {}, "inner.pid: missing; expected a whole number from 1 to 100"),
        ("many", [{"pid": 1}, {"pid": "x"}], "many[1].pid: expected a whole number from 1 to 100, got a string"),
        ("many", {}, "many: expected an array, got an object"),
        ("colour", "green", "colour: expected one of red, blue, got a string of 5 characters"),
        ("word", "three", "word: expected one of one, two, got a string of 5 characters"),
        ("ports", {"http": 70000}, "ports.http: expected a whole number from 1 to 65535, got the number 70000"),
        ("ports", {"": 1}, "ports, a key: expected a string of 1 to 128 characters, got a string of 0 characters"),
        ("ports", [], "ports: expected an object, got an array"),
        ("short", "abcd", "short: expected a string of 1 to 3 characters, got a string of 4 characters"),
    ],
)
def test_a_wrong_field_is_named_with_expected_and_actual_value(field: str, value: object, said: str) -> None:
    assert problem({**GOOD, field: value}).startswith(said)


def test_a_float_without_fraction_is_accepted_as_whole_number() -> None:
    count = fields.decode(Outer, {**GOOD, "count": 2.0}).count
    assert (count, type(count)) == (2, int)
    assert problem({**GOOD, "inner": {"pid": 101.0}}).startswith("inner.pid: expected a whole number from 1 to 100")


def test_params_that_are_no_object_are_refused() -> None:
    assert problem([1]) == "params: expected an object, got an array"


def test_a_wrong_string_is_not_quoted() -> None:
    assert "hunter2" not in problem({**GOOD, "count": "hunter2"})


def test_encoded_values_are_json_ready() -> None:
    outer = Outer(
        "t", 1, 0.5, True, Inner(5), Colour.RED, "one", Inner(6), (Inner(7),), ("a",), MappingProxyType({"http": 80})
    )
    assert fields.encode(outer) == {
        "text": "t",
        "count": 1,
        "ratio": 0.5,
        "flag": True,
        "inner": {"pid": 5, "note": None},
        "colour": "red",
        "word": "one",
        "maybe": {"pid": 6, "note": None},
        "many": [{"pid": 7, "note": None}],
        "words": ["a"],
        "ports": {"http": 80},
        "short": "abc",
    }


def test_a_dataclass_without_fields_is_an_empty_object() -> None:
    assert fields.encode(Empty()) == {}
    assert fields.decode(Empty, {"x": 1}) == Empty()


def test_a_value_that_is_no_dataclass_is_not_encoded() -> None:
    with pytest.raises(TypeError):
        fields.encode({"a": 1})


def test_an_unreadable_hint_fails_at_preparation() -> None:
    with pytest.raises(TypeError, match="set"):
        fields.prepare(Unreadable)
