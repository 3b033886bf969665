"""The order in which two processes were created, and so which can be the parent."""

from collections.abc import Mapping
from typing import Any

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.native.windows.processes import listing, start_order
from supervisor.native.windows.processes.listing import Listed
from supervisor.native.windows.system import win32
from tests.contract.platforms import RealHarness, on_loop


def listed(*rows: tuple[int, int, int]) -> dict[int, Listed]:
    """Return processes by pid, with parent and time of creation."""
    return {pid: Listed(pid, parent, created) for pid, parent, created in rows}


def parents(table: dict[int, Listed], sequences: Mapping[int, int | None]) -> dict[int, int]:
    return listing.parents(table, lambda identity: sequences.get(identity.pid))


class TestParents:
    def test_smaller_sequence_number_proves_the_parent(self) -> None:
        table = listed((4, 0, 900), (8, 4, 10), (12, 8, 5))
        assert parents(table, {4: 1, 8: 2, 12: 3}) == {4: 0, 8: 4, 12: 8}

    def test_larger_sequence_number_disproves_the_parent(self) -> None:
        table = listed((4, 0, 10), (8, 4, 900))
        assert parents(table, {4: 7, 8: 2}) == {4: 0, 8: 0}
        assert parents(table, {4: 2, 8: 2}) == {4: 0, 8: 0}

    @pytest.mark.parametrize("told", [4, 8])
    def test_single_sequence_number_proves_nothing(self, told: int) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {told: 5}) == {4: 0, 8: 0}

    def test_creation_times_decide_without_sequence_numbers(self) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {})[8] == 4
        assert parents(listed((4, 0, 20), (8, 4, 10)), {})[8] == 0

    def test_reused_number_of_a_lost_ancestor_is_not_reported(self) -> None:
        table = listed((8, 4, 10), (12, 8, 11), (4, 0, 20))
        assert listing.lost_ancestor(12, table, parents(table, {})) == 0
        del table[4]
        assert listing.lost_ancestor(12, table, parents(table, {})) == 4


class Telemetry:
    """A Windows 10 that answers `facts` for every process; `refuses` is a status."""

    def __init__(self, facts: Mapping[str, int]) -> None:
        self.facts = facts
        self.refuses = 0
        self.needs_bytes = 0

    def __call__(self, _handle: int, what: int, answer: Any, size: int, needed: Any) -> int:
        assert what == 64
        needed._obj.value = max(self.needs_bytes, 104)
        if self.refuses or size < needed._obj.value:
            return self.refuses or -0x7FFFFFFB
        told = win32.ProcessTelemetryId.from_buffer(answer)
        for name, value in self.facts.items():
            setattr(told, name, value)
        return 0


class TestBirths:
    @pytest.fixture
    def telemetry(self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch) -> Telemetry:
        made = Telemetry({"pid": harness.me.pid, "created": int(harness.me.start_token), "sequence": 4711})
        monkeypatch.setattr(win32, "NtQueryInformationProcess", made)
        return made

    def test_facts_have_the_layout_of_windows(self) -> None:
        told = win32.ProcessTelemetryId
        assert (told.pid.offset, told.created.offset, told.sequence.offset) == (4, 16, 40)

    def test_sequence_number_is_the_order_of_creation(self, harness: RealHarness, telemetry: Telemetry) -> None:
        telemetry.needs_bytes = 3 * start_order.FIRST_GUESS_BYTES
        assert harness.platform.probe.creation_order(harness.me) == 4711

    @pytest.mark.parametrize("wrong", [{"pid": 4}, {"created": 1}, {"sequence": 0}])
    def test_answer_about_another_process_is_ignored(
        self, harness: RealHarness, telemetry: Telemetry, wrong: dict[str, int]
    ) -> None:
        telemetry.facts = {**telemetry.facts, **wrong}
        assert harness.platform.probe.creation_order(harness.me) is None

    def test_refusing_system_gives_no_sequence_number(self, harness: RealHarness, telemetry: Telemetry) -> None:
        telemetry.refuses = -0x3FFFFFFD
        assert harness.platform.probe.creation_order(harness.me) is None

    def test_missing_process_has_no_sequence_number(self, harness: RealHarness, telemetry: Telemetry) -> None:
        assert harness.platform.probe.creation_order(ProcessIdentity(harness.me.pid, "1")) is None
        assert harness.platform.probe.creation_order(ProcessIdentity(0, "1")) is None
        assert telemetry.facts

    @pytest.mark.needs_real_windows
    def test_real_windows_gives_sequence_numbers(self, harness: RealHarness) -> None:
        assert harness.platform.probe.creation_order(harness.me) is not None

    @on_loop
    async def test_younger_creation_time_alone_makes_no_descendant(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent, child = harness.family()
        sequences = {parent: 8, child: 7}
        monkeypatch.setattr(start_order, "sequence", sequences.get)
        (row,) = [row for row in harness.platform.processes.table() if row.identity == child]
        assert row.parent == 0
