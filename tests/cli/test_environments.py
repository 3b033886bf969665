"""`environments`: the daemon knows which are used."""

from typing import Any

import pytest

from supervisor.cli.environments import size
from tests.cli.conftest import Run
from tests.cli.scripted import Script


def kept(version: str, bytes_: int, *used_by: str) -> dict[str, Any]:
    return {"package": "toy", "version": version, "path": f"/e/toy-{version}", "size": bytes_, "used_by": [*used_by]}


def test_every_environment_is_shown_with_what_uses_it(run: Run, daemon: Script) -> None:
    rows = [kept("1.0", 500), kept("2.0", 3 * 1024 * 1024 // 2, "kind toy", "server toy")]
    daemon.answers["environments.list"] = {"folder": "/e", "environments": rows}
    assert run("environments", "list").out.splitlines() == [
        "PACKAGE  VERSION  SIZE     USED BY",
        "toy      1.0      500 B    -",
        "toy      2.0      1.5 MiB  kind toy, server toy",
        "in /e",
    ]
    assert run("environments", "list", "--json").document == {"folder": "/e", "environments": rows}


def test_an_empty_folder_says_so(run: Run, daemon: Script) -> None:
    daemon.answers["environments.list"] = {"folder": "/e", "environments": []}
    assert run("environments", "list").out == "no environments\nin /e\n"


def test_prune_says_what_went_and_how_much_it_was(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": [kept("1.0", 600), kept("1.1", 424)]}
    outcome = run("environments", "prune")
    assert outcome.out.splitlines()[-1] == "freed 1.0 KiB"
    assert [line.split()[1] for line in outcome.out.splitlines()[1:3]] == ["1.0", "1.1"]
    assert daemon.params("environments.prune") == {"dry_run": False}
    assert run("environments", "prune", "--json").document == {"removed": [kept("1.0", 600), kept("1.1", 424)]}


def test_a_dry_run_says_what_would_go(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": [kept("1.0", 600)]}
    assert run("environments", "prune", "--dry-run").out.splitlines()[-1] == "would free 600 B"
    assert daemon.params("environments.prune") == {"dry_run": True}


def test_where_everything_is_used_nothing_goes(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": []}
    assert run("environments", "prune").out == "nothing to remove\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**3 * 5 // 2, "2.5 GiB"), (1024**6, "1048576.0 TiB")],
)
def test_a_size_has_a_unit(count: int, text: str) -> None:
    assert size(count) == text
