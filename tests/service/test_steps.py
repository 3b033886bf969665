"""Steps in order, and their record."""

import sys
from pathlib import Path

import pytest

from supervisor.errors import ServiceRefused, StateNotWritable
from supervisor.service.steps import NO_SUCH_PROGRAM, CommandResult, Step, Steps, system_runner
from tests.service.scripted import WELL, Script


def test_a_file_is_written_once(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "unit"
    steps = Steps(Script({}))
    assert steps.write(file, "text")
    assert not steps.write(file, "text")
    assert steps.write(file, "other")
    assert file.read_text() == "other"
    assert [step.action for step in steps.taken] == ["wrote", "unchanged", "wrote"]
    assert [path.name for path in file.parent.iterdir()] == ["unit"]


def test_a_dry_run_changes_nothing_and_records_the_same_steps(tmp_path: Path) -> None:
    (tmp_path / "old").touch()
    script = Script({"ctl ask": WELL, "ctl do": WELL})

    def story(steps: Steps) -> list[tuple[str, str]]:
        steps.make_folder(tmp_path / "logs")
        steps.write(tmp_path / "unit", "text")
        steps.ask("ctl", "ask")
        steps.run("ctl", "do")
        steps.act("stopped", "it", (tmp_path / "act").touch)
        steps.remove(tmp_path / "old")
        return [(step.action, step.what) for step in steps.taken]

    told = story(Steps(script, dry_run=True))
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert script.asked == ["ctl ask"]
    assert story(Steps(script)) == told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["act", "logs", "unit"]


def test_a_failed_command_is_an_error_with_its_output() -> None:
    steps = Steps(Script({"ctl": CommandResult(4, "", "a hint\nno such unit\n")}))
    with pytest.raises(ServiceRefused, match="ctl failed: no such unit") as caught:
        steps.run("ctl", "start", "it")
    assert caught.value.data == {"command": ["ctl", "start", "it"], "exit": 4, "output": "a hint\nno such unit"}
    assert steps.run("ctl", accepted=(0, 4)).status == 4
    assert steps.run("ctl", may_fail=True).status == 4
    assert steps.taken[0] == Step("ran", "ctl start it", 4)


def test_the_runner_returns_status_and_output_and_gives_no_input() -> None:
    program = "import sys; sys.stdin.read(); print('out'); print('err', file=sys.stderr); sys.exit(3)"
    assert system_runner()((sys.executable, "-c", program)) == CommandResult(3, "out\n", "err\n")


def test_a_missing_program_is_a_result_and_no_traceback() -> None:
    ran = system_runner()(("no-such-service-manager",))
    assert (ran.status, ran.last_line) == (NO_SUCH_PROGRAM, "no-such-service-manager is not installed")


def test_a_folder_that_cannot_be_written_is_a_typed_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StateNotWritable):
        Steps(Script({})).write(tmp_path / "file" / "unit", "text")
