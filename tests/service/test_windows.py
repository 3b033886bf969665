"""The service on Windows. Tasks are checked by their schema; `tests/windows/test_service.py` has real services."""

import subprocess
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from supervisor.errors import InvalidParams, ServiceRefused
from supervisor.native.service_api import OWN_PROCESS, USER_OWN_PROCESS, InstalledService, ServiceDefinition
from supervisor.service.steps import CommandResult, Steps
from supervisor.service.windows import WindowsService
from supervisor.service.windows_modes import Mode, checked_account, choose_mode
from tests.service.scripted import WELL, Answer, Script, installation
from tests.service.task_schema import NAMESPACE, offences

NO_TASK = CommandResult(1, "", "ERROR: The system cannot find the file specified.\n")
PROGRAM = r"C:\Program Files\Tool & Co\Scripts\python.exe"
USER = r"LAB\dev"


class Control:
    """A service control manager that records its calls."""

    def __init__(self, *, refuses: bool = False) -> None:
        self.services: dict[str, ServiceDefinition] = {}
        self.states: dict[str, str] = {}
        self.told: list[str] = []
        self._refuses = refuses

    def query(self, name: str) -> InstalledService | None:
        made = self.services.get(name)
        if made is None:
            return None
        return InstalledService(
            made.type,
            made.command_line,
            made.account or "",
            made.description,
            True,
            self.states.get(name, "stopped"),
            None,
        )

    def create(self, definition: ServiceDefinition) -> None:
        self._tell("create")
        assert definition.name not in self.services
        self.services[definition.name] = definition

    def change(self, definition: ServiceDefinition) -> None:
        self._tell("change")
        assert self.services[definition.name].type == definition.type
        self.services[definition.name] = definition

    def start(self, name: str) -> None:
        self._tell("start")
        self.states[name] = "running"

    def stop(self, name: str) -> None:
        self._tell("stop")
        self.states[name] = "stopped"

    def delete(self, name: str) -> None:
        self._tell("delete")
        assert self.states.get(name, "stopped") == "stopped"
        del self.services[name]

    def _tell(self, what: str) -> None:
        if self._refuses:
            problem = PermissionError(13, "Access is denied")
            problem.winerror = 5  # type: ignore[attr-defined, unused-ignore]
            raise problem
        self.told.append(what)


def make(
    tmp_path: Path,
    mode: Mode = Mode.TASK,
    *,
    script: Script | None = None,
    control: Control | None = None,
    dry_run: bool = False,
    **facts: object,
) -> tuple[WindowsService, Steps]:
    steps = Steps(script or Script({"schtasks /Query": NO_TASK, "schtasks": WELL}), dry_run=dry_run)
    home = ("--home", r"C:\my home")
    facts = {"program": PROGRAM, "arguments": ("-P", "-m", "supervisor", "service", "run", *home), **facts}
    account, password = (r".\dev", "s3cret") if mode is Mode.ACCOUNT_SERVICE else (None, None)
    service = WindowsService(
        installation(tmp_path, **facts),
        steps,
        control or Control(),
        tmp_path,
        USER,
        mode=mode,
        account=account,
        password=password,
    )
    return service, steps


def changes(steps: Steps) -> list[str]:
    return [f"{step.action} {step.what}" for step in steps.taken if step.action != "unchanged"]


# --- the mode ---------------------------------------------------------------------------------------------------------


def test_the_default_mode_follows_the_prompt_and_is_explained() -> None:
    assert choose_mode(None, elevated=True)[0] is Mode.USER_SERVICE
    mode, why = choose_mode(None, elevated=False)
    assert mode is Mode.TASK
    assert "not elevated" in why


@pytest.mark.parametrize("mode", [Mode.USER_SERVICE, Mode.ACCOUNT_SERVICE])
def test_a_service_needs_an_elevated_prompt(mode: Mode) -> None:
    assert choose_mode(mode.value, elevated=True)[0] is mode
    with pytest.raises(ServiceRefused, match="elevated"):
        choose_mode(mode.value, elevated=False)
    assert choose_mode("task", elevated=True)[0] is Mode.TASK


@pytest.mark.parametrize(
    "account",
    [
        "LocalSystem",
        r".\LocalSystem",
        r"NT AUTHORITY\SYSTEM",
        r"nt authority\LocalService",
        r"NT AUTHORITY\NETWORK SERVICE",
    ],
)
def test_accounts_of_the_machine_are_refused_with_the_reason(account: str) -> None:
    with pytest.raises(InvalidParams, match="machine's own rights"):
        checked_account(account)


