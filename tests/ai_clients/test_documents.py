"""Editing one entry of a JSON or TOML text: nothing else changes, and a removal restores the text."""

import json
import random
import tomllib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, note, settings
from hypothesis import strategies as st

from supervisor.mcp.ai_clients.documents import json_edit, toml_edit
from supervisor.mcp.ai_clients.documents.hiding import hide_toml
from supervisor.mcp.ai_clients.documents.json_tree import Dialect
from supervisor.mcp.ai_clients.documents.text_edit import DocumentError
from tests.gates import examples

VALUE: dict[str, Any] = {"command": "/home/me/.local/bin/godot-supervisor", "args": ["mcp"]}
JSONC = Dialect()
STRICT = Dialect(comments=False, trailing_commas=False)
PATH = ("mcpServers", "godot")
TOML_PATH = ("mcp_servers", "godot")

JSON_TEXTS = [
    "", "\n", " ", "{}", "{ }", "{\n}",
    "{\r\n}\r\n", "\ufeff{}", '{"a":1}', '{"a":1 }', '{\n  "a": 1\n}', '{\n\t"a": 1\n}\n',
    '{\n    "a": 1\n}', '{"mcpServers":{}}', '{\n  "mcpServers": {}\n}', '{\n  "mcpServers": {\n  }\n}\n',
    '{"mcpServers": {"a": {}}}', '{\n  "mcpServers": {\n    "a": {"command": "x"}\n  },\n  "b": [1, 2]\n}',
    '{\r\n  "mcpServers": {\r\n    "a": {}\r\n  }\r\n}', '{"a": 1, "a": 2}', '{"a": "\\u00e4 // no comment /* */"}',
    '{"n": 1.50, "m": -0, "e": 1E5, "deep": [[{"x": null}]]}', '{"mcpServers": {"a": {}}, "mcpServers": {"b": {}}}',
]  # fmt: skip

JSONC_TEXTS = [
    '{\n  "a": 1 // c\n}', '{\n  "a": 1, // c\n}', "{ // c\n}", "{/* c */}", '{"a": 1 /* c */ }', '{"a": 1,}',
    '{\n  "mcpServers": { // none\n  } /* c */\n}',
    '// head\n{\n  "mcpServers": {\n    "a": {} // x\n    // y\n  },\n}\n',
    '{\n  "mcpServers": {\n    "a": {}, // x\n    // "old": {}\n  }, // z\n  "b": 2 // w\n} // end',
    '{ "a": 1 // c\n }',
]  # fmt: skip

TOML_TEXTS = [
    "", "a = 1", "a = 1\n", "a = 1\n\n", "a = 1\r\n", "\ufeffa = 1\n", "# only a comment", "[x]\na = 1\n\n# end\n",
    "[mcp_servers.a]\ncommand = 'x'\n\n# about z\n[z]\na = 1\n", "mcp_servers = {}\n", "mcp_servers.a.command = 'x'\n",
    "mcp_servers = { a = { command = 'x' } }\n", "[mcp_servers]\na.command = 'x'\n", "[[x]]\na = 1\n[[x]]\na = 2\n",
    "[mcp_servers.a]\ncommand = 'x'\n[z]\na = 1\n[mcp_servers.b]\ncommand = 'y'\n", "a = [\n  1, # one\n  2,\n]\n",
    'a = """\n[mcp_servers.godot]\n"""\n', "a = '''\n]\n'''\nb = 1979-05-27T07:32:00Z\n",
    "[mcp_servers.godotx]\nargs = []\n",
]  # fmt: skip


@pytest.mark.parametrize("text", [*JSON_TEXTS, *JSONC_TEXTS])
def test_a_removal_restores_the_json_text(text: str) -> None:
    edited = json_edit.set_value(text, PATH, VALUE, JSONC)
    found = json_edit.read(edited.text, PATH, JSONC)
    assert found is not None
    assert found[0] == VALUE
    assert json_edit.delete(edited.text, PATH, JSONC, edited.surroundings) == text


@pytest.mark.parametrize("text", JSON_TEXTS)
def test_an_edit_of_json_is_json(text: str) -> None:
    edited = json_edit.set_value(text, PATH, VALUE, STRICT).text
    assert json.loads(edited.removeprefix("\ufeff"))["mcpServers"]["godot"] == VALUE
    assert ("\r\n" in edited, edited.count("\n")) == ("\r\n" in text, edited.count("\r\n" if "\r" in text else "\n"))


@pytest.mark.parametrize("text", TOML_TEXTS)
def test_a_removal_restores_the_toml_text(text: str) -> None:
    edited = toml_edit.set_table(text, TOML_PATH, VALUE)
    found = toml_edit.read(edited.text, TOML_PATH)
    assert found is not None
    assert found[0] == VALUE
    assert toml_edit.delete(edited.text, TOML_PATH, edited.surroundings) == text


