"""Which of two processes is the older, and so who is whose parent."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import ProcessIdentity
from supervisor.native.windows.processes import listing, start_order
from supervisor.native.windows.processes.listing import Listed
from supervisor.native.windows.system import win32
from tests.contract.platforms import RealHarness, harness_of, on_loop


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[RealHarness]:
    with harness_of("real", tmp_path) as made:
        assert isinstance(made, RealHarness)
        yield made


def listed(*rows: tuple[int, int, int]) -> dict[int, Listed]:
    """Processes by pid, parent and time of creation."""
    return {pid: Listed(pid, parent, created) for pid, parent, created in rows}


def parents(table: dict[int, Listed], sequences: Mapping[int, int | None]) -> dict[int, int]:
    return listing.parents(table, lambda identity: sequences.get(identity.pid))


class TestParents:
    def test_who_came_before_in_the_sequence_is_the_parent_whatever_the_clock_said(self) -> None:
        table = listed((4, 0, 900), (8, 4, 10), (12, 8, 5))
        assert parents(table, {4: 1, 8: 2, 12: 3}) == {4: 0, 8: 4, 12: 8}

    def test_who_came_after_has_the_number_of_a_parent_that_has_gone(self) -> None:
        table = listed((4, 0, 10), (8, 4, 900))
        assert parents(table, {4: 7, 8: 2}) == {4: 0, 8: 0}
        assert parents(table, {4: 2, 8: 2}) == {4: 0, 8: 0}

    @pytest.mark.parametrize("told", [4, 8])
    def test_where_one_alone_is_told_nothing_is_proven(self, told: int) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {told: 5}) == {4: 0, 8: 0}

    def test_where_neither_is_told_the_times_have_to_do(self) -> None:
        assert parents(listed((4, 0, 10), (8, 4, 20)), {})[8] == 4
        assert parents(listed((4, 0, 20), (8, 4, 10)), {})[8] == 0

    def test_the_number_of_a_lost_ancestor_that_another_has_by_now_is_not_told(self) -> None:
        table = listed((8, 4, 10), (12, 8, 11), (4, 0, 20))
        assert listing.lost_ancestor(12, table, parents(table, {})) == 0
        del table[4]
        assert listing.lost_ancestor(12, table, parents(table, {})) == 4


class Telemetry:
    """A Windows 10 that tells of every process what `facts` says; `refuses` is a status."""

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

    def test_the_facts_lie_where_windows_puts_them(self) -> None:
        told = win32.ProcessTelemetryId
        assert (told.pid.offset, told.created.offset, told.sequence.offset) == (4, 16, 40)

    def test_the_place_in_the_sequence_is_the_age(self, harness: RealHarness, telemetry: Telemetry) -> None:
        telemetry.needs_bytes = 3 * start_order.FIRST_GUESS_BYTES
        assert harness.platform.probe.born(harness.me) == 4711

    @pytest.mark.parametrize("wrong", [{"pid": 4}, {"created": 1}, {"sequence": 0}])
    def test_an_answer_that_is_not_proven_to_be_of_this_process_is_none(
        self, harness: RealHarness, telemetry: Telemetry, wrong: dict[str, int]
    ) -> None:
        telemetry.facts = {**telemetry.facts, **wrong}
        assert harness.platform.probe.born(harness.me) is None

    def test_a_system_that_refuses_tells_nothing(self, harness: RealHarness, telemetry: Telemetry) -> None:
        telemetry.refuses = -0x3FFFFFFD
        assert harness.platform.probe.born(harness.me) is None

    def test_of_nobody_nothing_is_told(self, harness: RealHarness, telemetry: Telemetry) -> None:
        assert harness.platform.probe.born(ProcessIdentity(harness.me.pid, "1")) is None
        assert harness.platform.probe.born(ProcessIdentity(0, "1")) is None
        assert telemetry.facts

    @pytest.mark.needs_real_windows
    def test_windows_tells(self, harness: RealHarness) -> None:
        assert harness.platform.probe.born(harness.me) is not None

    @on_loop
    async def test_a_descendant_that_only_the_clock_calls_younger_is_none(
        self, harness: RealHarness, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        parent, child = harness.family()
        sequences = {parent: 8, child: 7}
        monkeypatch.setattr(start_order, "sequence", sequences.get)
        (row,) = [row for row in harness.platform.processes.table() if row.identity == child]
        assert row.parent == 0
