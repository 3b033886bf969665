"""What an interpreter says of its environment, and what is concluded from that."""

from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.engine.environments.examination import MARK, Examined, module_of, read
from supervisor.engine.environments.store import Environment
from supervisor.kinds.kind import Kind

MADE = Environment(Path("/e"), Path("/e/python"), "toy", "1", "1.0", "3.11.7", whole=True)
WELL = Examined("3.11.7", "1.0", True, (), 0)


def test_an_environment_as_it_was_made_is_well() -> None:
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
        (replace(WELL, python="3.12.1"), "its Python is 3.12.1 now, 3.11.7 made it"),
        (
            replace(WELL, python="3.12.1", version=None),
            "its Python is 3.12.1 now, 3.11.7 made it, and toy is not in it",
        ),
    ],
)
def test_what_has_changed_is_the_reason(seen: Examined, reason: str) -> None:
    assert seen.damage(MADE, "toy") == reason


def test_files_that_never_were_there_are_no_damage() -> None:
    odd = replace(MADE, whole=False)
    assert replace(WELL, lost=("/e/a.py",), lost_count=1).damage(odd, "toy") is None


def test_what_an_interpreter_says_beside_its_answer_is_passed_over() -> None:
    answer = '{"python": "3.11.7", "version": "1.0", "module": true, "lost": [], "lost_count": 0}'
    assert read(["a warning", MARK + answer, "another"]) == WELL
    assert read(["a warning"]) is None
    assert read([MARK + "{}"]) is None


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
def test_the_module_of_a_kind_is_what_its_python_runs(command: tuple[str, ...], module: str | None) -> None:
    assert module_of(Kind("toy", command=command)) == module
