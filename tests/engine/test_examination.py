"""The report of an interpreter about its environment, and the conclusions from it."""

from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.engine.environments.examination import MARK, EnvironmentReport, module_of, read_report
from supervisor.engine.environments.store import Environment
from supervisor.kinds.kind import Kind

MADE = Environment(Path("/e"), Path("/e/python"), "toy", "1", "1.0", "3.11.7", whole=True)
WELL = EnvironmentReport("3.11.7", "1.0", True, (), 0)


def test_unchanged_environment_has_no_damage() -> None:
    assert WELL.refusal("toy", "1", "toy") is None
    assert WELL.damage(MADE, "toy") is None


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (replace(WELL, version=None), "toy is not in it"),
        (replace(WELL, version="2.0"), "it has toy 2.0, not 1"),
        (replace(WELL, module_found=False), "toy is in it, but no module 'toy'"),
        (replace(WELL, lost=("/e/a.py",), lost_count=1), "files of it are missing or were changed: /e/a.py"),
        (replace(WELL, lost=("/e/a.py",), lost_count=3), "files of it are missing or were changed: /e/a.py and 2 more"),
        (replace(WELL, python="3.12.1"), "its Python is now 3.12.1, but it was made with 3.11.7"),
        (
            replace(WELL, python="3.12.1", version=None),
            "its Python is now 3.12.1, but it was made with 3.11.7, and toy is not in it",
        ),
    ],
)
def test_damage_names_what_has_changed(seen: EnvironmentReport, reason: str) -> None:
    assert seen.damage(MADE, "toy") == reason


def test_files_missing_from_the_start_are_not_damage() -> None:
    odd = replace(MADE, whole=False)
    assert replace(WELL, lost=("/e/a.py",), lost_count=1).damage(odd, "toy") is None


def test_other_output_of_the_interpreter_is_ignored() -> None:
    answer = '{"python": "3.11.7", "version": "1.0", "module": true, "lost": [], "lost_count": 0}'
    assert read_report(["a warning", MARK + answer, "another"]) == WELL
    assert read_report(["a warning"]) is None
    assert read_report([MARK + "{}"]) is None


@pytest.mark.parametrize(
    ("command", "module"),
    [
        (("{python}", "-P", "-m", "toy", "-m", "x"), "toy"),
        (("{python}", "-m", "toy.server"), "toy.server"),
        (("{python}", "script.py", "-m", "x"), None),
        (("{python}", "-m", "{version}"), None),
        (("toy", "-m", "x"), None),
        ((), None),
    ],
)
def test_module_of_a_kind_is_found_in_its_command(command: tuple[str, ...], module: str | None) -> None:
    assert module_of(Kind("toy", command=command)) == module