def test_an_account_without_domain_is_one_of_this_machine() -> None:
    assert [checked_account(name) for name in ("dev", r".\dev", r"CORP\dev", "dev@corp")] == [
        r".\dev", r".\dev", r"CORP\dev", "dev@corp",
    ]  # fmt: skip
    with pytest.raises(InvalidParams):
        checked_account(None)


# --- the task ---------------------------------------------------------------------------------------------------------


def test_the_task_follows_the_schema_of_the_scheduler(tmp_path: Path) -> None:
    text = make(tmp_path)[0].text()
    assert offences(text) == []
    task = ET.fromstring(text.partition("?>")[2])
    said = {element.tag.removeprefix(NAMESPACE): element.text for element in task.iter()}
    assert said["Command"] == PROGRAM
    assert said["Arguments"] == r'-P -m supervisor service run --home "C:\my home"'
    assert {task.findtext(f"{NAMESPACE}{path}") for path in (
        f"Triggers/{NAMESPACE}LogonTrigger/{NAMESPACE}UserId", f"Principals/{NAMESPACE}Principal/{NAMESPACE}UserId",
    )} == {USER}  # fmt: skip
    assert (said["LogonType"], said["RunLevel"]) == ("InteractiveToken", "LeastPrivilege")
    assert (said["ExecutionTimeLimit"], said["MultipleInstancesPolicy"]) == ("PT0S", "IgnoreNew")
    assert (said["Interval"], said["Count"]) == ("PT1M", "255")
    assert said["StopIfGoingOnBatteries"] == said["DisallowStartIfOnBatteries"] == "false"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (">255<", ">256<"), ("PT1M", "1M"), ("<Enabled>true<", "<Enabled>y<"), ("Priority>5", "Priority>11"),
        ("InteractiveToken", "Interactive"), ("<Hidden>false</Hidden>", "<Hid>false</Hid>"), ('id="Author"', 'id="A"'),
        ("IgnoreNew", "Ignore"), ("mit/task", "mit/tusk"), (r"<URI>\godot", "<URI>godot"),
    ],
)  # fmt: skip
def test_the_schema_refuses_a_wrong_task(tmp_path: Path, right: str, wrong: str) -> None:
    text = make(tmp_path)[0].text()
    assert right in text
    assert offences(text.replace(right, wrong)) != []


def test_the_task_is_created_and_run(tmp_path: Path) -> None:
    service, steps = make(tmp_path)
    service.install()
    service.start()
    file = tmp_path / "task.xml"
    assert changes(steps) == [
        f"wrote {file}",
        f"ran schtasks /Create /TN godot-supervisor /XML {file} /F",
        "ran schtasks /Run /TN godot-supervisor",
    ]
    assert file.read_bytes()[:2] == b"\xff\xfe"
    assert service.starts_daemon


def known_task(tmp_path: Path, **facts: object) -> dict[str, Answer]:
    text = make(tmp_path, **facts)[0].text()  # type: ignore[arg-type]
    return {"schtasks /Query": CommandResult(0, text, ""), "schtasks": WELL}


def test_an_unchanged_task_stays(tmp_path: Path) -> None:
    make(tmp_path)[0].install()
    service, steps = make(tmp_path, script=Script(known_task(tmp_path)))
    service.install()
    assert changes(steps) == []
    report = service.report()
    assert (report.installed, report.mode, report.enabled, report.differences) == (True, "task", True, ())


def test_a_task_of_a_moved_installation_is_noticed_and_repaired(tmp_path: Path) -> None:
    make(tmp_path)[0].install()
    script = Script(known_task(tmp_path, program=r"D:\old\python.exe", version="1.2.2"))
    service, steps = make(tmp_path, script=script)
    assert [told.split(",")[0] for told in service.report().differences] == [
        "written by version 1.2.2",
        r'it starts D:\old\python.exe -P -m supervisor service run --home "C:\my home"',
    ]
    service.install()
    assert [step.what.split()[1] for step in steps.taken if step.action == "ran"] == ["/Create"]


