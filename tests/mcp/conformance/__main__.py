"""Prints the table of docs/conformance.md: each scenario directly, through the bridge, and with the server killed.

python -m tests.mcp.conformance
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.home import Home
from tests.mcp.conformance import suite
from tests.mcp.conformance.adapter import Adapter

RUNS = ((suite.OLD, suite.LEGACY), (suite.NEW, suite.LEGACY), (suite.NEW, suite.MODERN))


@contextmanager
def adapter(home: Home) -> Iterator[Adapter]:
    made = Adapter(home, suite.KIND)
    try:
        yield made
    finally:
        made.close()


def compare(home: Home, version: str, revision: str, folder: Path) -> None:
    """Print the rows of one version of the suite."""
    direct = suite.run(version, revision, suite.url(home), folder / "direct")
    with adapter(home) as plain:
        through = suite.run(version, revision, plain.url, folder / "through")
    killed, killer = {}, suite.Killer(home)
    with adapter(home) as deadly:
        for name in direct:
            killer.begin()
            deadly.before_request = (lambda: None) if name in suite.IN_A_HURRY else killer.kill_if_ready
            killed |= suite.run(version, revision, deadly.url, folder / "killed" / name, name)
    sys.stdout.write(f"\n{version}, {revision}; the server was killed {killer.kills} times\n\n")
    sys.stdout.write("| scenario | direct | bridge | bridge with kills |\n|---|---|---|---|\n")
    for name in sorted(direct):
        cells = (name, *(str(found.get(name, "not run")) for found in (direct, through, killed)))
        sys.stdout.write(f"| {' | '.join(cells)} |\n")
    sys.stdout.flush()


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder), suite.config())
        try:
            home.up(suite.KIND)
            for version, revision in RUNS:
                home.up(suite.KIND)
                compare(home, version, revision, Path(folder) / f"{version}-{revision}")
        finally:
            home.close()


main()
