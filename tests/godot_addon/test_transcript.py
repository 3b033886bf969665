"""tests/data/transcript.jsonl against the GDScript client, which has to send the same and report the same."""

import contextlib
from pathlib import Path
from typing import Any

import pytest

from supervisor.client import endpoint
from tests.godot_addon import addon_projects
from tests.transcript import lines
from tests.transcript.recorded_daemon import (
    INSTEAD_OF_NONSENSE,
    RecordedDaemon,
    answer_to,
    exchanges,
    known,
    notices,
    unaltered,
)
from tests.transcript.stage import Line

RECORDED = lines.read()
SCRIPTS = {
    name: lines.of(name, RECORDED)
    for name in dict.fromkeys(line["connection"] for line in RECORDED if "connection" in line)
}

MUTATIONS = ("server.adopt", "server.ensure", "server.restart", "server.stop")

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(120)]


def near(value: Any) -> Any:
    """Return what a value with times equals. The engine reads the last digits of a float differently."""
    if isinstance(value, list):
        return [near(each) for each in value]
    if isinstance(value, dict):
        return {name: near(each) for name, each in value.items()}
    return pytest.approx(value, abs=1e-5) if isinstance(value, float) else value


def error_in_one(error: Line) -> Line:
    """Return an error as the client reports it: its data, and its message."""
    return {**error["data"], "message": error["message"]}


def without_additions(frame: Line, recorded: Line) -> Line:
    """Return what the client has sent, without what it adds: who it is, and ids for requests that have none."""
    params = dict(frame["params"])
    if frame["method"] == "hello":
        assert params["client"]["instance"]
        params["client"] = recorded["params"]["client"]
    if "request" not in recorded["params"] and frame["method"] in MUTATIONS:
        assert params.pop("request")
    return {**frame, "params": params}


@pytest.fixture
def played(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, tuple[RecordedDaemon, list[Any]]]:
    """Return for each connection the daemon's side of it, and what the client has reported."""
    project = addon_projects.make(tmp_path / "project")
    cases, daemons = [], {}
    with contextlib.ExitStack() as stack:
        for name, script in SCRIPTS.items():
            daemons[name] = stack.enter_context(RecordedDaemon(script, request.param))
            home = tmp_path / name
            home.mkdir(mode=0o700)
            endpoint.publish(home / "endpoint.json", daemons[name].endpoint)
            frames = [line.get("frame", INSTEAD_OF_NONSENSE) for line, _ in exchanges(script)[1:]]
            asked = [step for frame in frames for step in (["send", frame["method"], frame["params"]], ["answer"])]
            steps = [["open"], ["wait", "connected", 1], *asked, ["wait", "disconnected", 1], ["close"]]
            cases.append({"home": str(home), "reconnect_s": 0.2, "steps": steps})
        results = addon_projects.run_cases(project, cases)
    return {name: (daemons[name], known(result)) for name, result in zip(SCRIPTS, results, strict=True)}


@pytest.mark.parametrize("played", [unaltered, lines.from_later], indirect=True)
def test_gdscript_client_sends_and_reports_what_was_recorded(
    played: dict[str, tuple[RecordedDaemon, list[Any]]],
) -> None:
    """With `from_later`, the daemon is of a later release than the client."""
    assert played.keys() == SCRIPTS.keys()
    for name, (daemon, log) in played.items():
        compare(SCRIPTS[name], daemon, log)


def compare(script: list[Line], daemon: RecordedDaemon, log: list[Any]) -> None:
    (greeting, welcome), *asked = exchanges(script)
    assert {"result": log[0][1]} == near(answer_to(welcome))
    assert len(daemon.received) == 1 + len(asked)
    for frame, (request, _) in zip(daemon.received, [(greeting, welcome), *asked], strict=True):
        if "frame" in request:
            assert without_additions(frame, request["frame"]) == request["frame"]
    for number, (_, answers) in enumerate(asked, start=2):
        ours = [entry for entry in log if entry[1:2] == [number]]
        reported = [entry[2] for entry in ours if entry[0] in ("accepted", "progress")]
        assert reported == [near(each["params"]) for each in notices(answers, "accepted", "progress")]
        check_outcome(ours[-1], near(answer_to(answers)))
    streamed = [(each["method"], near(each["params"])) for each in notices(script, "event", "calls", "log", "resync")]
    assert [(entry[0], entry[1]) for entry in log if entry[0] in ("event", "calls", "log", "resync")] == streamed


def check_outcome(entry: list[Any], answer: Line | None) -> None:
    if answer is None:
        assert (entry[0], entry[2]["code"]) == ("failed", "DISCONNECTED_AFTER_ACCEPT")
        assert entry[2]["safe_to_retry"]
    elif "error" in answer:
        assert (entry[0], entry[2]) == ("failed", error_in_one(answer["error"]))
    else:
        assert (entry[0], entry[2]) == ("completed", answer["result"])
