"""Rules for every command: help, exit codes, output, and the modules that it loads."""

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import click
import pytest

from supervisor.cli.group import ALIASES, COMMANDS, cli
from supervisor.cli.main import QUERIES
from supervisor.errors import NotFound
from tests.cli.conftest import Run
from tests.cli.objects import editor, owner, server, status
from tests.cli.scripted import Script
from tests.systems import POSIX_ONLY

REPOSITORY = Path(__file__).resolve().parents[2]
MODULE = (sys.executable, "-m", "supervisor")


def every_command() -> list[list[str]]:
    """Return each command as the words that a user types, subcommands included."""
    found = []
    for name in (*(name for name in COMMANDS if name != "help"), *ALIASES):
        command = cli.get_command(click.Context(cli), name)
        below = [*command.commands] if isinstance(command, click.Group) else []
        found += [[name, inner] for inner in below] or [[name]]
    return found


@pytest.mark.parametrize("words", every_command(), ids=" ".join)
def test_every_command_loads_and_has_help_and_json(run: Run, words: list[str]) -> None:
    outcome = run(*words, "--help")
    assert outcome.code == 0
    # The command `mcp` prints MCP messages.
    assert ("--json" in outcome.out) == (words != ["mcp"])


def test_the_help_lists_every_command_once(run: Run) -> None:
    commands = run("--help").out.partition("Commands:\n")[2].partition("\n\n")[0]
    assert [line.split()[0] for line in commands.splitlines()] == [*COMMANDS]


def test_the_help_lists_exit_codes_and_variables(run: Run) -> None:
    shown = run("--help").out
    for word in ("Examples:", "8 busy", "GODOT_SUPERVISOR_HOME", "NO_COLOR", "`ps`"):
        assert word in shown


def test_help_shows_the_help_of_a_command(run: Run) -> None:
    assert run("help", "up").out == run("up", "--help").out
    assert run("help", "config", "show").out == run("config", "show", "--help").out
    assert run("help").out == run("--help").out


@pytest.mark.parametrize("words", [("help", "nothing"), ("help", "up", "more"), ("help", "config", "nothing")])
def test_help_for_no_command_is_a_usage_error(run: Run, words: tuple[str, ...]) -> None:
    assert run(*words).code == 2


@pytest.mark.parametrize(("typed", "suggested"), [("staus", "status"), ("resart", "restart"), ("pss", "ps")])
def test_a_mistyped_command_gets_a_suggestion(run: Run, typed: str, suggested: str) -> None:
    assert f"Did you mean '{suggested}'?" in run(typed).err


def test_an_unknown_command_is_a_usage_error(run: Run) -> None:
    outcome = run("strat")
    assert (outcome.code, outcome.out) == (2, "")
    assert "No such command 'strat'" in outcome.err


def test_a_usage_error_with_json_is_an_error_object(run: Run) -> None:
    outcome = run("logs", "--lines", "many", "--json")
    assert (outcome.code, outcome.out) == (2, "")
    assert (outcome.error["code"], outcome.error["field"]) == ("INVALID_PARAMS", "lines")


def test_a_defect_prints_one_line_and_how_to_report_it(run: Run, daemon: Script) -> None:
    daemon.answers["status"] = {"nothing": "that a table could be made of"}
    outcome = run("status")
    assert (outcome.code, outcome.out) == (1, "")
    assert outcome.err.splitlines()[0] == "error: unexpected KeyError: 'daemon'"
    assert "GODOT_SUPERVISOR_DEBUG=1" in outcome.err
    assert "Traceback" not in outcome.err


def test_a_defect_shows_its_traceback_on_request(run: Run, daemon: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GODOT_SUPERVISOR_DEBUG", "1")
    daemon.answers["status"] = {}
    with pytest.raises(KeyError):
        run("status")


@POSIX_ONLY
def test_an_interrupt_ends_without_a_traceback(daemon: Script) -> None:
    asked = threading.Event()
    released = threading.Event()

    def never(_: object) -> None:
        asked.set()
        released.wait(60)

    daemon.answers["status"] = never
    with subprocess.Popen([*MODULE, "status"], cwd=REPOSITORY, stderr=subprocess.PIPE, text=True) as command:
        assert asked.wait(30)
        command.send_signal(signal.SIGINT)
        assert command.stderr is not None
        assert command.stderr.read().strip() == ""
        assert command.wait(30) == 130
    released.set()


def test_a_reader_that_ends_early_causes_no_error(home: Path) -> None:
    (home / "logs").mkdir()
    (home / "logs" / "daemon.log").write_text("line\n" * 10_000)
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*MODULE, "logs", "-n", "10000"],
        cwd=REPOSITORY, stdout=writing, stderr=subprocess.PIPE, text=True, timeout=60, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.stderr, done.returncode) == ("", 0)


