"""Runs the Godot editor that `tests/lab/set_up godot` has made: on a project, with or without a window, to its end.

An editor in the laboratory has the addon `lab`, by which a test tells it what to do; see `lab_addon/plugin.gd`.
"""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import IO, Any

LAB = Path(__file__).parent
PATIENCE_S = 120.0
"""An editor is there after 7 s on an idle machine, and after 45 s on a busy one."""

SCREEN = "1280x800"
WINDOW = (
    "--rendering-driver", "opengl3", "--audio-driver", "Dummy", "--disable-vsync", "--position", "0,0", "--resolution",
)  # fmt: skip
PROCESS = "LAB process "
SETTLED_FRAMES = 30
"""So many frames after its start an editor has built its window. In the background it draws ten in a second."""

COMPLAINT = re.compile(r"\b(ERROR|WARNING|USER ERROR|USER WARNING|SCRIPT ERROR)\b")
NO_FAULT = ("Could not set V-Sync mode",)
"""A screen without a monitor has no V-Sync, and the editor warns of it whatever it is told."""

FATAL_WARNINGS = (
    "confusable_local_declaration", "incompatible_ternary", "integer_division", "int_as_enum_without_cast",
    "narrowing_conversion", "redundant_await", "shadowed_global_identifier",
    "shadowed_variable", "shadowed_variable_base_class", "standalone_expression", "standalone_ternary",
    "static_called_on_instance", "unassigned_variable", "unreachable_code", "untyped_declaration",
    "unused_local_constant", "unused_parameter", "unused_private_class_variable", "unused_signal", "unused_variable",
)  # fmt: skip

LAB_ADDON = "res://addons/lab/plugin.cfg"


@cache
def editor() -> Path | None:
    """Return the program of the editor. Returns None where the laboratory has none."""
    asked = subprocess.run(
        ["bash", "-euc", f'source "{LAB}/lab.sh"; printf %s "$GODOT"'], capture_output=True, text=True, check=False
    )
    found = Path(asked.stdout)
    return found if asked.returncode == 0 and os.access(found, os.X_OK) else None


def make_project(folder: Path, *plugins: str) -> Path:
    """Make a project that enables these plugins, and the addon `lab`. Warnings about their scripts are errors."""
    folder.mkdir(parents=True, exist_ok=True)
    shutil.copytree(LAB / "lab_addon", folder / "addons" / "lab")
    enabled = ", ".join(json.dumps(plugin) for plugin in (*plugins, LAB_ADDON))
    (folder / "project.godot").write_text(
        'config_version=5\n\n[application]\n\nconfig/name="Laboratory"\n\n'
        "[debug]\n\ngdscript/warnings/exclude_addons=false\n"
        'gdscript/warnings/directory_rules={\n"res://addons": 1\n}\n'
        + "".join(f"gdscript/warnings/{name}=2\n" for name in FATAL_WARNINGS)
        + "\n"
        '[rendering]\n\nrenderer/rendering_method="gl_compatibility"\n\n'
        f"[editor_plugins]\n\nenabled=PackedStringArray({enabled})\n",
        encoding="utf-8",
    )
    return folder


