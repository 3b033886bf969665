from typing import Any

import pytest

from supervisor.kinds.answer_values import MISSING, equal, flattened, path_of, value_at

SAID: dict[str, Any] = {"info": {"name": "x", "a.b": 1}, "servers": [{"name": "one"}], "error": None}


@pytest.mark.parametrize(
    ("text", "steps"),
    [("name", ("name",)), ("info.name", ("info", "name")), (r"a\.b.c", ("a.b", "c")), (r"a\\.b", ("a\\", "b"))],
)
def test_dotted_path_is_read_step_by_step(text: str, steps: tuple[str, ...]) -> None:
    assert path_of(text) == steps


@pytest.mark.parametrize("text", ["", ".", "a.", ".a", "a..b", "a\\"])
def test_path_without_a_key_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no path of keys"):
        path_of(text)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("info.name", "x"),
        (r"info.a\.b", 1),
        ("servers.0.name", "one"),
        ("error", None),
        ("info.other", MISSING),
        ("info.name.x", MISSING),
        ("servers.1", MISSING),
        ("servers.name", MISSING),
        ("info.a.b", MISSING),
    ],
)
def test_value_is_found_by_its_path(path: str, value: object) -> None:
    assert value_at(SAID, path) is value or value_at(SAID, path) == value


@pytest.mark.parametrize(
    ("expected", "said", "same"),
    [
        (True, True, True),
        (True, 1, False),
        (1, True, False),
        (False, 0, False),
        (2, 2.0, True),
        (2, "2", False),
        ("x", "x", True),
        (None, None, True),
        (None, False, False),
        (None, MISSING, False),
        ([1, "a"], [1, "a"], True),
        ([1], [True], False),
        ([1], [1, 2], False),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": 1}, {"a": 1, "b": 2}, False),
    ],
)
def test_json_values_are_compared_with_their_types(expected: object, said: object, same: bool) -> None:  # noqa: FBT001
    assert equal(expected, said) is same


def test_nested_tables_become_paths() -> None:
    assert flattened({"name": "x", "info": {"ok": True, "more": {"n": 1}}}) == {
        "name": "x",
        "info.ok": True,
        "info.more.n": 1,
    }


@pytest.mark.parametrize("value", [float("nan"), object(), "a\0b", [object()]])
def test_value_that_json_never_has_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match="name: an answer in JSON never has"):
        flattened({"name": value})
