from pathlib import Path
from typing import Any

import pytest

from supervisor.errors import ConfigInvalid
from supervisor.kinds.catalog import Catalog


def refusal(**table: Any) -> ConfigInvalid:
    with pytest.raises(ConfigInvalid) as caught:
        Catalog.build({"mine": table})
    return caught.value


def test_a_command_that_is_a_text_is_shown_as_a_list() -> None:
    error = refusal(command="my-server --port {http}", ports={"http": 8100})
    assert error.hint == 'write command = ["my-server", "--port", "{http}"]'


@pytest.mark.parametrize("program", ["~/bin/server", "$HOME/server", "%LOCALAPPDATA%\\server"])
def test_a_program_that_only_a_shell_would_find_is_refused(program: str) -> None:
    error = refusal(command=[program])
    assert "is not expanded" in error.message
    assert error.hint == "write the whole path"


@pytest.mark.parametrize("program", ["./server", "bin/server", "../server"])
def test_a_relative_program_is_refused(program: str) -> None:
    assert "is relative" in refusal(command=[program]).message


@pytest.mark.parametrize("program", ["server", "{python}", "{log_dir}/server"])
def test_other_programs_are_accepted(program: str) -> None:
    table = {"command": [program], "package": "x", "version": "1.0"}
    assert Catalog.build({"mine": table}).get("mine").command == (program,)


def test_a_port_that_the_server_does_not_get_is_refused() -> None:
    error = refusal(command=["x", "{http}"], ports={"http": "8100-8119", "ws": "9500-9519"})
    assert error.message.startswith("kinds.mine.ports.ws: the server does not get the chosen one: {ws} ")


@pytest.mark.parametrize(
    "table",
    [{"command": ["x"], "ports": {"http": 8100}}, {"command": ["x"], "ports": {"a": "1-2"}, "env": {"P": "{a}"}}],
)
def test_a_port_may_be_known_to_the_server_or_in_a_variable(table: dict[str, Any]) -> None:
    assert Catalog.build({"mine": table}).get("mine").ports


def test_a_mistyped_key_of_a_kind_is_answered_with_the_nearest() -> None:
    assert (refusal(command=["x"], comand=["y"]).hint or "").startswith("did you mean command? allowed: ")


@pytest.mark.parametrize("time", [float("inf"), float("nan"), 1e15, -1, 10**400])
def test_a_time_that_clocks_cannot_count_is_refused(time: float) -> None:
    assert refusal(command=["x"], grace_s=time).data["key"] == "kinds.mine.grace_s"


def test_the_name_of_a_kind_is_bounded() -> None:
    with pytest.raises(ConfigInvalid, match="no name for a kind"):
        Catalog.build({"k" * 101: {"command": ["x"]}})


@pytest.mark.parametrize("program", ["python3 /x/srv.py", "python3 -m srv --x", "./srv --port 8000"])
def test_a_command_line_in_one_word_is_recognised(program: str) -> None:
    error = refusal(command=[program])
    assert "is one word, blanks included" in error.message
    assert (error.hint or "").startswith('write command = ["' + program.split(maxsplit=1)[0] + '", "')


def test_a_program_whose_path_has_blanks_is_accepted() -> None:
    program = str(Path(Path.cwd().anchor, "my app", "srv"))
    assert Catalog.build({"mine": {"command": [program]}}).get("mine").command == (program,)
