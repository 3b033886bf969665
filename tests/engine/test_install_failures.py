"""Hints on installations that failed for a reason of the user's system."""

from supervisor.engine.environments.install_failures import INDEX_HINT, hint_for


def hint(said: str) -> str:
    return hint_for("godot-ai", "4.3.1", said, (), ())


def test_versions_for_another_python_do_not_blame_the_index() -> None:
    said = (
        "ERROR: Ignored the following versions that require a different python version: "
        "4.2.0 Requires-Python >=3.13; 4.3.0 Requires-Python >=3.13\n"
        "ERROR: Could not find a version that satisfies the requirement godot-ai==4.3.1 (from versions: none)"
    )
    assert hint(said).startswith("no version of godot-ai is for this Python")
    assert hint(said).endswith("they need >=3.13")


def test_a_constraint_file_that_is_missing_is_named() -> None:
    said = "ERROR: Could not open requirements file: [Errno 2] No such file or directory: '/x/constraints.txt'"
    assert hint(said).startswith("/x/constraints.txt is not there")
    assert hint("error: File not found: `/x/c.txt`").startswith("/x/c.txt is not there")


def test_without_a_known_reason_the_index_is_asked_about() -> None:
    assert hint("ERROR: something else") == INDEX_HINT
