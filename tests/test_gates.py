"""noxfile.py, `.ci/run`, README, CONTRIBUTING.md and .pre-commit-config.yaml run the same things."""

import ast
import re
import tomllib
from pathlib import Path

import pytest

from tests import gates

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def readme_command() -> str:
    return text("README.md").partition("<!-- test-command -->")[2].partition("<!-- /test-command -->")[0]


def nox_sessions() -> dict[str, str]:
    """Return the source of each session of noxfile.py."""
    source = text("noxfile.py")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef) and node.decorator_list]
    return {node.name: ast.get_source_segment(source, node) or "" for node in functions}


def runs(script: str) -> list[list[str]]:
    """Return the arguments of each `pytest` in a script that selects by `full`, without quotes."""
    found = re.findall(r"-m pytest ([^&|\n]+)", script)
    return [arguments.split() for arguments in found if re.search(r"\bfull\b", arguments.replace("profile=full", ""))]


def selection(arguments: list[str]) -> str:
    """Return what is selected by `-m`."""
    return " ".join(arguments).rpartition("-m ")[2].strip("'\"")


@pytest.mark.parametrize("alone", [False, True])
@pytest.mark.parametrize("full", [False, True])
def test_readme_and_ci_select_every_test_exactly_once(*, alone: bool, full: bool) -> None:
    expressions = [selection(arguments) for arguments in runs(readme_command()) + runs(text(".ci/run"))]
    assert len(expressions) == 4
    assert [eval(expression, {}, {"alone": alone, "full": full}) for expression in expressions].count(True) == 1


def test_ci_runs_the_full_tests_with_the_full_profile() -> None:
    assert all(f"--hypothesis-profile={gates.FULL}" in arguments for arguments in runs(text(".ci/run")))


def test_nox_check_and_ci_run_the_same_commands() -> None:
    ci, check = text(".ci/run"), nox_sessions()["check"]
    (platforms,) = re.findall(r"PLATFORMS = \((.*)\)", text("noxfile.py"))
    assert f"for platform in {' '.join(re.findall(r'[a-z0-9]+', platforms))}; do\n" in ci
    commands = [" ".join(re.findall(r'"([^"]+)"', line)) for line in re.findall(r"session\.run\((.*)\)", check)]
    assert len(commands) == 3
    assert [command for command in commands if not re.search(rf"^ *{command}\b", ci, re.MULTILINE)] == []


def test_contributing_page_names_every_nox_session() -> None:
    assert set(re.findall(r"nox -s ([a-z]+)", text("CONTRIBUTING.md"))) == nox_sessions().keys()


def test_pre_commit_has_the_versions_of_the_project() -> None:
    config = text(".pre-commit-config.yaml")
    pins = set(re.findall(r"(?:^ +- |\[)([a-z0-9-]+[=>]=[^\],\s]+)", config, re.MULTILINE))
    assert pins == {*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["lint"]}


@pytest.mark.parametrize("pattern", gates.NOT_FAST)
def test_every_pattern_of_slow_tests_matches_a_file(pattern: str) -> None:
    assert [*gates.TESTS.glob(pattern)]


def in_full_only() -> set[str]:
    """Return the names of the tests that are marked `full` with all their parameters."""
    names = set()
    for path in gates.TESTS.rglob("test_*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        module = any(isinstance(node, ast.Assign) and "mark.full" in ast.unparse(node) for node in tree.body)
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
                marks = {ast.unparse(decorator) for decorator in node.decorator_list}
                names |= {node.name} if module or "pytest.mark.full" in marks else set()
    return names


def test_every_row_of_the_reliability_page_has_a_test_outside_full() -> None:
    full = in_full_only()
    assert full
    lines = [line for line in text("docs/reliability.md").splitlines() if line.startswith("|")]
    rows = {line: set(re.findall(r"`(test_\w+)`", line)) for line in lines}
    assert [line for line, tests in rows.items() if tests and tests <= full] == []
