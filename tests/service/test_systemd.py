"""The systemd user unit, and the commands of systemctl. `tests/e2e/test_systemd.py` tests the real systemd."""

from pathlib import Path

import pytest

from supervisor.errors import InvalidParams, ServiceRefused
from supervisor.service.steps import CommandResult, Steps
from supervisor.service.systemd import SystemdUnit
from tests.service.scripted import WELL, Answer, Script, in_turn, installation

SHOW = "systemctl --user show --property=ActiveState"
SILENT = CommandResult(1, "", "Failed to connect to bus: No medium found\n")


def shown(active: str = "inactive", pid: int = 0, file: str = "") -> CommandResult:
    return CommandResult(0, f"MainPID={pid}\nActiveState={active}\nUnitFileState={file}\n", "")


def answers(**changed: Answer) -> dict[str, Answer]:
    return {
        "systemctl --user show --property=Version": WELL,
        SHOW: shown(),
        "systemctl --user": WELL,
        "loginctl show-user": CommandResult(0, "yes\n", ""),
        **changed,
    }


def make(tmp_path: Path, script: Script, *, dry_run: bool = False, **facts: object) -> tuple[SystemdUnit, Steps]:
    steps = Steps(script, dry_run=dry_run)
    return SystemdUnit(installation(tmp_path, **facts), steps, tmp_path / "units", 1000), steps


def changes(steps: Steps) -> list[str]:
    return [step.what.removeprefix("systemctl --user ") for step in steps.taken if step.action == "ran"]


def settings(text: str) -> dict[str, str]:
    return dict(line.split("=", 1) for line in text.splitlines() if "=" in line)


def test_the_unit_keeps_servers_alive_and_its_daemon_watched(tmp_path: Path) -> None:
    unit = settings(make(tmp_path, Script({}))[0].text())
    wanted = {
        "Type": "notify",
        "NotifyAccess": "main",
        "KillMode": "process",
        "OOMPolicy": "continue",
        "UMask": "0077",
        "Restart": "on-failure",
        "RestartPreventExitStatus": "78",
        "WatchdogSec": "30",
        "StartLimitIntervalSec": "60",
        "StartLimitBurst": "5",
        "WantedBy": "default.target",
        "ExecStart": '"/opt/tools/bin/python" "-P" "-m" "supervisor" "service" "run"',
        "Environment": '"PATH=/usr/local/bin:/usr/bin"',
    }
    assert wanted.items() <= unit.items()


def test_the_unit_sets_no_restriction_that_servers_would_inherit(tmp_path: Path) -> None:
    unit = settings(make(tmp_path, Script({}))[0].text())
    hardening = ("Private", "Protect", "Restrict", "System", "Memory", "NoNewPrivileges", "Lock", "Limit", "IPAddress")
    assert [name for name in unit if name.startswith(hardening)] == []


def test_characters_that_systemd_expands_are_escaped(tmp_path: Path) -> None:
    home = "/h $HOME %t"
    service, _ = make(
        tmp_path, Script({}), program='/o p/%h/$HOME/"q"/\\x', arguments=("run", home), variables={"PATH": "/a %b/$c"}
    )
    unit = settings(service.text())
    assert unit["ExecStart"] == r'"/o p/%%h/$HOME/\"q\"/\\x" "run" "/h $$HOME %%t"'
    assert unit["Environment"] == '"PATH=/a %%b/$c"'


def test_a_path_with_a_line_break_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidParams):
        make(tmp_path, Script({}), program="/opt/a\nExecStop=/b")[0].text()


def test_the_unit_is_written_loaded_enabled_and_started(tmp_path: Path) -> None:
    service, steps = make(tmp_path, Script(answers()))
    service.install()
    service.start()
    assert service.file.read_text() == service.text()
    unit = "godot-supervisor.service"
    assert changes(steps) == ["daemon-reload", f"enable {unit}", f"start {unit}"]
    assert steps.notes == []


def test_a_second_installation_has_nothing_to_do(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()))[0].install()
    service, steps = make(tmp_path, Script(answers(**{SHOW: shown("active", 7, "enabled")})))
    service.install()
    service.start()
    assert [step.action for step in steps.taken] == ["unchanged"]


def test_a_moved_installation_is_noticed_and_repaired(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()), program="/old/python", version="1.2.2")[0].install()
    service, steps = make(tmp_path, Script(answers(**{SHOW: shown("active", 7, "enabled")})))
    words = '"-P" "-m" "supervisor" "service" "run"'
    assert service.report().differences == (
        "written by version 1.2.2, and this is 1.2.3",
        f'it starts "/old/python" {words}, and this installation is "/opt/tools/bin/python" {words}',
    )
    service.install()
    service.start()
    unit = "godot-supervisor.service"
    assert changes(steps) == ["daemon-reload", f"reset-failed {unit}", f"restart {unit}"]
    assert service.report().differences == ()


def test_an_edited_unit_is_noticed(tmp_path: Path) -> None:
    service, _ = make(tmp_path, Script(answers()))
    service.install()
    edited = service.text().replace("KillMode=process", "KillMode=mixed").replace("UMask=0077\n", "PrivateTmp=yes\n")
    service.file.write_text(edited)
    assert service.report().differences == (
        "KillMode is mixed instead of process",
        "UMask is missing instead of 0077",
        "PrivateTmp is yes, which this installation does not write",
    )


