"""The schema of the elements in our task: [MS-TSCH] 2.5, "Task Scheduler Schema"."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from xml.etree import ElementTree as ET

NAMESPACE = "{http://schemas.microsoft.com/windows/2004/02/mit/task}"

Check = Callable[[str], bool]


def matching(pattern: str) -> Check:
    return lambda text: re.fullmatch(pattern, text) is not None


def one_of(*words: str) -> Check:
    return lambda text: text in words


def number(low: int, high: int) -> Check:
    return lambda text: text.isdecimal() and low <= int(text) <= high


BOOLEAN = one_of("true", "false")
DURATION = matching(r"P(?!$)(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")
TEXT = matching(r"(?s).+")
USER = matching(r"(S-1-[\d-]+|([^\\]+\\)?[^\\]+)")

# In the schema's order where that is a sequence ("then"); anywhere in it otherwise.
TASK: Mapping[str, Any] = {
    "RegistrationInfo": {"Author": TEXT, "Version": TEXT, "Description": TEXT, "URI": matching(r"\\[^\\/:*?\"<>|]+")},
    "Triggers": {"LogonTrigger": {"Enabled": BOOLEAN, "UserId": USER}},
    "Principals": {
        "Principal": {
            "UserId": USER,
            "LogonType": one_of("S4U", "Password", "InteractiveToken"),
            "RunLevel": one_of("LeastPrivilege", "HighestAvailable"),
        }
    },
    "Settings": {
        "MultipleInstancesPolicy": one_of("Parallel", "Queue", "IgnoreNew", "StopExisting"),
        "DisallowStartIfOnBatteries": BOOLEAN,
        "StopIfGoingOnBatteries": BOOLEAN,
        "AllowHardTerminate": BOOLEAN,
        "StartWhenAvailable": BOOLEAN,
        "AllowStartOnDemand": BOOLEAN,
        "Enabled": BOOLEAN,
        "Hidden": BOOLEAN,
        "RunOnlyIfIdle": BOOLEAN,
        "WakeToRun": BOOLEAN,
        "ExecutionTimeLimit": DURATION,
        "Priority": number(0, 10),
        # restartType: Interval from PT1M to P31D, Count an unsigned byte of at least 1.
        "RestartOnFailure": {"Interval": DURATION, "Count": number(1, 255)},
    },
    "Actions": {"Exec": {"Command": TEXT, "Arguments": TEXT}},
}


def offences(xml: str) -> list[str]:
    """Return what the Task Scheduler would refuse."""
    task = ET.fromstring(xml.partition("?>")[2])
    found = [*_children("Task", task, TASK)]
    if task.tag != f"{NAMESPACE}Task" or task.get("version") not in ("1.2", "1.3", "1.4"):
        found.append("it is no task")
    principals = [each.get("id") for each in task.iter(f"{NAMESPACE}Principal")]
    contexts = [each.get("Context") for each in task.iter(f"{NAMESPACE}Actions")]
    if principals != contexts:
        found.append("whose actions they are is not said")
    return found


def _children(path: str, element: ET.Element, known: Mapping[str, Any]) -> Iterator[str]:
    names = [child.tag.removeprefix(NAMESPACE) for child in element]
    if len(names) != len(set(names)) or not set(names) <= set(known):
        yield f"{path} has {names}"
        return
    for name, child in zip(names, element, strict=True):
        rule = known[name]
        if not callable(rule):
            yield from _children(f"{path}/{name}", child, rule)
        elif len(child) or not rule(child.text or ""):
            yield f"{path}/{name} cannot be {child.text!r}"