@POSIX_ONLY
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("{} url nope 2>&1 | true", 4),
        ("{} url nope | true", 4),
        ("{} status 2>&-", 0),
        ("{} status >&-", 0),
        ("{} status <&- >&- 2>&-", 0),
        ("{} url nope >&- 2>&-", 4),
        ("{} status | true", 0),
        ("{} up godot-ai 2>&1 >/dev/null | true", 0),
        ("{} nonsense 2>&1 | true", 2),
        ("{} status > /dev/full", 1),
        ("{} version > /dev/full", 1),
        ("{} url nope 2> /dev/full", 4),
        ("{} up godot-ai 2> /dev/full", 0),
    ],
)
def test_exit_codes_do_not_depend_on_the_output(daemon: Script, line: str, code: int) -> None:
    daemon.answers |= {
        "status": status(servers=[server()]),
        "server.get": NotFound("no server nope"),
        "server.ensure": server(),
    }
    daemon.progress = [{"stage": "installing", "message": "x" * 100, "done": number} for number in range(50)]
    if "/dev/full" in line and not Path("/dev/full").exists():
        pytest.skip("only Linux has it")
    # The reader has ended before the command writes.
    command, _, reader = line.format(f"sleep 0.3; {' '.join(MODULE)}").partition(" | ")
    script = f"{{ {command}; echo $? > {daemon.home}/code; }}{' | ' + reader if reader else ''}"
    done = subprocess.run(
        ["sh", "-c", script], cwd=REPOSITORY, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert (int((daemon.home / "code").read_text()), "Traceback" in done.stderr) == (code, False)
    assert "Exception ignored" not in done.stderr
    if line.endswith("status > /dev/full"):
        assert done.stderr.startswith("error: the output cannot be written: No space left")


def test_a_defect_with_json_is_an_error_object(run: Run, daemon: Script) -> None:
    daemon.answers["server.get"] = {"nothing": "of a server"}
    outcome = run("url", "x", "--json")
    assert (outcome.code, outcome.error["code"]) == (1, "INTERNAL")


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "1e300", "0", "-1", "soon"])
@pytest.mark.parametrize("command", ["status", "start", "up x", "wait --for ready"])
def test_a_timeout_is_a_finite_positive_number(run: Run, daemon: Script, command: str, seconds: str) -> None:
    outcome = run(*command.split(), "--timeout", seconds)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Invalid value for '--timeout'" in outcome.err
    assert daemon.calls == []


def test_no_summary_of_a_command_is_cut(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    for words in ([], ["config"], ["environments"], ["service"]):
        summaries = run(*words, "--help").out.partition("Commands:")[2]
        assert summaries.strip()
        assert "..." not in summaries


def test_the_version_is_an_option_as_well(run: Run) -> None:
    assert run("--version").out == run("-V").out == run("version").out


def on_a_terminal(*arguments: str) -> str:
    """Return what the command writes to a terminal."""
    ours, theirs = os.openpty()
    with subprocess.Popen([*MODULE, *arguments], cwd=REPOSITORY, stdout=theirs, stderr=theirs) as command:
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux reports a closed terminal as an error.
                break
            if not piece:
                break
            written += piece
        assert command.wait(30) == 0
    os.close(ours)
    return written.decode()


@POSIX_ONLY
def test_a_terminal_gets_colour_unless_no_color_is_set(daemon: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    daemon.answers["status"] = status(servers=[server(owners=[owner()])])
    coloured = on_a_terminal("status")
    assert "\x1b[32m" in coloured
    monkeypatch.setenv("NO_COLOR", "1")
    plain = on_a_terminal("status")
    assert "\x1b" not in plain
    assert plain == click.unstyle(coloured)


@pytest.mark.parametrize("words", sorted(QUERIES), ids=" ".join)
def test_a_query_prints_the_same_with_and_without_click(run: Run, daemon: Script, words: tuple[str, ...]) -> None:
    daemon.answers["status"] = status(editors=[editor()], servers=[server(owners=[owner()])])
    quick = run(*words)
    assert quick.code == 0
    assert quick.out
    assert run(*words, "--timeout", "30") == quick


def test_a_query_loads_no_heavy_modules(daemon: Script) -> None:
    daemon.answers["status"] = status(editors=[editor()], servers=[server(owners=[owner()])])
    program = "import sys; from supervisor.cli.main import main; main(['status']); print(*sys.modules, sep='\\n')"
    # -S: without installed packages, so without click, and without the modules that an editable installation loads.
    run = subprocess.run(
        [sys.executable, "-S", "-c", program], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=True
    )
    assert "godot-ai" in run.stdout
    loaded = set(run.stdout.split())
    assert {"supervisor.cli.text.status_table", "supervisor.client.client"} <= loaded
    heavy = {
        "pathlib",
        "dataclasses",
        "inspect",
        "importlib.metadata",
        "subprocess",
        "tempfile",
        "asyncio",
    }
    assert loaded & heavy == set()
    assert [name for name in loaded if name.startswith("supervisor.wire.messages")] == []
    assert [name for name in loaded if name.startswith(("supervisor.daemon", "supervisor.engine"))] == []


def test_the_group_has_no_unknown_command() -> None:
    assert cli.get_command(click.Context(cli), "nothing") is None
