import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from supervisor.cli.main import main
from tests.cli.scripted import Script, scripted_daemon
from tests.e2e.conftest import make_home, toy

__all__ = ["daemon", "home", "make_home", "run", "toy"]


@dataclass(frozen=True)
class Outcome:
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        return json.loads(self.out)

    @property
    def error(self) -> Any:
        return json.loads(self.err)["data"]


Run = Callable[..., Outcome]


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir(mode=0o700)
    monkeypatch.setenv("GODOT_SUPERVISOR_HOME", str(folder))
    monkeypatch.delenv("GODOT_SUPERVISOR_DEBUG", raising=False)
    return folder


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Return a function that runs the command line in this process, against `home`."""
    assert home.is_dir()

    def call(*arguments: str) -> Outcome:
        capsys.readouterr()
        code = main(arguments)
        printed = capsys.readouterr()
        return Outcome(code, printed.out, printed.err)

    return call


@pytest.fixture
def daemon(home: Path) -> Iterator[Script]:
    with scripted_daemon(home) as script:
        yield script
