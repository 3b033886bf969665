"""The cost of many owners and many servers, counted in looks and in bytes, not in time."""

import asyncio
from pathlib import Path

import pytest

from supervisor.control.views import Views
from supervisor.core.model import PassedOverPort, ProcessIdentity
from supervisor.engine.starting.planning import passed_over_event_fields, passed_over_record_fields
from tests.engine.harness import TOY, EngineHarness
from tests.fakes import FakePortTable, FakeProbe

RANGES = {"http": "20000-20999", "sessions": "30000-30999"}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {kind: {**TOY, "ports": RANGES, "topology": kind} for kind in ("shared", "per-editor")}
    return harness


class Counter:
    """How often the system was asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.samples = 0
        self.ports = 0
        sample, facts = FakeProbe.sample, FakePortTable.facts

        def count_sample(probe: FakeProbe, identity: ProcessIdentity) -> object:
            self.samples += 1
            return sample(probe, identity)

        def count_facts(table: FakePortTable, ports: object) -> object:
            wanted = list(ports)  # type: ignore[call-overload]
            self.ports += len(wanted)
            return facts(table, wanted)

        monkeypatch.setattr(FakeProbe, "sample", count_sample)
        monkeypatch.setattr(FakePortTable, "facts", count_facts)


def project(harness: EngineHarness, number: int) -> str:
    folder = harness.folder / f"project-{number}"
    folder.mkdir()
    return str(folder)


@pytest.mark.parametrize("count", [40, 160])
def test_owners_of_one_server_cost_looks_in_proportion(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async def story() -> None:
        counter = Counter(monkeypatch)
        editors = [harness.editor() for _ in range(count)]
        for editor in editors:
            await harness.up(editor, "shared")
        assert counter.samples < 20 * count
        counter.samples = 0
        for editor in editors:
            harness.system.end(editor)
        await asyncio.sleep(30)
        assert harness.records.servers == {}
        assert harness.records.editors == {}
        assert counter.samples < 20 * count

    harness.run(story)


@pytest.mark.parametrize("count", [20, 80])
def test_servers_of_many_projects_cost_looks_and_bytes_in_proportion(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch, count: int
) -> None:
    async def story() -> None:
        counter = Counter(monkeypatch)
        editors = [harness.editor() for _ in range(count)]
        for number, editor in enumerate(editors):
            record = await harness.up(editor, "per-editor", project=project(harness, number))
            assert (record.relocated, record.relocated_more) == ((), 0)
        assert counter.ports < 10 * count
        assert harness.store.data is not None
        assert len(harness.store.data) < 2000 * count
        views = Views(
            harness.engine.context,
            harness.engine.inspector.reaper,
            harness.engine.exit_watches,
            harness.engine.ai_clients,
        )
        assert views.left_out(views.servers(), views.editors()) == 0
        counter.samples = 0
        for editor in editors:
            harness.system.end(editor)
        await asyncio.sleep(30)
        assert harness.records.servers == {}
        assert counter.samples < 60 * count

    harness.run(story)


def test_owners_that_end_one_by_one_cost_few_looks_each(
    harness: EngineHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        editors = [harness.editor() for _ in range(60)]
        for editor in editors:
            await harness.up(editor, "shared")
        counter = Counter(monkeypatch)
        for editor in reversed(editors[1:]):
            harness.system.end(editor)
            await asyncio.sleep(0.1)
        # Those that have ended are looked at with each further end, until another owner joins; the living are not.
        assert counter.samples < 60 * 60
        await harness.up(harness.editor(), "shared")
        assert len(harness.records.server("shared").owners) == 2

    harness.run(story)


def test_an_owner_whose_exit_event_was_lost_is_found_later(harness: EngineHarness) -> None:
    async def story() -> None:
        first, second = harness.editor(), harness.editor()
        await harness.up(first, "shared")
        await harness.up(second, "shared")
        harness.system.forget_watches()
        harness.system.end(second)
        harness.system.end(first)
        harness.engine.inspector.reaper.judge_soon("shared")
        await asyncio.sleep(30)
        assert harness.records.servers == {}

    harness.run(story)


def test_the_first_of_many_passed_over_ports_are_listed() -> None:
    occupied = [PassedOverPort(20000 + number, None, "held") for number in range(30)]
    kept = passed_over_record_fields(occupied)
    assert (len(kept["relocated"]), kept["relocated_more"]) == (8, 22)
    told = passed_over_event_fields(occupied)
    assert (len(told["passed_over"]), told["passed_over_more"]) == (8, 22)  # type: ignore[arg-type]
    assert passed_over_event_fields(occupied[:8]).keys() == {"passed_over"}
