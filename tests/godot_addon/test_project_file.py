"""A plugin is enabled and disabled in the text of a project, and nothing else in it changes."""

from difflib import SequenceMatcher

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.godot_addon.project_file import UneditableError, disable, enable, is_enabled, why_unsuitable

OURS = "res://addons/godot_supervisor/plugin.cfg"
BEGIN = '; Engine configuration file.\n\nconfig_version=5\n\n[application]\n\nconfig/name="A game"\n'
INPUT = (
    '\n[input]\n\njump={\n"deadzone": 0.5,\n"events": [Object(InputEventKey,"resource_name":"[editor_plugins]")]\n}\n'
)
SECTION = '\n[editor_plugins]\n\nenabled=PackedStringArray("res://addons/a/plugin.cfg")\n'
PROJECTS = {
    "no section": BEGIN,
    "another section last": BEGIN + INPUT,
    "a plugin": BEGIN + SECTION,
    "a plugin, more sections": BEGIN + SECTION + INPUT,
    "two plugins": BEGIN + SECTION.replace(")", ', "res://addons/b/plugin.cfg")'),
    "plugins on lines of their own": BEGIN + SECTION.replace('("', '(\n"').replace('")', '",\n"res://b/plugin.cfg"\n)'),
    "an array": BEGIN + SECTION.replace("PackedStringArray(", "[").replace(")", "]"),
    "no plugins": BEGIN + "\n[editor_plugins]\n\nenabled=PackedStringArray()\n" + INPUT,
    "a section without the key": BEGIN + "\n[editor_plugins]\n\nother=1\n" + INPUT,
    "a section with a comment": BEGIN + "\n[editor_plugins] ; mine\n; nothing\n" + INPUT,
    "the name of the section in a text": BEGIN + '\n[x]\n\ny="\n[editor_plugins]\n"\n',
    "comments and odd spaces": "# mine\n" + BEGIN.replace("=", "  =  ") + "\n\n\n; the end\n",
    "a byte order mark": "\ufeff" + BEGIN,
    "an empty file": "",
    "comments between plugins": BEGIN + SECTION.replace('")', '", ; it\'s "b"\n"res://b/plugin.cfg" ; (\n)') + INPUT,
    "no plugin but a comment": BEGIN + "\n[editor_plugins]\n\nenabled=Array[String]([ ; none\n])\n" + INPUT,
    "a colour before": BEGIN + "colour=#ff0000\n" + SECTION,
}


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
@pytest.mark.parametrize("name", PROJECTS)
def test_only_the_plugin_is_added_and_taken_away_again(name: str, line_end: str) -> None:
    text = PROJECTS[name].replace("\n", line_end)
    changed = enable(text, OURS)
    assert is_enabled(changed, OURS)
    assert not is_enabled(text, OURS)
    steps = SequenceMatcher(None, text, changed, autojunk=False).get_opcodes()
    assert {step[0] for step in steps} <= {"equal", "insert"}
    if line_end in text:
        assert changed.count("\n") == changed.count(line_end)
    assert enable(changed, OURS) == changed
    assert disable(changed, OURS) == text
    assert disable(text, OURS) == text


def test_other_plugins_keep_their_order() -> None:
    text = PROJECTS["two plugins"]
    changed = enable(text, OURS)
    assert f'("res://addons/a/plugin.cfg", "res://addons/b/plugin.cfg", "{OURS}")' in changed
    first = changed.replace(f', "{OURS}"', "").replace('("', f'("{OURS}", "')
    assert disable(first, OURS) == text


def test_last_entry_counts_as_in_the_engine() -> None:
    text = BEGIN + SECTION + SECTION.replace("addons/a", "addons/b")
    assert enable(text, OURS).endswith(f'("res://addons/b/plugin.cfg", "{OURS}")\n')


def test_plugin_that_is_named_twice_is_disabled() -> None:
    text = BEGIN + SECTION.replace('("', f'("{OURS}", "{OURS}", "')
    assert disable(text, OURS) == BEGIN + SECTION


@pytest.mark.parametrize(
    ("value", "left"),
    [
        (f'[\n"{OURS}",\n]', "[\n\n]"),
        (f'["{OURS}", ; it\'s\n"res://a"]', '[; it\'s\n"res://a"]'),
        (f'["res://a", ; it\'s\n"{OURS}"]', '["res://a" ; it\'s\n]'),
        (f'["res://a", ; it\'s\n"{OURS}", "res://b"]', '["res://a", ; it\'s\n"res://b"]'),
    ],
)
def test_comments_and_form_of_an_array_stay_when_the_plugin_goes(value: str, left: str) -> None:
    begin = BEGIN + "\n[editor_plugins]\n\nenabled="
    assert disable(f"{begin}{value}\n{INPUT}", OURS) == f"{begin}{left}\n{INPUT}"


def test_plugins_that_an_earlier_entry_names_do_not_come_back() -> None:
    text = BEGIN + SECTION + SECTION.replace("res://addons/a/plugin.cfg", OURS)
    assert disable(text, OURS).endswith("enabled=PackedStringArray()\n")


@pytest.mark.parametrize("text", [BEGIN + "# mine\n", BEGIN + "# mine\n" + SECTION])
def test_line_that_would_swallow_the_section_in_godot_is_refused(text: str) -> None:
    with pytest.raises(UneditableError):
        enable(text, OURS)


def test_file_without_a_last_line_end_gets_one() -> None:
    assert enable("config_version=5", OURS).startswith("config_version=5\n\n[editor_plugins]\n")


@pytest.mark.parametrize(
    "text", [BEGIN + '\n[x]\ny="without an end\n', BEGIN + "\n[editor_plugins]\nenabled=wrong\n", BEGIN + "\nx=(\n"]
)
def test_damaged_project_is_not_edited(text: str) -> None:
    with pytest.raises(UneditableError):
        enable(text, OURS)


@given(st.text(alphabet='[]();#="\\\n\r ax', max_size=60))
def test_edit_changes_what_it_shall_or_refuses(text: str) -> None:
    try:
        changed = enable(text, OURS)
    except UneditableError:
        return
    assert is_enabled(changed, OURS)
    assert changed.startswith(text[:1])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("config_version=4", "config_version=4"),
        ('[application]\nconfig/features=PackedStringArray("4.2", "Mobile")', "Godot 4.2"),
        ('[application]\nconfig/features=PackedStringArray("4.3")', None),
        ('[application]\nconfig/features=PackedStringArray("5.0")', None),
        ("config_version=5", None),
        ("", None),
    ],
)
def test_project_of_an_older_engine_is_unsuitable(line: str, reason: str | None) -> None:
    found = why_unsuitable(line)
    assert found is None if reason is None else reason in str(found)
