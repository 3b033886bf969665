import pytest

from supervisor.cli.server_commands.bridge_start import parse_arguments


@pytest.mark.parametrize(
    ("words", "read"),
    [
        ([], (None, None)),
        (["godot-ai"], ("godot-ai", None)),
        (["--project", "x"], (None, "x")),
        (["godot-ai", "--project", "x"], ("godot-ai", "x")),
        (["--project", "x", "godot-ai"], ("godot-ai", "x")),
        (["--help"], None),
        (["a", "b"], None),
        (["a", "--project"], None),
    ],
)
def test_usual_words_are_read_without_click(words: list[str], read: object) -> None:
    assert parse_arguments(words) == read