def test_a_new_entry_has_the_layout_of_its_neighbours() -> None:
    text = '{\n\t"mcpServers": {\n\t\t"a": {}\n\t}\n}\n'
    assert json_edit.set_value(text, PATH, {"command": "x"}, STRICT).text == (
        '{\n\t"mcpServers": {\n\t\t"a": {},\n\t\t"godot": {\n\t\t\t"command": "x"\n\t\t}\n\t}\n}\n'
    )


def test_a_comment_about_another_entry_stays_with_it() -> None:
    text = '{\n  "mcpServers": {\n    "a": {} // about a\n  }\n}'
    edited = json_edit.set_value(text, PATH, {}, JSONC).text
    assert edited == '{\n  "mcpServers": {\n    "a": {}, // about a\n    "godot": {}\n  }\n}'
    text = "[mcp_servers.godot]\ncommand = 'x'\n\n# about b\n[mcp_servers.b]\ncommand = 'y'\n"
    assert toml_edit.delete(text, TOML_PATH) == "\n# about b\n[mcp_servers.b]\ncommand = 'y'\n"


def test_a_removal_after_other_changes_removes_the_entry_only() -> None:
    edited = json_edit.set_value('{"a": 1}', PATH, {}, STRICT)
    grown = edited.text.replace('"godot": {}', '"godot": {}, "b": {}')
    assert json_edit.delete(grown, PATH, STRICT, edited.surroundings) == '{"a": 1, "mcpServers": {"b": {}}}'
    laid_out_anew = json.dumps(json.loads(edited.text), indent=4)
    left = json_edit.delete(laid_out_anew, PATH, STRICT, edited.surroundings)
    assert left == '{\n    "a": 1\n}'
    text = "[mcp_servers.godot]\ncommand = 'x'\n[mcp_servers.godot.env]\nA = '1'\n\n[mcp_servers.b]\n"
    assert toml_edit.delete(text, TOML_PATH) == "\n[mcp_servers.b]\n"


def test_an_update_keeps_what_a_user_has_added() -> None:
    text = '{"mcpServers": {"godot": {"command": "old", "timeout": 9}}}'
    assert json_edit.set_value(text, (*PATH, "command"), "new", STRICT).text == text.replace("old", "new")
    text = "[mcp_servers.godot]\ncommand = 'old' # mine\nstartup_timeout_sec = 9\n"
    assert toml_edit.set_table(text, TOML_PATH, VALUE).text == (
        '[mcp_servers.godot]\nargs = ["mcp"]\ncommand = "/home/me/.local/bin/godot-supervisor" # mine\n'
        "startup_timeout_sec = 9\n"
    )


@pytest.mark.parametrize("added", ["startup_timeout_sec = 9", "x = 1.5", "x = 1979-05-27", "x = [1, { y = nan }]"])
def test_values_that_a_user_has_added_go_with_the_entry(added: str) -> None:
    edited = toml_edit.set_table("a = 1\n", TOML_PATH, VALUE)
    assert toml_edit.delete(f"{edited.text}{added}\n", TOML_PATH, edited.surroundings) == "a = 1\n"


def test_an_entry_in_an_inline_table_is_updated() -> None:
    text = "[mcp_servers]\ngodot = { command = 'old', startup_timeout_sec = 9 } # mine\nb.command = 'y'\n"
    assert toml_edit.set_table(text, TOML_PATH, VALUE).text == (
        '[mcp_servers]\ngodot = { command = "/home/me/.local/bin/godot-supervisor", startup_timeout_sec = 9, '
        "args = [\"mcp\"] } # mine\nb.command = 'y'\n"
    )


def test_quotation_marks_that_nothing_closes_are_read_once() -> None:
    # Each reading of all that follows would make the effort quadratic: hours.
    with pytest.raises(DocumentError):
        json_edit.read('{"a": 1}/' + '\\"' * 300_000, PATH, JSONC)


def test_a_line_that_looks_like_a_header_is_hidden() -> None:
    shown = {"mcp_servers", "mcp"}
    text = '[mcp_servers.godot]\nx = [\n["secret"],\n[secret]\n]\n'
    assert hide_toml('a = "mcp"\r\nb = "secret"\r\n', shown) == 'a = "mcp"\nb = …\n'
    assert hide_toml(text, shown) == "[mcp_servers.godot]\nx = …\n…\n…\n…\n"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[]", 1), ("null", 1), ('"x"', 1), ('{"mcpServers": null}', 1), ('{\n"mcpServers": []}', 2), ("{", 1),
        ("{a: 1}", 1),
        ('{"a": 1}}', 1), ('{\n"a": NaN}', None), ('{"a": 1,\n}', 1), ('{\n// c\n"a": 1}', 2), ('{"a": "\n"}', 1),
        ("{'a': 1}", 1),
        ("[" * 100_000, None), ('{"a": 1} {"b": 2}', 1),
    ],
)  # fmt: skip
def test_json_that_cannot_be_edited_is_refused_with_its_line(text: str, line: int | None) -> None:
    with pytest.raises(DocumentError) as problem:
        json_edit.set_value(text, PATH, VALUE, STRICT)
    assert line is None or problem.value.line in (line, line + 1)


