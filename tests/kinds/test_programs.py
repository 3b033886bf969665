import pytest

from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import Kind
from supervisor.kinds.programs import is_command_of, program_in, program_names

GODOT_AI = Catalog.build({}).get("godot-ai")
MINE = Kind("mine", command=("/opt/my_server.py", "--port", "{http}"))
SCRIPT = Kind("script", command=("/usr/bin/python3", "/opt/serve.py", "{http}"), programs=("served",))
SHELL = Kind("shell", command=("sh", "-c", "serve {http}"))


@pytest.mark.parametrize(
    "command",
    [
        ("/venv/bin/python", "-P", "-m", "godot_ai", "--port", "8000"),
        ("python3.13", "-X", "utf8", "-m", "godot_ai"),
        ("/venv/bin/godot-ai", "--transport", "streamable-http"),
        ("/venv/bin/python", "/venv/bin/godot-ai", "--port", "8000"),
        ("C:\\venv\\Scripts\\godot-ai.exe", "--port", "8000"),
        ("C:\\venv\\Scripts\\pythonw.exe", "-m", "godot_ai"),
    ],
)
def test_every_way_to_run_the_package_is_of_the_kind(command: tuple[str, ...]) -> None:
    assert is_command_of(GODOT_AI, command)


@pytest.mark.parametrize(
    "command",
    [
        (),
        ("python",),
        ("python", "-c", "import godot_ai"),
        ("python", "-m"),
        ("python", "-m", "http.server", "godot-ai"),
        ("python", "-m", "godot_ai_tools"),
        ("godot", "--editor", "--path", "/home/dev/godot-ai"),
        ("vim", "godot_ai"),
        ("grep", "-r", "godot-ai"),
        ("docker-proxy", "-container-port", "8000"),
        ("uvx", "--from", "godot-ai==4.3.1", "godot-ai"),
    ],
)
def test_a_word_somewhere_in_a_command_line_proves_nothing(command: tuple[str, ...]) -> None:
    assert not is_command_of(GODOT_AI, command)


def test_a_users_own_kind_is_known_by_its_command() -> None:
    assert program_names(MINE) == {"my-server"}
    assert is_command_of(MINE, ("/usr/local/bin/my_server.py", "--port", "1"))
    assert is_command_of(MINE, ("python3", "/opt/my_server.py", "--port", "1"))
    assert not is_command_of(MINE, ("python3", "/opt/another.py"))


def test_a_script_is_known_by_its_name_and_those_of_its_recipe() -> None:
    assert program_names(SCRIPT) == {"serve", "served"}
    assert is_command_of(SCRIPT, ("python3", "/elsewhere/serve.py"))
    assert is_command_of(SCRIPT, ("served",))
    assert not is_command_of(SCRIPT, ("python3", "-m", "http.server"))


def test_the_program_of_a_shell_command_is_unknown() -> None:
    assert program_in(SHELL.command) is None
    assert program_names(SHELL) == frozenset()
    assert not is_command_of(SHELL, ("sh", "-c", "serve 8000"))
