"""A service manager's commands, answered from a script."""

from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.service.installation import Installation
from supervisor.service.steps import CommandResult

WELL = CommandResult(0, "", "")

Answer = CommandResult | Callable[[], CommandResult]


class Script:
    """A runner that answers by the longest known beginning of a command, and records the commands."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str]) -> CommandResult:
        line = " ".join(argv)
        self.asked.append(line)
        known = [beginning for beginning in self.answers if line.startswith(beginning)]
        assert known, f"nobody expects {line}"
        answer = self.answers[max(known, key=len)]
        return answer if isinstance(answer, CommandResult) else answer()


def in_turn(*answers: CommandResult) -> Callable[[], CommandResult]:
    """Return the answers one after the other, and the last one from then on."""
    left = [*answers]
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def installation(folder: Path, **other: object) -> Installation:
    """Return an installation as it might be found on a disk."""
    facts: dict[str, object] = {
        "name": "godot-supervisor",
        "program": "/opt/tools/bin/python",
        "arguments": ("-P", "-m", "supervisor", "service", "run"),
        "version": "1.2.3",
        "logs": folder / "logs",
        "user_home": folder / "home",
        "variables": {"PATH": "/usr/local/bin:/usr/bin"},
        **other,
    }
    return Installation(**facts)  # type: ignore[arg-type]
