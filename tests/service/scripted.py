"""A service manager's commands, answered from a script."""

from collections.abc import Callable, Sequence
from pathlib import Path

from supervisor.service.installation import Installation
from supervisor.service.steps import Ran

WELL = Ran(0, "", "")

Answer = Ran | Callable[[], Ran]


class Script:
    """Answers by the longest beginning of a command that it knows, and keeps what it was asked."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def __call__(self, argv: Sequence[str]) -> Ran:
        line = " ".join(argv)
        self.asked.append(line)
        known = [beginning for beginning in self.answers if line.startswith(beginning)]
        assert known, f"nobody expects {line}"
        answer = self.answers[max(known, key=len)]
        return answer if isinstance(answer, Ran) else answer()


def in_turn(*answers: Ran) -> Callable[[], Ran]:
    """One after the other; the last one for good."""
    left = [*answers]
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def installation(folder: Path, **other: object) -> Installation:
    """As it might be found on a disk."""
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
