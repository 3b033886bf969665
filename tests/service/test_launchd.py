"""The launchd agent, and the commands of launchctl, with the answers that it is known to give."""

import plistlib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from supervisor.errors import ServiceRefused
from supervisor.service.launchd import LaunchdAgent
from supervisor.service.steps import CommandResult, Steps
from tests.service.plist_rules import offences
from tests.service.scripted import WELL, Answer, Script, in_turn, installation

GUI = "gui/501"
LABEL = "io.github.godot-supervisor"
NOT_FOUND = CommandResult(113, "", f'Could not find service "{LABEL}" in domain for port\n')
NO_SCREEN = CommandResult(125, "", "Bootstrap failed: 125: Domain does not support specified action\n")
LOADED_ALREADY = CommandResult(5, "", "Bootstrap failed: 5: Input/output error\n")
IN_PROGRESS = CommandResult(37, "", "Bootstrap failed: 37: Operation already in progress\n")
PRINTED = CommandResult(
    0, f"{GUI}/{LABEL} = {{\n\tstate = running\n\tpid = 812\n\tevents = {{\n\t\tstate = 0\n\t}}\n}}\n", ""
)


def make(tmp_path: Path, script: Script, *, dry_run: bool = False, **facts: object) -> tuple[LaunchdAgent, Steps]:
    steps = Steps(script, dry_run=dry_run)
    agents = tmp_path / "Library" / "LaunchAgents"
    return LaunchdAgent(installation(tmp_path, **facts), steps, agents, 501, pause=lambda _: None), steps


def answers(**changed: Answer) -> dict[str, Answer]:
    return {f"launchctl print {GUI}": WELL, f"launchctl print {GUI}/{LABEL}": NOT_FOUND, "launchctl": WELL, **changed}


def changes(steps: Steps) -> list[str]:
    return [step.what.removeprefix("launchctl ") for step in steps.taken if step.action == "ran"]


def agent(tmp_path: Path, **facts: object) -> dict[str, Any]:
    found: dict[str, Any] = plistlib.loads(make(tmp_path, Script({}), **facts)[0].text().encode())
    return found


@pytest.mark.linux_only(and_macos=True)
def test_the_agent_follows_the_rules_of_launchd(tmp_path: Path) -> None:
    found = agent(tmp_path)
    assert offences(found) == []
    assert found["ProgramArguments"] == ["/opt/tools/bin/python", "-P", "-m", "supervisor", "service", "run"]
    assert found["KeepAlive"] == {"SuccessfulExit": False}
    assert found["Umask"] == 0o077
    assert found["EnvironmentVariables"] == {"PATH": "/usr/local/bin:/usr/bin"}


@pytest.mark.parametrize(
    "change",
    [
        {"Labl": "x"}, {"RunAtLoad": "yes"}, {"Umask": True}, {"KeepAlive": True}, {"KeepAlive": {"Crash": True}},
        {"ProcessType": "Background"}, {"AbandonProcessGroup": False}, {"ThrottleInterval": 0}, {"UserName": "me"},
        {"StandardOutPath": "~/log"}, {"ProgramArguments": ["godot-supervisor"]}, {"Label": ""},
        {"LimitLoadToSessionType": ["Water"]}, {"EnvironmentVariables": {"PATH": 1}},
    ],
)  # fmt: skip
def test_the_rules_refuse_a_wrong_agent(tmp_path: Path, change: dict[str, Any]) -> None:
    assert offences({**agent(tmp_path), **change}) != []


def test_names_with_xml_characters_arrive_unchanged(tmp_path: Path) -> None:
    found = agent(tmp_path, program="/o p/<a>&amp;/python", variables={"PATH": "/a&b"})
    assert found["ProgramArguments"][0] == "/o p/<a>&amp;/python"
    assert found["EnvironmentVariables"] == {"PATH": "/a&b"}


def test_another_parser_reads_the_same_agent(tmp_path: Path) -> None:
    service, _ = make(tmp_path, Script({}))
    (top,) = ET.fromstring(service.text())
    assert read(top) == agent(tmp_path)


def read(element: ET.Element) -> Any:
    """Return a value of a property list, read by the rules of plist(5) for its XML."""
    if element.tag == "dict":
        keys, values = element[::2], element[1::2]
        assert [key.tag for key in keys] == ["key"] * len(values)
        return {key.text: read(value) for key, value in zip(keys, values, strict=True)}
    if element.tag == "array":
        return [read(each) for each in element]
    if element.tag in ("true", "false"):
        return element.tag == "true"
    return {"string": str, "integer": int}[element.tag](element.text)


