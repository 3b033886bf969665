"""`environments` against a daemon that answers from a script."""

from typing import Any

import pytest

from supervisor.cli.daemon_commands.environments import size
from tests.cli.conftest import Run
from tests.cli.scripted import Script


def environment(version: str, bytes_: int, *used_by: str) -> dict[str, Any]:
    return {"package": "toy", "version": version, "path": f"/e/toy-{version}", "size": bytes_, "used_by": [*used_by]}


def test_every_environment_is_shown_with_what_uses_it(run: Run, daemon: Script) -> None:
    rows = [environment("1.0", 500), environment("2.0", 3 * 1024 * 1024 // 2, "kind toy", "server toy")]
    daemon.answers["environments.list"] = {"folder": "/e", "environments": rows}
    assert run("environments", "list").out.splitlines() == [
        "ID       VERSION  SIZE     USED BY",
        "toy-1.0  1.0      500 B    -",
        "toy-2.0  2.0      1.5 MiB  kind toy, server toy",
        "in /e",
    ]
    assert run("environments", "list", "--json").document == {"folder": "/e", "environments": rows}


def test_an_empty_folder_is_reported(run: Run, daemon: Script) -> None:
    daemon.answers["environments.list"] = {"folder": "/e", "environments": []}
    assert run("environments", "list").out == "no environments\nin /e\n"


def test_prune_reports_what_was_removed(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": [environment("1.0", 600), environment("1.1", 424)]}
    outcome = run("environments", "prune")
    assert outcome.out.splitlines()[-1] == "freed 1.0 KiB"
    assert [line.split()[1] for line in outcome.out.splitlines()[1:3]] == ["1.0", "1.1"]
    assert daemon.params("environments.prune") == {"dry_run": False}
    assert run("environments", "prune", "--json").document == {
        "removed": [environment("1.0", 600), environment("1.1", 424)]
    }


def test_a_dry_run_reports_what_would_be_removed(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": [environment("1.0", 600)]}
    assert run("environments", "prune", "--dry-run").out.splitlines()[-1] == "would free 600 B"
    assert daemon.params("environments.prune") == {"dry_run": True}


def test_prune_takes_ids_and_all(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": [environment("1.0", 600)], "leftovers": []}
    run("environments", "prune", "toy-1.0", "toy-2.0")
    assert daemon.params("environments.prune") == {"dry_run": False, "environments": ["toy-1.0", "toy-2.0"]}
    run("environments", "prune", "--all")
    assert daemon.all_params("environments.prune")[-1] == {"dry_run": False, "all": True}


def test_leftovers_and_broken_environments_are_shown(run: Run, daemon: Script) -> None:
    left = {"path": "/e/toy-2.0-ab", "size": 400, "what": "an aborted build", "removable": True}
    broken = {**environment("4.3", 600), "id": "toy-4.3", "installed": "4.3.0", "broken": True}
    daemon.answers["environments.list"] = {"folder": "/e", "environments": [broken], "leftovers": [left]}
    assert run("environments", "list").out.splitlines()[1:] == [
        "toy-4.3  4.3.0    600 B  (broken: its interpreter is missing)",
        "/e/toy-2.0-ab: an aborted build, 400 B",
        "in /e",
    ]
    daemon.answers["environments.prune"] = {"removed": [], "leftovers": [left]}
    assert run("environments", "prune").out.splitlines()[-1] == "freed 400 B"


def test_prune_without_unused_environments(run: Run, daemon: Script) -> None:
    daemon.answers["environments.prune"] = {"removed": []}
    assert run("environments", "prune").out == "nothing to remove\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (1024**3 * 5 // 2, "2.5 GiB"), (1024**6, "1048576.0 TiB")],
)
def test_a_size_has_a_unit(count: int, text: str) -> None:
    assert size(count) == text