def environment_of(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of an editor with a home folder of its own."""
    home.mkdir(parents=True, exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("GODOT_", "XDG_", "WAYLAND_"))}
    return {**kept, "HOME": str(home), "NO_COLOR": "1", "LIBGL_ALWAYS_SOFTWARE": "1", **more}


class Editor:
    """An editor that runs, or has run. `output` has what it printed, by lines; `times` when each line came."""

    def __init__(
        self, project: Path, environment: Mapping[str, str], options: tuple[str, ...], commands: str = "commands"
    ) -> None:
        program = editor()
        assert program is not None, "run tests/lab/set_up godot"
        self.project = project
        self.output: list[str] = []
        self.times: list[float] = []
        self._commands = project / f".lab-{commands}"
        # Those of an earlier editor on the project.
        self._commands.unlink(missing_ok=True)
        self._number = 0
        self._changed = threading.Condition()
        self.process: subprocess.Popen[str] = subprocess.Popen(
            [program, "--editor", "--path", project, *options],
            env={**environment, "GODOT_LAB_COMMANDS": self._commands.name}, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
        )  # fmt: skip
        assert self.process.stdout is not None
        self._reader = threading.Thread(target=self._read, args=(self.process.stdout,), daemon=True)
        self._reader.start()

    @property
    def pid(self) -> int:
        """The pid of the editor, or of the one that has taken its place when the project was reloaded."""
        return self._processes()[-1]

    def _processes(self) -> list[int]:
        later = [int(line.split()[-1]) for line in self.output if line.startswith(PROCESS)]
        return [self.process.pid, *later]

    def _read(self, output: IO[str]) -> None:
        with output:
            for line in output:
                with self._changed:
                    self.output.append(re.sub(r"\x1b\[[0-9;]*m", "", line.rstrip("\n")))
                    self.times.append(time.monotonic())
                    self._changed.notify_all()
        with self._changed:
            self.output.append("(the end)")
            self._changed.notify_all()

    def line(self, begin: str, patience_s: float = PATIENCE_S) -> str:
        """Wait for a line that begins with this text, and return what follows."""
        due = time.monotonic() + patience_s
        seen = 0
        with self._changed:
            while True:
                for text in self.output[seen:]:
                    if text.startswith(begin):
                        return text.removeprefix(begin).strip()
                    assert text != "(the end)", f"the editor ended before {begin!r}:\n{self.text()}"
                seen = len(self.output)
                left = due - time.monotonic()
                assert left > 0, f"waited in vain for {begin!r}:\n{self.text()}"
                self._changed.wait(left)

    def time_of(self, begin: str) -> float:
        """Wait for a line that begins with this text, and return when it came (monotonic, seconds)."""
        self.line(begin)
        return next(at for at, text in zip(self.times, self.output, strict=False) if text.startswith(begin))

    def do(self, command: str, *words: str) -> Any:
        """Have the addon `lab` do something, and return its answer."""
        self._number += 1
        draft = self._commands.with_suffix(".new")
        draft.write_text(json.dumps({"number": self._number, "command": command, "words": words}), encoding="utf-8")
        draft.replace(self._commands)
        return json.loads(self.line(f"LAB {self._number} "))

    def quit(self) -> int:
        """Close the editor as a user does, and return its exit status."""
        self.do("quit")
        return self.wait()

    def frames(self, number: int) -> None:
        """Wait until the editor has drawn so many frames."""
        due, drawn = time.monotonic() + PATIENCE_S, 0
        self.do("frames")
        while drawn < number:
            assert time.monotonic() < due, self.text()
            drawn += self.do("frames")["frames"]

    def reload_project(self) -> None:
        """Reload the project as a user does, and wait until another process has taken the place of this one."""
        before = self.pid
        self.do("restart")
        # The next process would do the last command again.
        self._commands.unlink()
        status = self.process.wait(PATIENCE_S)
        assert status == 0, f"exit status {status}:\n{self.text()}"
        with self._changed:
            assert self._changed.wait_for(lambda: self.pid != before, PATIENCE_S), self.text()

    def end(self) -> None:
        """End the editor, and the one that has taken its place, if they still run."""
        self.process.kill()
        for pid in self._processes()[1:]:
            with contextlib.suppress(OSError):
                if str(self.project) in Path(f"/proc/{pid}/cmdline").read_text():
                    os.kill(pid, signal.SIGKILL)
        self.wait()

    def wait(self) -> int:
        """Wait for the end of the editor, and of its output. Returns the exit status."""
        status = self.process.wait(PATIENCE_S)
        self._reader.join(PATIENCE_S)
        return status

    def kill(self) -> None:
        """End the editor as a crash does."""
        self.process.kill()
        self.wait()

    def complaints(self) -> list[str]:
        """Return the errors and warnings that the editor has printed, each with the line that says where."""
        return [
            f"{line} {following.strip()}"
            for line, following in zip(self.output, [*self.output[1:], ""], strict=True)
            if COMPLAINT.search(line) and not any(text in line for text in NO_FAULT)
        ]

    def text(self) -> str:
        """Return all that the editor has printed."""
        return "\n".join(self.output)


@contextlib.contextmanager
def running(
    project: Path,
    home: Path,
    *options: str,
    window: bool = False,
    size: str = SCREEN,
    commands: str = "commands",
    **more: str,
) -> Iterator[Editor]:
    """Run an editor, and kill it at the end if it still runs. `more`: further variables of its environment.

    `commands` has to differ between the editors that have one project open.
    """
    with screen(size) if window else contextlib.nullcontext({}) as display:
        environment = environment_of(home, {**display, **more})
        shown = Editor(project, environment, (*((*WINDOW, size) if window else ("--headless",)), *options), commands)
        try:
            yield shown
        finally:
            shown.end()


@contextlib.contextmanager
def screen(size: str) -> Iterator[dict[str, str]]:
    """Run an X server without a monitor, with a screen of this size, and yield the variable that names it."""
    receiver, sender = os.pipe()
    words = ["Xvfb", "-displayfd", str(sender), "-screen", "0", f"{size}x24", "-nolisten", "tcp"]
    server = subprocess.Popen(words, pass_fds=(sender,), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    os.close(sender)
    try:
        display = os.read(receiver, 64).decode().strip()
        assert display, "Xvfb did not start"
        yield {"DISPLAY": f":{display}"}
    finally:
        os.close(receiver)
        server.terminate()
        server.wait(PATIENCE_S)
