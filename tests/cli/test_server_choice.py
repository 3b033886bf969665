"""Finding the server that a word means."""

from pathlib import Path

import pytest

from supervisor.cli import server_choice
from supervisor.errors import InvalidParams, NotFound, StopFailed
from tests.cli.conftest import Run
from tests.cli.objects import past, server
from tests.cli.scripted import Script

A = str(Path("/p/a").absolute())
B = str(Path("/p/b").absolute())


def ours(name: str, project: str | None = None, **fields: object) -> dict[str, object]:
    return server(id=name, kind="mine", project=project, **fields)


TWO = [ours("mine@a", A), ours("mine@b", B), server(id="godot-ai")]


def ids(word: str) -> list[str]:
    return [row["id"] for row in server_choice.matching(TWO, word)]


@pytest.mark.parametrize(
    ("word", "found"),
    [
        ("mine@a", ["mine@a"]),
        ("mine", ["mine@a", "mine@b"]),
        ("a", ["mine@a"]),
        (A, ["mine@a"]),
        ("godot-ai", ["godot-ai"]),
        ("unknown", []),
    ],
)
def test_word_is_an_id_a_kind_or_a_project(word: str, found: list[str]) -> None:
    assert ids(word) == found


def test_a_running_server_wins() -> None:
    rows = [ours("mine", state="failed"), ours("mine-2")]
    assert server_choice.narrowed_to_one(rows, "several", "down") == "mine-2"


def test_the_current_folders_server_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside = tmp_path / "b" / "scenes"
    inside.mkdir(parents=True)
    rows = [ours("mine@a", str(tmp_path / "a")), ours("mine@b", str((tmp_path / "b").resolve()))]
    with pytest.raises(InvalidParams, match="several: mine@a, mine@b"):
        server_choice.narrowed_to_one(rows, "several", "down")
    monkeypatch.chdir(inside)
    assert server_choice.narrowed_to_one(rows, "several", "down") == "mine@b"


def script_stop(daemon: Script) -> None:
    """Script a daemon that knows servers only by their ids."""

    def stop(params: dict[str, str]) -> object:
        if params["server"] not in {row["id"] for row in daemon.answers["server.list"]["servers"]}:
            return NotFound(f"no server {params['server']!r}")
        return server(id=params["server"], state="stopped")

    daemon.answers["server.list"] = {"servers": TWO}
    daemon.answers["server.stop"] = stop
    daemon.answers["server.restart"] = stop


def test_down_takes_a_project(run: Run, daemon: Script) -> None:
    script_stop(daemon)
    assert run("down", "b").out == "mine@b: stopped\n"


def test_down_of_an_ambiguous_kind_stops_none(run: Run, daemon: Script) -> None:
    script_stop(daemon)
    done = run("down", "mine")
    assert (done.code, "mine@a, mine@b" in done.err) == (2, True)
    assert daemon.all_params("server.stop") == [{"server": "mine"}]


def test_down_by_kind_ignores_found_servers(run: Run, daemon: Script) -> None:
    script_stop(daemon)
    daemon.answers["server.list"] = {"servers": [ours("mine-7", origin="external")]}
    assert run("down", "mine").code == 4
    assert daemon.all_params("server.stop") == [{"server": "mine"}]


@pytest.mark.parametrize("command", ["down", "restart"])
def test_down_takes_several_ids_or_all(run: Run, daemon: Script, command: str) -> None:
    script_stop(daemon)
    assert [line.split(":")[0] for line in run(command, "a", "godot-ai", "a").out.splitlines()] == [
        "mine@a",
        "godot-ai",
    ]
    assert len(run(command, "--all").out.splitlines()) == 3
    assert [row["id"] for row in run(command, "a", "b", "--json").document["servers"]] == ["mine@a", "mine@b"]
    assert run(command, "a", "--all").code == 2


def test_a_failure_does_not_stop_the_others(run: Run, daemon: Script) -> None:
    script_stop(daemon)
    working = daemon.answers["server.stop"]
    assert callable(working)

    def stop(params: dict[str, str]) -> object:
        return StopFailed("it lives") if params["server"] == "mine@a" else working(params)

    daemon.answers["server.stop"] = stop
    done = run("down", "--all")
    assert (done.code, "it lives" in done.err) == (1, True)
    assert done.out.splitlines() == ["mine@b: stopped", "godot-ai: stopped"]


def test_inspect_and_logs_find_ended_servers_by_kind(run: Run, daemon: Script) -> None:
    gone = past("mine@a", kind="mine", project=A)

    def of(params: dict[str, str]) -> object:
        wanted = params.get("server")
        return {"servers": [gone] if wanted in (None, "mine@a") else []}

    def read(params: dict[str, str]) -> object:
        known = params["server"] == "mine@a"
        return {"lines": ["last"], "log": "/l", "ended": True} if known else NotFound("no server")

    daemon.answers["server.list"] = {"servers": []}
    daemon.answers["server.get"] = NotFound("no server")
    daemon.answers["server.history"] = of
    daemon.answers["logs.read"] = read
    assert run("inspect", "mine").out.startswith("mine@a 4.3.1  ended ")
    done = run("logs", "a")
    assert (done.out, "has ended" in done.err) == ("last\n", True)


def test_url_takes_a_kind(run: Run, daemon: Script) -> None:
    daemon.answers["server.list"] = {"servers": [ours("mine@a", A)]}
    daemon.answers["server.get"] = lambda params: (
        ours("mine@a", A) if params["server"] == "mine@a" else NotFound("no server")
    )
    assert run("url", "mine").out == "http://127.0.0.1:8000/mcp\n"
