"""Lists fit into a frame for any number of servers and any length of their logs."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from supervisor.control.views import SERVERS_BYTES, Views
from supervisor.core.model import ServerFailure, ServerState
from supervisor.engine.logs.excerpt import LOG_TAIL_JSON, LOG_TAIL_LINE, LOG_TAIL_LINES, limit_tail, read_log_tail
from supervisor.engine.state.exit_watches import ExitWatches
from supervisor.wire import framing, json_text
from supervisor.wire.messages.servers import ServerListResult
from tests.engine.harness import EngineHarness

ESCAPES = "\x01" * 900


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    return EngineHarness(tmp_path)


def views(harness: EngineHarness) -> Views:
    engine = harness.engine
    return Views(engine.context, engine.inspector.reaper, ExitWatches(engine.context.platform.exits), engine.ai_clients)


def crowded(harness: EngineHarness, count: int, *, project: str = "/x") -> Callable[[], Awaitable[None]]:
    """Return a story with `count` failed servers, each with as much log as an earlier release kept."""

    async def story() -> None:
        record = await harness.up(harness.editor())
        failure = ServerFailure("START_FAILED", "it ended", 1, (ESCAPES,) * 18)
        for number in range(count):
            harness.records.put(
                replace(record, id=f"toy-{number}", state=ServerState.FAILED, failure=failure, project=project)
            )

    return story


def test_a_list_of_many_failed_servers_fits_a_frame(harness: EngineHarness) -> None:
    async def story() -> None:
        await crowded(harness, 120)()
        shown = views(harness)
        servers = shown.servers()
        assert len(servers) == 121
        assert shown.left_out(servers) == 0
        framing.frame_text(json_text.json_of(ServerListResult(servers)))
        failed = [server.failure for server in servers if server.failure is not None]
        assert failed[0].log_tail
        assert failed[-1].log_tail == ()
        whole = shown.server(harness.records.server("toy-119")).failure
        assert whole is not None
        assert whole.log_tail

    harness.run(story)


def test_servers_that_do_not_fit_into_a_list_are_counted(harness: EngineHarness) -> None:
    async def story() -> None:
        await crowded(harness, 400, project="/" + "x" * 4000)()
        shown = views(harness)
        servers = shown.servers()
        assert len(json_text.json_of(ServerListResult(servers))) < SERVERS_BYTES + 100
        assert shown.left_out(servers) == 401 - len(servers) > 0

    harness.run(story)


def test_the_end_of_a_log_is_printable_and_short(tmp_path: Path) -> None:
    log = tmp_path / "toy.log"
    log.write_bytes(b"\x1b[31mred\tapple\n" + "\N{PILE OF POO}".encode() * 1000 + b"\n" + b"last\n")
    tail = read_log_tail(str(log))
    assert (tail[0], tail[-1]) == ("?[31mred apple", "last")
    assert len(tail[1]) <= LOG_TAIL_LINE


@pytest.mark.parametrize("line", ["x" * 5000, ESCAPES, "\N{PILE OF POO}" * 400, '"' * 400])
def test_the_end_of_a_log_is_bounded_as_json(line: str) -> None:
    tail = limit_tail([line] * 50)
    assert 0 < len(tail) <= LOG_TAIL_LINES
    assert len(json.dumps(tail, ensure_ascii=False).encode()) <= LOG_TAIL_JSON + 100
    assert limit_tail(tail) == tail
