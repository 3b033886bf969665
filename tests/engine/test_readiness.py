"""How a start reacts to what servers do, on a fake system."""

import asyncio
from collections.abc import Callable

import pytest

from supervisor.core.deadlines import START_ATTEMPTS
from supervisor.core.model import ServerState
from supervisor.errors import PortsExhausted, StartFailed
from supervisor.native.api import ChildCommand
from tests.engine.answers import ANSWERING, Answers
from tests.engine.harness import TOY, EngineHarness, serve
from tests.fakes import FakeProcess, FakeSystem, Fault, Program

PLAIN = {"command": ["toy", "{http}"], "ports": {"http": "8000-8003"}, "ready_timeout_s": 10}
PORTLESS = {"command": ["toy"], "ready_timeout_s": 10}


def fails(harness: EngineHarness, program: Program, **kind: object) -> StartFailed:
    """Return the error of a start, after which the record may have no process."""
    harness.tables = {"toy": {**PLAIN, **kind}}
    harness.system.programs["toy"] = program
    caught: list[StartFailed] = []

    async def story() -> None:
        with pytest.raises(StartFailed) as failed:
            await harness.up()
        caught.append(failed.value)
        record = harness.records.server("toy")
        assert record.failure is not None
        assert record.failure.message == failed.value.message
        assert (record.state, record.root) == (ServerState.FAILED, None)

    harness.run(story)
    return caught[0]


def listening(*sockets: tuple[str, int]) -> Program:
    def program(system: FakeSystem, process: FakeProcess, _command: ChildCommand) -> None:
        for address, port in sockets:
            system.listen(process.identity, port, address)

    return program


def ends(status: int, then: Callable[[FakeSystem, FakeProcess], None] | None = None, after_s: float = 0.5) -> Program:
    """Return a program that ends by itself; `then` is called before."""

    def program(system: FakeSystem, process: FakeProcess, _command: ChildCommand) -> None:
        def end() -> None:
            if then is not None:
                then(system, process)
            system.end(process.identity, status)

        asyncio.get_running_loop().call_later(after_s, end)

    return program


@pytest.mark.parametrize(
    ("program", "seen"),
    [
        (listening(), "it runs, but listens on no port"),
        (listening(("::1", 8000)), "it listens on ::1 only, not on 127.0.0.1"),
        (listening(("127.0.0.1", 8001)), "it listens on 8001, not on 8000"),
    ],
)
def test_timeout_of_a_start_names_what_was_seen(harness: EngineHarness, program: Program, seen: str) -> None:
    error = fails(harness, program)
    assert error.message == f"toy did not start: it was not ready after 10 s: {seen}"


def test_server_stopped_by_the_daemon_has_no_exit_status(harness: EngineHarness) -> None:
    error = fails(harness, listening())
    assert error.data["exit"] is None
    assert "SIGTERM" not in error.message


def test_server_that_ended_by_itself_is_reported_with_its_status(harness: EngineHarness) -> None:
    error = fails(harness, ends(3))
    assert (error.message, error.data["exit"]) == (
        "toy did not start: it ended before it was ready (exit status 3)",
        3,
    )
    assert error.hint == "godot-supervisor logs toy"


def test_exit_with_status_0_hints_at_the_input(harness: EngineHarness) -> None:
    assert 'stdin = "open"' in (fails(harness, ends(0)).hint or "")
    assert "stdin" not in (fails(EngineHarness(harness.folder), ends(0), stdin="open").hint or "")


def test_silent_server_is_reported_with_the_question(harness: EngineHarness, answers: Answers) -> None:
    answers.mute = True
    error = fails(harness, serve, **{**ANSWERING, "command": ["toy", "{http}", "{sessions}"]})
    assert error.message.endswith("it listens, and does not answer GET /s within 2 s")


def test_second_port_that_stays_closed_is_named(harness: EngineHarness) -> None:
    error = fails(harness, listening(("127.0.0.1", 8000)), **TOY)
    assert error.message.endswith("sessions 9500 is not open yet")


def test_readiness_may_need_only_some_of_the_ports(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**TOY, "ready": {"tcp": "http"}}}
    harness.system.programs["toy"] = listening(("127.0.0.1", 8000))

    async def story() -> None:
        assert (await harness.up()).state is ServerState.READY

    harness.run(story)


