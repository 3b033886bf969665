import json
import os
import sys
from pathlib import Path

import click
import pytest

from supervisor.cli import formatting, output, terminal
from supervisor.errors import Busy, PortsExhausted, StartFailed


def test_columns_are_aligned() -> None:
    assert formatting.table(("PORT", "WHO"), [(8000, "a"), (80, "b")]) == ["PORT  WHO", "8000  a", "80    b"]


def test_an_empty_cell_shows_a_dash() -> None:
    assert formatting.table(("A", "B", "C"), [(None, "", 0)])[1] == "-  -  0"


def test_a_cell_has_no_control_characters() -> None:
    assert formatting.cell("a\nb\x1b[2J") == "a?b?[2J"


def test_colour_does_not_shift_the_columns() -> None:
    lines = formatting.table(("STATE", "PORT"), [("ready", 1), ("starting", 2)])
    assert lines[1] != click.unstyle(lines[1])
    assert [click.unstyle(line) for line in lines] == ["STATE     PORT", "ready     1", "starting  2"]


def test_only_the_state_column_has_colour() -> None:
    line = formatting.table(("PROJECT",), [("ready",)])[1]
    assert line == "ready"


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0s"), (0.9, "0s"), (59, "59s"), (61, "1m01s"), (11520, "3h12m"), (90000, "1d1h")],
)
def test_a_duration_has_its_two_largest_units(seconds: float, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("facts", "text"),
    [
        (None, "unknown process"),
        ({"pid": None, "command": [], "user": None}, "unknown process"),
        ({"pid": None, "command": [], "user": "eve"}, "unknown process of eve"),
        ({"pid": 5, "command": ["python", "-m", "http.server"], "user": "me"}, "pid 5 (python -m http.server) of me"),
    ],
)
def test_an_occupant_is_shown_as_far_as_known(facts: dict[str, object] | None, text: str) -> None:
    assert formatting.occupant(facts) == text


def test_a_long_command_line_is_shortened() -> None:
    assert len(formatting.shortened_command_line(["x" * 100])) == 60


def test_an_error_for_people_has_message_details_and_hint(capsys: pytest.CaptureFixture[str]) -> None:
    problem = StartFailed("it ended", hint="godot-supervisor logs x", data={"log_tail": ["line 1", "line 2"]})
    output.error(problem, as_json=False)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "error: it ended\n  | line 1\n  | line 2\nhint: godot-supervisor logs x\n"


def test_an_error_names_the_occupants_of_exhausted_ports(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"port": 8000, "occupant": {"pid": 7, "command": ["nc"], "user": "me"}}]
    output.error(PortsExhausted("all taken", data={"occupants": rows}), as_json=False)
    assert "  | port 8000: pid 7 (nc) of me\n" in capsys.readouterr().err


def test_an_error_as_json_is_the_error_object_of_the_protocol(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Busy("stopping", retry_after_ms=200, data={"running": {"method": "server.stop"}})
    output.error(problem, as_json=True)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert json.loads(printed.err) == problem.to_wire()


def test_progress_with_json_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress = output.ProgressDisplay(quiet=True)
    progress.update({"stage": "installing", "message": "x"})
    progress.end()
    assert capsys.readouterr() == ("", "")


def progress_of(stage: str, message: str = "", **counts: int) -> dict[str, object]:
    return {"stage": stage, "message": message, **counts}


def test_progress_in_a_pipe_is_a_line_per_stage_and_interval(
    capsys: pytest.CaptureFixture[str],
) -> None:
    times = iter([0.0, 0.1, 1.9, 2.0, 2.1])
    progress = output.ProgressDisplay(quiet=False, clock=lambda: next(times))
    progress.update(progress_of("installing", "a", done=1))
    progress.update(progress_of("installing", "b", done=2))
    progress.update(progress_of("starting"))
    progress.update(progress_of("installing", "c", done=3, total=4))
    progress.update(progress_of("installing", "d", done=4, total=4))
    progress.end()
    assert capsys.readouterr() == ("", "installing 1: a\nstarting\ninstalling 3 of 4: c\n")


def test_a_long_stage_prints_again(capsys: pytest.CaptureFixture[str]) -> None:
    times = iter([0.0, 2.5])
    progress = output.ProgressDisplay(quiet=False, clock=lambda: next(times))
    progress.update(progress_of("installing", "a"))
    progress.update(progress_of("installing", "b"))
    assert capsys.readouterr().err == "installing: a\ninstalling: b\n"


def test_progress_on_a_terminal_rewrites_its_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    progress = output.ProgressDisplay(quiet=False)
    progress.update(progress_of("installing", "x"))
    progress.update(progress_of("done"))
    progress.update(progress_of("x" * 500))
    progress.end()
    first, second, long, rest = capsys.readouterr().err[1:].replace("\n", "\r").split("\r")
    assert (first, second) == ("installing: x", "done         ")
    assert (len(long), rest) == (119, "")


def test_the_last_column_shrinks_first_then_the_widest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "size", lambda _: (40, 24))
    rows = [("a" * 12, "b" * 10, "c" * 60)]
    assert formatting.table(("A", "B", "C"), rows)[1] == f"{'a' * 12}  {'b' * 10}  {'c' * 11}..."
    rows = [("a" * 30, "b" * 10, "c" * 60)]
    assert formatting.table(("A", "B", "C"), rows)[1] == f"{'a' * 15}...  {'b' * 10}  {'c' * 5}..."
    assert all(len(line) <= 40 for line in formatting.table(("A", "B", "C"), rows))


def test_off_a_terminal_nothing_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terminal, "size", lambda _: None)
    assert formatting.table(("A", "B"), [("a", "c" * 300)])[1] == "a  " + "c" * 300


def test_the_home_folder_becomes_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    assert formatting.tilde(str(tmp_path / "log" / "a.log")) == f"~{os.sep}log{os.sep}a.log"
    assert formatting.tilde(f"{tmp_path}-two") == f"{tmp_path}-two"
    assert formatting.tilde("x.log") == "x.log"


@pytest.mark.parametrize(
    ("columns", "width"), [("200", 200), ("40", 40), ("", 80), ("0", 80), ("-3", 80), ("wide", 80), ("9" * 5000, 80)]
)
def test_the_variable_columns_wins(monkeypatch: pytest.MonkeyPatch, columns: str, width: int) -> None:
    monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((80, 24)))
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.delenv("LINES", raising=False)
    assert terminal.size(sys.stdout) == (width, 24)


def test_equal_progress_in_a_pipe_prints_once(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 1000, 5))
    progress = output.ProgressDisplay(quiet=False, clock=lambda: float(next(clock)))
    for done in (76, 77, 77, 77):
        progress.update({"stage": "installing", "done": done, "total": 77})
    progress.update({"stage": "starting"})
    progress.update({"stage": "starting"})
    assert capsys.readouterr().err.splitlines() == ["installing 76 of 77", "installing 77 of 77", "starting"]


def test_a_port_without_a_known_holder_shows_the_reason() -> None:
    row = {"port": 8000, "pid": None, "command": None, "user": None, "reason": "the system has excluded it"}
    (line,) = output._details({"occupants": [row]})
    assert line == "port 8000: the system has excluded it"