def test_a_task_is_never_ended_because_its_servers_would_end_too(tmp_path: Path) -> None:
    make(tmp_path)[0].install()
    script = Script(known_task(tmp_path))
    service, steps = make(tmp_path, script=script)
    service.remove()
    assert changes(steps) == [
        "ran schtasks /Delete /TN godot-supervisor /F",
        f"removed {tmp_path / 'task.xml'}",
    ]
    again, steps = make(tmp_path)
    again.remove()
    assert steps.taken == []


# --- services ---------------------------------------------------------------------------------------------------------


def test_a_user_service_is_created_with_its_own_type(tmp_path: Path) -> None:
    control = Control()
    service, steps = make(tmp_path, Mode.USER_SERVICE, control=control)
    service.install()
    service.start()
    made = control.services["godot-supervisor"]
    assert made.type == USER_OWN_PROCESS == 0x50
    # CreateServiceW refuses an account with a type for each user.
    assert (made.account, made.password) == (None, None)
    assert made.command_line == subprocess.list2cmdline(
        [PROGRAM, "-P", "-m", "supervisor", "service", "run", "--home", r"C:\my home"]
    )
    assert made.command_line.startswith(f'"{PROGRAM}" ')
    assert control.told == ["create"]
    assert not service.starts_daemon
    assert "next logon" in steps.notes[0]


def test_an_account_service_starts_at_once_and_hides_the_password(tmp_path: Path) -> None:
    control = Control()
    service, steps = make(tmp_path, Mode.ACCOUNT_SERVICE, control=control)
    service.install()
    service.start()
    made = control.services["godot-supervisor"]
    assert (made.type, made.account, made.password, made.delayed) == (OWN_PROCESS, r".\dev", "s3cret", True)
    assert control.told == ["create", "start"]
    everything = f"{made}{steps.taken}{steps.notes}{service.report()}"
    assert "s3cret" not in everything
    assert "session 0" in steps.notes[0]


def test_an_unchanged_service_stays_and_a_moved_one_is_repaired(tmp_path: Path) -> None:
    control = Control()
    make(tmp_path, Mode.USER_SERVICE, control=control, program=r"D:\old\python.exe")[0].install()
    service, _ = make(tmp_path, Mode.USER_SERVICE, control=control)
    assert len(service.report().differences) == 1
    service.install()
    service.install()
    assert control.told == ["create", "change"]
    assert service.report().differences == ()


def test_a_new_mode_replaces_the_old_one(tmp_path: Path) -> None:
    control = Control()
    make(tmp_path, Mode.ACCOUNT_SERVICE, control=control)[0].install()
    control.start("godot-supervisor")
    make(tmp_path, Mode.USER_SERVICE, control=control)[0].install()
    assert control.told == ["create", "start", "stop", "delete", "create"]
    make(tmp_path, Mode.TASK, control=control)[0].install()
    assert control.services == {}
    script = Script(known_task(tmp_path))
    make(tmp_path, Mode.USER_SERVICE, control=control, script=script)[0].install()
    assert any(line.startswith("schtasks /Delete") for line in script.asked)


def test_both_task_and_service_are_removed(tmp_path: Path) -> None:
    for mode in (Mode.USER_SERVICE, Mode.ACCOUNT_SERVICE):
        control = Control()
        make(tmp_path, mode, control=control)[0].install()
        service, _ = make(tmp_path, control=control)
        assert service.report().mode == mode.value
        service.remove()
        assert control.services == {}
        assert not service.report().installed


def test_a_refusal_of_windows_is_an_error_with_a_hint(tmp_path: Path) -> None:
    service, _ = make(tmp_path, Mode.USER_SERVICE, control=Control(refuses=True))
    with pytest.raises(ServiceRefused, match="denied") as caught:
        service.install()
    assert "--mode task" in (caught.value.hint or "")


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    control = Control()
    for mode in Mode:
        service, steps = make(
            tmp_path, mode, control=control, script=Script({"schtasks /Query": NO_TASK}), dry_run=True
        )
        service.install()
        service.start()
        assert steps.taken
    assert control.told == []
    assert not (tmp_path / "task.xml").exists()


def test_the_windowless_interpreter_is_used_if_there_is_one(tmp_path: Path) -> None:
    (tmp_path / "pythonw.exe").touch()
    # Paths of this system, so that the file can be there.
    service, _ = make(tmp_path, program=f"{tmp_path}/python.exe")
    task = ET.fromstring(service.text().partition("?>")[2])
    (command,) = [element.text for element in task.iter(f"{NAMESPACE}Command")]
    assert command is not None
    assert command.endswith("pythonw.exe")