def test_unknown_listeners_delay_a_start(harness: EngineHarness) -> None:
    harness.system.fails["match_listeners"] = Fault(OSError(5, "untold"), times=3)

    async def story() -> None:
        assert (await harness.up()).state is ServerState.READY

    harness.run(story)


def test_unknown_listeners_are_named_in_the_error(harness: EngineHarness) -> None:
    harness.system.fails["match_listeners"] = Fault(OSError(5, "untold"), times=100_000)
    assert "the system does not tell who listens: [Errno 5] untold" in fails(harness, serve).message


# --- no ports ---------------------------------------------------------------------------------------------------------


def test_program_without_ports_is_ready_after_a_second(harness: EngineHarness) -> None:
    harness.tables = {"toy": PORTLESS}
    harness.system.programs["toy"] = listening()

    async def story() -> None:
        began = harness.system.clock.now
        assert (await harness.up()).state is ServerState.READY
        assert harness.system.clock.now - began == pytest.approx(1.0, abs=0.1)

    harness.run(story)


@pytest.mark.parametrize("status", [0, 1])
def test_program_without_ports_that_ends_at_once_fails(harness: EngineHarness, status: int) -> None:
    error = fails(harness, ends(status), command=["toy"], ports={})
    assert error.message == f"toy did not start: it ended within 1 s of its start (exit status {status})"
    assert ("cannot be shared" in (error.hint or "")) is (status == 0)


# --- the background ---------------------------------------------------------------------------------------------------


def leaves(*words: str, session: bool = True, port: int | None = 8000) -> Callable[[FakeSystem, FakeProcess], None]:
    """Return a program that ends while its child continues and listens."""

    def then(system: FakeSystem, process: FakeProcess) -> None:
        child = system.fork(process.identity, *words, session=0 if session else None)
        if port is not None:
            system.listen(child, port)

    return then


@pytest.mark.parametrize(
    "then", [leaves("toy", "8000"), leaves("other", session=False)], ids=["own program", "same session"]
)
def test_server_in_the_background_is_used_and_stopped(
    harness: EngineHarness, then: Callable[[FakeSystem, FakeProcess], None]
) -> None:
    harness.tables = {"toy": PLAIN}
    harness.system.programs["toy"] = ends(0, then)

    async def story() -> None:
        record = await harness.up()
        assert record.state is ServerState.READY
        assert harness.alive(record.process)
        assert harness.system.calls["spawn"] == 1
        await harness.supervisor.stop(record.id)
        assert not harness.alive(record.process)

    harness.run(story)


def test_server_in_the_background_is_recorded(harness: EngineHarness) -> None:
    harness.tables = {"toy": PLAIN}
    harness.system.programs["toy"] = ends(0, leaves("toy", "8000"))

    async def story() -> None:
        record = await harness.up()
        assert record.process is not None
        assert record.root == record.process
        assert [row["pid"] for row in harness.events.of("server.in_background")] == [record.process.pid]

    harness.run(story)
    later = harness.restarted()
    later.tables = {"toy": PLAIN}

    async def sequel() -> None:
        assert (await later.up()).state is ServerState.READY
        assert later.system.calls["spawn"] == 1

    later.run(sequel)


def test_cancelled_start_names_processes_in_the_background(harness: EngineHarness) -> None:
    harness.tables = {"toy": PLAIN}
    harness.system.programs["toy"] = ends(0, leaves("toy", port=None))

    async def story() -> None:
        start = asyncio.ensure_future(harness.up())
        await asyncio.sleep(2)
        start.cancel()
        await asyncio.sleep(5)
        assert len(harness.events.of("server.left_behind")) == 1

    harness.run(story)


def test_process_that_forks_during_a_look_is_found(harness: EngineHarness) -> None:
    harness.tables = {"toy": PLAIN}

    def forks_again(system: FakeSystem, process: FakeProcess) -> None:
        between = system.fork(process.identity, "toy", "8000", session=0)

        def hop() -> None:
            system.listen(system.fork(between, "toy", "8000", session=0), 8000)
            system.end(between)

        system.meanwhile["table"] = hop

    harness.system.programs["toy"] = ends(0, forks_again)

    async def story() -> None:
        assert (await harness.up()).state is ServerState.READY

    harness.run(story)


def test_editor_launched_by_a_server_is_not_taken_for_the_server(harness: EngineHarness) -> None:
    def editor_starts_one(system: FakeSystem, process: FakeProcess) -> None:
        editor = system.fork(process.identity, "godot", "--editor", session=0)
        system.listen(system.fork(editor, "toy", "8000"), 8000)

    error = fails(harness, ends(0, editor_starts_one))
    assert harness.events.of("signal.sent") == []
    assert [each.command[0] for each in harness.system.processes.values()].count("godot") == 1
    assert error.data["left_behind"] == []


