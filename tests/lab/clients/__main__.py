"""Runs real clients through what happens to servers. Prints tables for docs/clients.md.

python -m tests.lab.clients [--client NAME]... [--event NAME]... [--server small|godot-ai] [--install] [--keep]
"""

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tests.lab.clients import report
from tests.lab.clients.lab_home import FIXTURE, FixtureHome, GodotAiHome
from tests.lab.clients.matrix import EVENTS, NEEDS_LONG_CALLS, OK, Cell, run_client
from tests.lab.clients.subjects import SUBJECTS, Subject

HOMES = {home.kind: home for home in (FixtureHome, GodotAiHome)}


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.lab.clients")
    parser.add_argument("--client", action="append", choices=SUBJECTS, help="default: all")
    parser.add_argument("--event", action="append", choices=EVENTS, help="default: all")
    parser.add_argument("--server", default=FIXTURE, choices=HOMES)
    parser.add_argument("--install", action="store_true", help="install the clients, and run nothing")
    parser.add_argument("--keep", action="store_true", help="keep the homes")
    return parser.parse_args()


def run(subject: Subject, given: argparse.Namespace) -> Iterator[Cell]:
    """Run a client in a home of its own, and yield its cells."""
    events = {name: event for name, event in EVENTS.items() if given.event is None or name in given.event}
    if given.server != FIXTURE:
        events = {name: event for name, event in events.items() if name not in NEEDS_LONG_CALLS}
    folder = Path(tempfile.mkdtemp(prefix=f"{subject.name}-"))
    home = HOMES[given.server](folder)
    try:
        yield from run_client(subject, home, events)
    finally:
        home.close()
        if given.keep:
            say(f"   kept: {folder}")
        else:
            shutil.rmtree(folder)


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    """Run the matrix, and return 1 if a cell is not ok."""
    given = arguments()
    subjects = [SUBJECTS[name] for name in given.client or SUBJECTS]
    for subject in subjects:
        subject.install()
    if given.install:
        return 0
    results: dict[str, list[Cell]] = {}
    for subject in subjects:
        say(f"== {subject.title} {subject.version}")
        results[subject.name] = []
        for cell in run(subject, given):
            results[subject.name].append(cell)
            say(f"   {cell.event:26} {cell.seconds:6.2f} s  {report.plain(cell.outcome)}")
    say(f"\n{report.heading(given.server)}\n\n{report.table(subjects, results)}")
    say(f"\n{report.errors_shown(subjects, results)}")
    return 0 if all(cell.outcome.startswith(OK) for row in results.values() for cell in row) else 1


if __name__ == "__main__":
    sys.exit(main())
