import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.errors import ConfigInvalid
from supervisor.kinds.kind import Kind, PortRange, Secret, expand, launch_command, launch_environment, placeholders


def kind(**changes: object) -> Kind:
    return Kind(**{"name": "k", "command": ("run", "--port", "{http}"), **changes})  # type: ignore[arg-type]


def test_placeholders_are_replaced_and_doubled_braces_become_braces() -> None:
    assert expand("{{{http}}} of {project}", {"http": "8000", "project": "/p"}) == "{8000} of /p"


def test_a_value_is_not_expanded_again() -> None:
    assert expand("{project}", {"project": "/home/{http}/}{"}) == "/home/{http}/}{"


def test_a_placeholder_without_a_value_is_a_typed_error() -> None:
    with pytest.raises(ConfigInvalid, match=r"\{owner_pid\} has no value here"):
        expand("--owner={owner_pid}", {"http": "1"})


@given(st.text())
def test_any_text_survives_when_its_braces_are_doubled(text: str) -> None:
    template = text.replace("{", "{{").replace("}", "}}")
    assert placeholders(template) == frozenset()
    assert expand(template, {}) == text


@pytest.mark.parametrize("template", ["{", "}", "a{b", "{http}}", "{{http}"])
def test_a_lone_brace_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match="a lone"):
        placeholders(template)


def test_the_command_line_is_expanded_word_by_word() -> None:
    assert launch_command(kind(), {"http": "8000 --evil"}) == ("run", "--port", "8000 --evil")


def test_variables_that_would_mislead_a_server_are_not_inherited() -> None:
    base = dict.fromkeys(
        ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "GODOT_SUPERVISOR_SERVER_ID", "GODOT_SUPERVISOR_HOME"), "x"
    )
    assert launch_environment(kind(), {**base, "PATH": "/bin"}, {}, {}) == {"PATH": "/bin"}


@pytest.mark.parametrize("name", ["PYTHONWARNINGS", "PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE", "PYTHONUSERBASE"])
def test_python_variables_of_the_user_do_not_reach_a_server(name: str) -> None:
    assert launch_environment(kind(), {name: "1", "PYTHON_KEYRING_BACKEND": "x"}, {}, {}) == {
        "PYTHON_KEYRING_BACKEND": "x"
    }


def test_the_kinds_scrub_list_takes_names_and_beginnings() -> None:
    base = {"MINE_A": "1", "MINE_B": "1", "MINE": "1", "OTHER": "1", "OTHERS": "1"}
    assert set(launch_environment(kind(scrub=("MINE_*", "OTHER")), base, {}, {})) == {"MINE", "OTHERS"}


def test_an_entry_without_a_value_is_left_out_and_not_inherited() -> None:
    owned = kind(env={"OWNER": "{owner_pid}", "PROJECT": "{project}", "MODE": "x"})
    assert launch_environment(owned, {"OWNER": "1"}, {"project": ""}, {}) == {"MODE": "x"}
    values = {"owner_pid": "77", "project": "/p"}
    assert launch_environment(owned, {"OWNER": "1"}, values, {}) == {"OWNER": "77", "PROJECT": "/p", "MODE": "x"}


def test_a_default_yields_to_the_user_and_to_the_kinds_own() -> None:
    cautious = kind(defaults={"REPORT": "no", "CHECK": "no", "MODE": "x"}, env={"MODE": "y"}, scrub=("CHECK",))
    assert launch_environment(cautious, {}, {}, {}) == {"REPORT": "no", "CHECK": "no", "MODE": "y"}
    assert launch_environment(cautious, {"REPORT": "", "CHECK": "yes"}, {}, {}) == {
        "REPORT": "",
        "CHECK": "no",
        "MODE": "y",
    }


def test_an_entry_may_be_empty_on_purpose() -> None:
    assert launch_environment(kind(env={"QUIET": ""}), {}, {}, {}) == {"QUIET": ""}


def test_secrets_are_set_and_others_secrets_are_not_inherited() -> None:
    secretive = kind(secrets=(Secret("TOKEN", "token"), Secret("KEY", "hex")))
    assert launch_environment(secretive, {"TOKEN": "old", "KEY": "old"}, {}, {"TOKEN": "new"}) == {"TOKEN": "new"}


def test_the_base_environment_is_left_alone() -> None:
    base = {"PYTHONPATH": "x"}
    launch_environment(kind(env={"A": "b"}), base, {}, {})
    assert base == {"PYTHONPATH": "x"}


def test_ranges_of_ports() -> None:
    assert PortRange.parse("8000-8019") == PortRange(8000, 8019)
    assert PortRange.parse("8000") == PortRange(8000, 8000)


@pytest.mark.parametrize(
    "text", ["", "0", "65536", "8019-8000", "8000-", "-8000", "8000 - 8001", "8000-8001-8002", "٨"]
)
def test_an_invalid_range_of_ports_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not a rising range of ports"):
        PortRange.parse(text)
