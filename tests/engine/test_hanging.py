"""A process that hangs in the kernel, and an earlier daemon's launch that it may be."""

from dataclasses import replace

import pytest

from supervisor.core.model import ProcessIdentity, ServerState
from supervisor.registry.codec import decode, encode
from tests.engine.harness import EngineHarness
from tests.fakes import FakeProcessControl


def hang(monkeypatch: pytest.MonkeyPatch, process: ProcessIdentity) -> None:
    """Have every look at the memory of a process raise, as it does once a first look has not returned."""
    honest = FakeProcessControl.variable

    def variable(control: FakeProcessControl, identity: ProcessIdentity, name: str) -> str | None:
        if identity == process:
            raise TimeoutError
        return honest(control, identity, name)

    monkeypatch.setattr(FakeProcessControl, "variable", variable)


def begun(harness: EngineHarness) -> EngineHarness:
    """The next daemon of one that was killed between the start of a process and the note of it."""
    later = harness.restarted()
    assert later.store.data is not None
    state = decode(later.store.data)
    row = replace(state.servers["toy"], state=ServerState.STARTING, root=None, process=None)
    later.store.data = encode(replace(state, servers={"toy": row}))
    return later


def test_the_record_that_a_hanging_process_may_belong_to_is_kept(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[ProcessIdentity] = []

    async def first() -> None:
        record = await harness.up(harness.editor())
        assert record.process is not None
        made.append(record.process)

    harness.run(first)
    later = begun(harness)
    hang(monkeypatch, made[0])

    async def second() -> None:
        record = later.records.server("toy")
        assert record.state is ServerState.FAILED
        assert record.failure is not None
        assert str(made[0].pid) in record.failure.message
        assert later.alive(made[0])

    later.run(second)


def test_other_records_are_proven_beside_a_hanging_process(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    hung = harness.system.start("sleep")

    async def first() -> None:
        await harness.up(harness.editor())

    harness.run(first)
    later = begun(harness)
    hang(monkeypatch, hung)

    async def second() -> None:
        assert later.records.server("toy").root is not None

    later.run(second)
