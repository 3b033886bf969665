"""Key names and value types after launchd.plist(5), and the rules that this daemon depends on."""

from collections.abc import Iterator, Mapping
from typing import Any

B, I, S, D = bool, int, str, dict  # noqa: E741 (one letter keeps the table readable)

SCHEMA: Mapping[str, Any] = {
    "Label": S, "Disabled": B, "Program": S, "ProgramArguments": [S], "BundleProgram": S, "EnableGlobbing": B,
    "EnableTransactions": B, "EnablePressuredExit": B, "KeepAlive": (B, D), "RunAtLoad": B, "RootDirectory": S,
    "WorkingDirectory": S, "EnvironmentVariables": {S: S}, "Umask": (I, S), "TimeOut": I, "ExitTimeOut": I,
    "ThrottleInterval": I, "InitGroups": B, "WatchPaths": [S], "QueueDirectories": [S], "StartOnMount": B,
    "StartInterval": I, "StartCalendarInterval": (D, list), "StandardInPath": S, "StandardOutPath": S,
    "StandardErrorPath": S, "Debug": B, "WaitForDebugger": B, "SoftResourceLimits": {S: I},
    "HardResourceLimits": {S: I}, "Nice": I, "ProcessType": S, "AbandonProcessGroup": B, "LowPriorityIO": B,
    "LowPriorityBackgroundIO": B, "MaterializeDatalessFiles": B, "LaunchOnlyOnce": B, "MachServices": D, "Sockets": D,
    "LaunchEvents": D, "LimitLoadToSessionType": (S, [S]), "LimitLoadToHosts": [S], "LimitLoadFromHosts": [S],
    "LimitLoadToHardware": D, "LimitLoadFromHardware": D, "UserName": S, "GroupName": S, "inetdCompatibility": D,
    "HopefullyExitsFirst": B, "HopefullyExitsLast": B, "LegacyTimers": B, "SessionCreate": B,
    "AssociatedBundleIdentifiers": (S, [S]),
}  # fmt: skip
KEEP_ALIVE: Mapping[str, Any] = {
    "SuccessfulExit": B, "Crashed": B, "NetworkState": B, "PathState": {S: B}, "OtherJobEnabled": {S: B},
    "AfterInitialDemand": B,
}  # fmt: skip
CHOICES = {
    "ProcessType": {"Background", "Standard", "Adaptive", "Interactive"},
    "LimitLoadToSessionType": {"Aqua", "LoginWindow", "Background", "StandardIO", "System"},
}
NOT_FOR_AN_AGENT = {"UserName", "GroupName", "RootDirectory", "SessionCreate"}


def offences(agent: Mapping[str, Any]) -> list[str]:
    """Return what launchd would not understand, and what would do harm."""
    return [*_syntax(agent), *_rules(agent)]


def _syntax(agent: Mapping[str, Any]) -> Iterator[str]:
    for key, value in agent.items():
        if key not in SCHEMA:
            yield f"unknown key {key}"
        elif not _fits(value, SCHEMA[key]):
            yield f"{key} has the wrong type"
        for each in (value if isinstance(value, list) else [value]) if key in CHOICES else []:
            if each not in CHOICES[key]:
                yield f"{key}: {each} is not one of them"
    keep = agent.get("KeepAlive")
    for key, value in keep.items() if isinstance(keep, dict) else ():
        if key not in KEEP_ALIVE or not _fits(value, KEEP_ALIVE[key]):
            yield f"KeepAlive.{key} is unknown, or has the wrong type"


def _rules(agent: Mapping[str, Any]) -> Iterator[str]:
    program = (agent.get("ProgramArguments") or [""])[0]
    rules = {
        "there is no Label": bool(agent.get("Label")),
        "launchd's PATH is not the user's: the program has to be absolute": program.startswith("/"),
        "launchd would kill what is left of the process group": agent.get("AbandonProcessGroup") is True,
        "launchd would start again what a user has stopped": agent.get("KeepAlive") is not True,
        "launchd would start it all the time": agent.get("ThrottleInterval", 10) >= 1,
        "launchd would throttle every server with it": agent.get("ProcessType") != "Background",
        "a key does not belong into an agent": not agent.keys() & NOT_FOR_AN_AGENT,
    }
    yield from (rule for rule, holds in rules.items() if not holds)
    for key in ("StandardOutPath", "StandardErrorPath", "WorkingDirectory"):
        value = agent.get(key, "/")
        if not value.startswith("/") or "~" in value or "$" in value:
            yield f"{key}: launchd expands neither ~ nor $"


def _fits(value: Any, kind: Any) -> bool:
    if isinstance(kind, tuple):
        return any(_fits(value, each) for each in kind)
    if isinstance(kind, list):
        return isinstance(value, list) and all(_fits(each, kind[0]) for each in value)
    if isinstance(kind, dict):
        ((name, inner),) = kind.items()
        return isinstance(value, dict) and all(_fits(k, name) and _fits(v, inner) for k, v in value.items())
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