def test_unproven_process_on_the_ports_is_named_and_not_touched(harness: EngineHarness) -> None:
    error = fails(harness, ends(0, leaves("editor", "8000")))
    assert "it puts itself into the background" in error.message
    assert "is not proven to be the server" in error.message
    left = harness.events.of("server.left_behind")[0]["pids"]
    assert error.data["left_behind"] == left
    assert [pid for pid in left if harness.system.processes[pid].command == ("editor", "8000")] == left
    assert f"kill {left[0]}" in (error.hint or "")
    assert harness.system.calls["spawn"] == 1


def test_server_in_the_background_without_listeners_is_named(harness: EngineHarness) -> None:
    error = fails(harness, ends(0, leaves("toy", port=None)))
    assert "it was not ready after 10 s: it puts itself into the background" in error.message
    assert "listens on no port" in error.message
    assert len(error.data["left_behind"]) == 1
    assert harness.system.calls["spawn"] == 1


def test_leftovers_of_a_failed_server_do_not_delay_the_error(harness: EngineHarness) -> None:
    error = fails(harness, ends(3, leaves("helper", port=None)))
    assert error.message == "toy did not start: it ended before it was ready (exit status 3)"
    assert len(error.data["left_behind"]) == 1


# --- ports that were lost ---------------------------------------------------------------------------------------------


def raced(times: int, log: str = "") -> Program:
    """Return a program that loses its ports so many times. With a log, the other process has gone before the look."""
    lost: list[int] = []

    def program(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        port = int(command.argv[1])
        if len(lost) >= times:
            system.listen(process.identity, port)
            return
        lost.append(port)
        if log:
            command.log.write_text(log.format(port=port))
            ends(1)(system, process, command)
        else:
            thief = system.start("thief")
            ends(1, lambda system, _process: system.listen(thief, port))(system, process, command)

    return program


@pytest.mark.parametrize("log", ["", "[Errno 98] ('127.0.0.1', {port}): address already in use\n", "EADDRINUSE\n"])
def test_start_that_loses_its_ports_tries_the_next_set(harness: EngineHarness, log: str) -> None:
    harness.tables = {"toy": PLAIN}
    harness.system.programs["toy"] = raced(START_ATTEMPTS - 1, log)

    async def story() -> None:
        record = await harness.up()
        assert record.ports == {"http": 8000 + START_ATTEMPTS - 1}
        assert len(harness.events.of("port.lost")) == START_ATTEMPTS - 1

    harness.run(story)


def test_start_that_keeps_losing_ports_shows_the_log(harness: EngineHarness) -> None:
    error = fails(harness, raced(START_ATTEMPTS, "port {port} is in use\n"))
    assert "lost its ports to other processes 3 times" in error.message
    assert error.data["log_tail"] == ["port 8002 is in use"]


def test_exhausted_ports_are_named_with_the_reason_from_the_log(harness: EngineHarness) -> None:
    harness.tables = {"toy": {**PLAIN, "ports": {"http": 8000}}}
    harness.system.programs["toy"] = raced(1, "port {port} is in use\n")

    async def story() -> None:
        with pytest.raises(PortsExhausted) as caught:
            await harness.up()
        assert "log says that it was in use" in caught.value.data["occupants"][0]["reason"]

    harness.run(story)


def test_other_port_in_the_log_is_no_lost_port(harness: EngineHarness) -> None:
    error = fails(harness, raced(1, "port 5678 is in use\n"))
    assert error.message == "toy did not start: it ended before it was ready (exit status 1)"


def test_process_that_held_a_port_for_a_moment_is_named(harness: EngineHarness) -> None:
    harness.tables = {"toy": PLAIN}
    attempts: list[int] = []

    def program(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        attempts.append(int(command.argv[1]))
        if len(attempts) > 1:
            system.listen(process.identity, attempts[-1])
            return
        thief = system.start("thief")
        system.listen(thief, 8000)
        asyncio.get_running_loop().call_later(3.0, system.end, thief)
        ends(1, after_s=4.0)(system, process, command)

    harness.system.programs["toy"] = program

    async def story() -> None:
        assert (await harness.up()).ports == {"http": 8001}

    harness.run(story)
