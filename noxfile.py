"""The usual tasks, one word each, on every system: `nox -s check`, `fast`, `test`, `full`, `coverage`.

CONTRIBUTING.md says when to run which.
"""

import re
import shlex
import sys
from pathlib import Path

import nox

ROOT = Path(__file__).parent
PLATFORMS = ("linux", "darwin", "win32")

BYTECODE = {"PYTHONDONTWRITEBYTECODE": ""}
"""Keeps bytecode even where the caller's environment forbids it: the tests start hundreds of short processes, and each
would compile the package again."""

nox.needs_version = ">=2024.4.15"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["check", "fast"]


def readme_runs() -> list[list[str]]:
    """Return the arguments of each `pytest` in README's test command: README is the one place that has them."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    command = readme.partition("<!-- test-command -->")[2].partition("<!-- /test-command -->")[0]
    return [shlex.split(arguments) for arguments in re.findall(r"-m pytest ([^&\n]+)", command)]


@nox.session
def check(session: nox.Session) -> None:
    """Check lint, formatting, and types on three systems."""
    session.install("-q", "-e", ".[lint]")
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")
    for platform in PLATFORMS:
        session.run("mypy", "--platform", platform)


@nox.session
def fast(session: nox.Session) -> None:
    """Run the tests that start no processes, or only short ones."""
    session.install("-q", "-e", ".[test]")
    # Three workers, because on two cores a worker that waits leaves room for another one.
    session.run("pytest", "-n", "3", "--dist", "worksteal", "-m", "fast", *session.posargs, env=BYTECODE)


@nox.session
def test(session: nox.Session) -> None:
    """Run README's test command: everything but what takes long."""
    session.install("-q", "-e", ".[test]")
    for arguments in readme_runs():
        session.run("pytest", *arguments, *session.posargs)


@nox.session
def full(session: nox.Session) -> None:
    """Run everything, as CI does. `.ci/run` needs a POSIX shell; elsewhere the whole suite runs in one process."""
    if sys.platform == "win32":
        session.install("-q", "-e", ".[test]")
        session.run("pytest", "--hypothesis-profile=full", *session.posargs)
    else:
        session.run(".ci/run", external=True)


@nox.session
def coverage(session: nox.Session) -> None:
    """Measure which lines and branches of `supervisor/` the fast tests run, in the processes they start as well."""
    session.install("-q", "-e", ".[test,coverage]")
    session.run("coverage", "erase")
    session.run("coverage", "run", "-m", "pytest", "-n", "3", "-m", "fast", *session.posargs)
    session.run("coverage", "combine", "-q")
    session.run("coverage", "report")
