import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.core.processes.successors import STARTING_S, LeftProject, YoungProcess, follows

EXE = "/usr/bin/godot"
LEFT = (LeftProject("/game", 100.0),)
ME = ProcessIdentity(7, "a")
RELOADED = (EXE, "--path", "/game", "-e")


def canonical(folder: str) -> str | None:
    return {"/game": "/game", "/game/": "/game", "/link": "/game", "/other": "/other"}.get(folder)


def process(*command: str, started: float | None = 120.0, age_s: float | None = 5.0) -> YoungProcess:
    return YoungProcess(ME, started, age_s, command)


@pytest.mark.parametrize(
    "command",
    [
        RELOADED,
        (EXE, "--display-driver", "x11", "--path", "/link", "-e"),
        (EXE, "--editor", "--path", "/game/"),
        (EXE, "/game/project.godot"),
        ("/opt/studio-engine", "-e", "--path", "/game"),
        ("/bin/sh", "-c", EXE, "-e", "--path", "/game"),
    ],
)
def test_editor_that_opens_the_project_follows(command: tuple[str, ...]) -> None:
    assert follows(process(*command), LEFT, canonical)


@pytest.mark.parametrize(
    "command",
    [
        (EXE, "--path", "/other", "-e"),
        (EXE, "--path", "/nowhere", "-e"),
        (EXE, "--project-manager"),
        (EXE, "--path", "/game", "--project-manager"),
        (EXE, "--path", "/game", "--remote-debug", "tcp://127.0.0.1:6007", "--editor-pid", "5", "--scene", "main.tscn"),
        (EXE, "--headless", "--path", "/game", "--import"),
        (EXE, "--headless", "--path", "/game", "--export-release", "Linux", "game.x86_64"),
        (EXE, "-e", "--", "--path", "/game"),
        ("/usr/bin/less", "/game/project.godot", "-R"),
        (),
    ],
)
def test_other_process_does_not_follow(command: tuple[str, ...]) -> None:
    assert not follows(process(*command), LEFT, canonical)


@pytest.mark.parametrize(
    ("started", "age_s", "expected"),
    [
        (120.0, STARTING_S - 1, True),
        (120.0, STARTING_S, False),
        (99.0, 5.0, False),
        (100.0, 5.0, False),
        (None, None, True),
        (120.0, -30.0, True),
    ],
    ids=["young", "old", "older than the editor", "as old", "unknown", "clock set back"],
)
def test_only_a_younger_process_follows(started: float | None, age_s: float | None, *, expected: bool) -> None:
    assert follows(process(*RELOADED, started=started, age_s=age_s), LEFT, canonical) is expected


def test_age_of_an_unknown_editor_is_no_obstacle() -> None:
    assert follows(process(*RELOADED), (LeftProject("/game", None),), canonical)