@pytest.mark.parametrize(
    "text", ["a", "a = ", "[a]\n[a]\n", "mcp_servers = 1", "mcp_servers = []\n", "[[mcp_servers]]\n", "a = 1 b"]
)
def test_toml_that_cannot_be_edited_is_refused(text: str) -> None:
    with pytest.raises(DocumentError):
        toml_edit.set_table(text, TOML_PATH, VALUE)


# --- any document ---

BLANKS = ("", "", " ", "\n", "\n  ", "\t", "\r\n", "  ")
COMMENTS = ("", "", "", "// c, } ]\n", '/* c { " */', "/* a\nb */", '// "x": 1\n')
KEYS = ("a", "b", "mcpServers", "other", "\\u0067odot", "x // y", 'q\\"')
SCALARS = ("1", "-0.50", "1e9", "true", "null", '"// text"', '"\\\\"', '"/* { */"', '"ä"')


class AnyJson:
    """Makes documents with comments, trailing commas and duplicate keys, the same one for the same number."""

    def __init__(self, number: int) -> None:
        self._random = random.Random(number)

    def document(self) -> str:
        return f"{self._space()}{self._object(3)}{self._space()}"

    def _space(self) -> str:
        return self._random.choice(BLANKS) + self._random.choice(COMMENTS) + self._random.choice(BLANKS)

    def _value(self, depth: int) -> str:
        which = self._random.random()
        if depth == 0 or which < 0.3:
            return self._random.choice(SCALARS)
        return self._object(depth - 1) if which < 0.8 else self._list("[", "]", lambda: self._value(depth - 1))

    def _object(self, depth: int) -> str:
        def member() -> str:
            key = f'"{self._random.choice(KEYS)}"'
            return f"{self._space()}{key}{self._space()}:{self._space()}{self._value(depth)}{self._space()}"

        return self._list("{", "}", member)

    def _list(self, opening: str, closing: str, item: Callable[[], str]) -> str:
        items = [item() for _ in range(self._random.randrange(4))]
        comma = f",{self._space()}" if items and self._random.random() < 0.3 else "" if items else self._space()
        return f"{opening}{','.join(items)}{comma}{closing}"


@settings(max_examples=examples(2000))
@given(st.integers(0, 2**64))
def test_install_and_remove_are_the_identity_on_any_json(number: int) -> None:
    text = AnyJson(number).document()
    note(text)
    try:
        edited = json_edit.set_value(text, PATH, VALUE, JSONC)
    except DocumentError as problem:
        # A table of a key that some document uses for something else.
        assert "no object" in str(problem)  # noqa: PT017 (the other outcome is no failure)
        return
    if json_edit.read(text, PATH, JSONC) is None:
        assert json_edit.delete(edited.text, PATH, JSONC, edited.surroundings) == text
        json_edit.delete(edited.text, PATH, JSONC)


LINES = st.sampled_from(
    ["a = 1", "b.c = 'x' # d", "", "# c", "[x]", "[x.y]", "[mcp_servers.a]", "[mcp_servers.b.env]", "[[z]]",
     'e = """\n[q]\n"""',
     "f = [\n 1,\n]", "command = '#'", "[mcp_servers]", "mcp_servers = {}", "g = { h = 1 }", "\t"]
)  # fmt: skip
TOMLS = st.builds(lambda lines, end, last: end.join(lines) + (end if last else ""), st.lists(LINES, max_size=8),
                  st.sampled_from(["\n", "\r\n"]), st.booleans())  # fmt: skip


@settings(max_examples=examples(2000))
@given(TOMLS)
def test_install_and_remove_are_the_identity_on_any_toml(text: str) -> None:
    try:
        before = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        with pytest.raises(DocumentError):
            toml_edit.set_table(text, TOML_PATH, VALUE)
        return
    edited = toml_edit.set_table(text, TOML_PATH, VALUE)
    after = tomllib.loads(edited.text)
    assert after["mcp_servers"].pop("godot") == VALUE
    assert {**before, "mcp_servers": before.get("mcp_servers", {})} == after
    assert toml_edit.delete(edited.text, TOML_PATH, edited.surroundings) == text