def test_the_agent_is_written_and_loaded(tmp_path: Path) -> None:
    service, steps = make(tmp_path, Script(answers()))
    service.install()
    service.start()
    assert service.file == tmp_path / "Library" / "LaunchAgents" / f"{LABEL}.plist"
    assert plistlib.loads(service.file.read_bytes())["Label"] == LABEL
    assert (tmp_path / "logs").is_dir()
    assert changes(steps) == [f"enable {GUI}/{LABEL}", f"bootstrap {GUI} {service.file}"]


def test_a_second_installation_only_starts_the_agent(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()))[0].install()
    service, steps = make(tmp_path, Script(answers(**{f"launchctl print {GUI}/{LABEL}": PRINTED})))
    service.install()
    service.start()
    assert changes(steps) == [f"enable {GUI}/{LABEL}", f"kickstart {GUI}/{LABEL}"]
    assert "-k" not in " ".join(changes(steps))


def test_a_changed_agent_is_loaded_after_the_old_one_is_unloaded(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()), program="/old/python")[0].install()
    leaves = in_turn(PRINTED, PRINTED, PRINTED, NOT_FOUND)
    script = Script(answers(**{f"launchctl print {GUI}/{LABEL}": leaves}))
    service, steps = make(tmp_path, script)
    service.install()
    service.start()
    target = f"{GUI}/{LABEL}"
    assert changes(steps) == [f"enable {target}", f"bootout {target}", f"bootstrap {GUI} {service.file}"]
    between = script.asked[script.asked.index(f"launchctl bootout {target}") :]
    assert between.count(f"launchctl print {target}") == 3


@pytest.mark.parametrize("refusal", [LOADED_ALREADY, IN_PROGRESS])
def test_a_loaded_agent_is_unloaded_first(tmp_path: Path, refusal: CommandResult) -> None:
    script = Script(answers(**{"launchctl bootstrap": in_turn(refusal, WELL)}))
    service, steps = make(tmp_path, script)
    service.install()
    service.start()
    load = f"bootstrap {GUI} {service.file}"
    assert changes(steps)[1:] == [load, f"bootout {GUI}/{LABEL}", load]


def test_a_final_refusal_is_reported(tmp_path: Path) -> None:
    service, _ = make(tmp_path, Script(answers(**{"launchctl bootstrap": LOADED_ALREADY})))
    service.install()
    with pytest.raises(ServiceRefused, match="Input/output error"):
        service.start()


@pytest.mark.parametrize("told_by", ["print", "bootstrap"])
def test_without_a_screen_the_background_session_is_used(tmp_path: Path, told_by: str) -> None:
    script = Script(
        answers(
            **{
                f"launchctl print {GUI}": NO_SCREEN if told_by == "print" else WELL,
                f"launchctl bootstrap {GUI}": NO_SCREEN,
                "launchctl print user/501": NOT_FOUND,
            }
        )
    )
    service, steps = make(tmp_path, script)
    service.install()
    service.start()
    assert changes(steps)[-1] == f"bootstrap user/501 {service.file}"
    assert len(steps.notes) == 1


def test_without_launchd_nothing_is_written(tmp_path: Path) -> None:
    service, steps = make(tmp_path, Script({"launchctl": CommandResult(127, "", "launchctl is not there")}))
    with pytest.raises(ServiceRefused):
        service.install()
    assert steps.taken == []


def test_an_agent_that_is_not_unloaded_is_reported(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()), program="/old/python")[0].install()
    service, _ = make(tmp_path, Script(answers(**{f"launchctl print {GUI}/{LABEL}": PRINTED})))
    service.install()
    with pytest.raises(ServiceRefused, match="does not unload"):
        service.start()


def test_status_shows_what_launchd_prints(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()), program="/old/python", version="1.2.2")[0].install()
    service, _ = make(tmp_path, Script(answers(**{f"launchctl print {GUI}/{LABEL}": PRINTED})))
    report = service.report()
    assert (report.installed, report.state, report.pid) == (True, "running", 812)
    assert service.main_pid() == 812
    assert len(report.differences) == 2
    service.file.write_text("no list")
    assert "cannot be read" in service.report().differences[0]


def test_removal_unloads_the_agent_and_can_be_repeated(tmp_path: Path) -> None:
    make(tmp_path, Script(answers()))[0].install()
    script = Script(
        {"launchctl print gui": NOT_FOUND, "launchctl print user": in_turn(PRINTED, NOT_FOUND), "launchctl": WELL}
    )
    service, steps = make(tmp_path, script)
    service.remove()
    assert changes(steps) == [f"bootout user/501/{LABEL}"]
    assert not service.file.exists()
    again, steps = make(tmp_path, Script({"launchctl print": NOT_FOUND}))
    again.remove()
    assert steps.taken == []


def test_each_home_has_its_own_label(tmp_path: Path) -> None:
    assert agent(tmp_path, name="godot-supervisor-abc")["Label"] == f"{LABEL}.abc"