def test_another_path_variable_is_no_difference(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()), variables={"PATH": "/elsewhere"})[0].install()
    assert make(tmp_path, Script(answers()))[0].report().differences == ()


def test_without_a_service_manager_nothing_is_written(tmp_path: Path) -> None:
    service, steps = make(tmp_path, Script({"systemctl": SILENT}))
    with pytest.raises(ServiceRefused, match="No medium found") as caught:
        service.install()
    assert caught.value.hint == "the daemon runs without a service too: godot-supervisor start"
    assert steps.taken == []
    assert not service.file.exists()


def test_lingering_is_enabled(tmp_path: Path) -> None:
    script = Script(answers(**{"loginctl show-user": CommandResult(0, "no\n", ""), "loginctl --no-ask-password": WELL}))
    service, steps = make(tmp_path, script)
    service.install()
    assert "loginctl --no-ask-password enable-linger" in changes(steps)
    assert steps.notes == []


def test_refused_lingering_is_a_note_and_no_failure(tmp_path: Path) -> None:
    refused = CommandResult(1, "", "Could not enable linger: Access denied\n")
    script = Script(
        answers(**{"loginctl show-user": CommandResult(0, "no\n", ""), "loginctl --no-ask-password": refused})
    )
    service, steps = make(tmp_path, script)
    service.install()
    (note,) = steps.notes
    assert "Access denied" in note
    assert "sudo loginctl enable-linger 1000" in note
    assert service.report().lingering is False


def test_a_failed_unit_may_try_again(tmp_path: Path) -> None:
    script = Script(answers(**{SHOW: shown("failed", file="enabled")}))
    service, steps = make(tmp_path, script)
    service.install()
    service.start()
    assert changes(steps)[-2:] == ["reset-failed godot-supervisor.service", "start godot-supervisor.service"]


def test_a_failed_start_names_the_journal(tmp_path: Path) -> None:
    script = Script(answers(**{"systemctl --user start": CommandResult(1, "", "Job failed.\n")}))
    service, _ = make(tmp_path, script)
    service.install()
    with pytest.raises(ServiceRefused) as caught:
        service.start()
    assert caught.value.hint == "journalctl --user -u godot-supervisor.service"


def test_removal_stops_the_unit_and_can_be_repeated(tmp_path: Path) -> None:
    service, _ = make(tmp_path, Script(answers()))
    service.install()
    again, steps = make(tmp_path, Script(answers()))
    again.remove()
    unit = "godot-supervisor.service"
    assert changes(steps) == [f"disable --now {unit}", "daemon-reload", f"reset-failed {unit}"]
    assert not again.file.exists()
    assert steps.notes == ["lingering stays enabled; to end it: loginctl disable-linger"]
    last, steps = make(tmp_path, Script({}))
    last.remove()
    assert steps.taken == []


def test_the_unit_is_removed_without_a_service_manager(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()))[0].install()
    service, steps = make(tmp_path, Script({"systemctl": SILENT, "loginctl": SILENT}))
    service.remove()
    assert [step.action for step in steps.taken] == ["removed"]
    assert "nothing was stopped" in steps.notes[0]


def test_a_daemon_is_started_through_an_installed_unit_only(tmp_path: Path) -> None:
    script = Script(answers(**{"systemctl --user start": in_turn(WELL, CommandResult(1, "", "no"))}))
    service, _ = make(tmp_path, script)
    assert not service.start_if_installed()
    assert script.asked == []
    service.install()
    assert service.start_if_installed()
    assert not service.start_if_installed()


def test_a_start_by_a_user_is_not_counted_with_the_crashes(tmp_path: Path) -> None:
    """systemd 257 refuses the sixth start within a minute, no matter what caused the five before."""
    make(tmp_path, Script(answers()))[0].install()
    script = Script(answers())
    assert make(tmp_path, script)[0].start_if_installed()
    assert script.asked[-2:] == [
        f"systemctl --user {word} godot-supervisor.service" for word in ("reset-failed", "start")
    ]


def test_a_stopping_unit_is_started_after_its_end(tmp_path: Path) -> None:
    """Found under load: starting a unit that still runs has no effect, so the next daemon started without the unit."""
    make(tmp_path, Script(answers()))[0].install()
    leaves = in_turn(shown("active", 7), shown("active", 7), shown("deactivating", 7), shown("inactive"))
    script = Script(answers(**{SHOW: leaves}))
    assert make(tmp_path, script)[0].start_if_installed()
    asked = [line.split()[2] for line in script.asked]
    assert asked == ["show", "show", "show", "show", "reset-failed", "start"]


def test_a_dry_run_needs_no_service_manager(tmp_path: Path) -> None:
    silent = Script({"systemctl": SILENT, "loginctl": SILENT})
    service, steps = make(tmp_path, silent, dry_run=True)
    service.install()
    service.start()
    written = next(step for step in steps.taken if step.action == "wrote")
    assert written.text == service.text()
    assert not service.file.exists()
    assert steps.notes[0].endswith("No medium found; nothing can be installed from here")
    assert [changes(steps)[0], changes(steps)[-1]] == ["daemon-reload", "start godot-supervisor.service"]


def test_a_dry_run_runs_no_command_that_changes_anything(tmp_path: Path) -> None:
    script = Script({"systemctl --user show": shown(), "loginctl show-user": CommandResult(0, "no\n", "")})
    service, steps = make(tmp_path, script, dry_run=True)
    service.install()
    service.start()
    assert len(changes(steps)) == 4
    assert not service.file.exists()
