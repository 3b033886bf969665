"""The gate of tool calls: exclusion, order of arrival, and an end to every wait."""

from collections.abc import Sequence
from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from supervisor.core.model import ClientName, Editor, Occupation, ProcessIdentity
from supervisor.core.tool_calls import (
    REJECT_S,
    WAIT_S,
    WAITING_MAX,
    CallQueue,
    Gate,
    MustWait,
    ReachedEditor,
    RunsNow,
    ToolCall,
    TurnedAway,
    busy_editor,
)
from tests.gates import examples

ANY = ReachedEditor()
EDITORS = (
    ReachedEditor(10, "/p"),
    ReachedEditor(11, "/p"),
    ReachedEditor(20, "/q"),
    ReachedEditor(30),
    ReachedEditor(project="/p"),
    ReachedEditor(project="/q"),
    ANY,
)


def call(number: int, reached: ReachedEditor = ANY) -> ToolCall:
    return ToolCall(number, reached)


def test_calls_on_one_editor_run_one_after_the_other() -> None:
    queue = CallQueue()
    assert queue.begin(call(1), Gate.SERIALIZE, 0) == RunsNow()
    assert queue.begin(call(2), Gate.SERIALIZE, 1) == MustWait(1 + WAIT_S)
    assert queue.begin(call(3), Gate.SERIALIZE, 1.5) == MustWait(1.5 + WAIT_S)
    queue.end(1)
    assert queue.advance(2).admitted == (call(2),)
    assert list(queue.waiting) == [3]


def test_a_call_that_waited_too_long_is_refused() -> None:
    queue = CallQueue()
    queue.begin(call(1), Gate.SERIALIZE, 0)
    queue.begin(call(2), Gate.SERIALIZE, 0)
    assert queue.deadline == WAIT_S
    assert queue.advance(WAIT_S - 0.001).expired == ()
    assert queue.advance(WAIT_S).expired == ((call(2), call(1)),)
    assert queue.deadline is None


def test_a_free_editor_is_used_although_the_timer_is_late() -> None:
    queue = CallQueue()
    queue.begin(call(1), Gate.SERIALIZE, 0)
    queue.begin(call(2), Gate.SERIALIZE, 0)
    queue.end(1)
    assert queue.advance(WAIT_S + 5).admitted == (call(2),)


def test_with_reject_a_second_call_does_not_wait_long() -> None:
    queue = CallQueue()
    queue.begin(call(1), Gate.REJECT, 0)
    assert queue.begin(call(2), Gate.REJECT, 0) == MustWait(REJECT_S)
    assert queue.advance(REJECT_S).expired == ((call(2), call(1)),)
    queue.end(1)
    assert queue.begin(call(2), Gate.REJECT, 0) == RunsNow()


def test_with_reject_a_call_meets_no_end_that_is_on_its_way() -> None:
    queue = CallQueue()
    queue.begin(call(1), Gate.REJECT, 0)
    queue.begin(call(2), Gate.REJECT, 0)
    queue.end(1)
    assert queue.advance(0).admitted == (call(2),)


def test_calls_on_different_editors_run_side_by_side() -> None:
    queue = CallQueue()
    for number, reached in enumerate((EDITORS[0], EDITORS[1], EDITORS[2])):
        assert queue.begin(call(number, reached), Gate.REJECT, 0) == RunsNow()


def test_a_call_for_an_unknown_editor_meets_all_others() -> None:
    queue = CallQueue()
    queue.begin(call(1, EDITORS[0]), Gate.SERIALIZE, 0)
    assert isinstance(queue.begin(call(2, ANY), Gate.SERIALIZE, 0), MustWait)
    # The third call could run beside the first, but not before the second.
    assert isinstance(queue.begin(call(3, EDITORS[2]), Gate.SERIALIZE, 0), MustWait)


def test_the_queue_has_a_limit() -> None:
    queue = CallQueue()
    for number in range(WAITING_MAX + 1):
        queue.begin(call(number), Gate.SERIALIZE, 0)
    assert queue.begin(call(WAITING_MAX + 1), Gate.SERIALIZE, 0) == TurnedAway()
    assert len(queue) == WAITING_MAX + 1


def test_a_call_of_an_earlier_daemon_counts() -> None:
    queue = CallQueue()
    queue.resume(call(1))
    queue.resume(call(2))
    assert queue.begin(call(3), Gate.REJECT, 0) == MustWait(REJECT_S)
    assert queue.advance(REJECT_S).expired == ((call(3), call(1)),)


STEPS = st.lists(
    st.tuples(st.sampled_from(("begin", "begin", "end", "wait")), st.integers(0, 6), st.floats(0, 1)), max_size=60
)


@settings(max_examples=examples(1500))
@given(STEPS, st.sampled_from((Gate.SERIALIZE, Gate.REJECT)))
def test_the_promises_of_the_gate_hold(steps: Sequence[tuple[str, int, float]], gate: Gate) -> None:
    queue, now, numbers = CallQueue(), 0.0, 0
    arrived: dict[int, tuple[float, ToolCall]] = {}
    open_calls: set[int] = set()

    def advance() -> None:
        progress = queue.advance(now)
        for admitted in progress.admitted:
            arrival, _ = arrived[admitted.number]
            earlier = [each.call for each in queue.waiting.values() if each.call.number < admitted.number]
            assert not any(admitted.reached.may_be(each.reached) for each in earlier), "an older call was overtaken"
            assert arrival <= now
        for expired, blocker in progress.expired:
            assert now >= arrived[expired.number][0] + (WAIT_S if gate is Gate.SERIALIZE else REJECT_S)
            assert expired.reached.may_be(blocker.reached)
            open_calls.discard(expired.number)

    for step, choice, pause in steps:
        now += pause
        if step == "begin":
            numbers += 1
            new = call(numbers, EDITORS[choice])
            arrived[numbers] = (now, new)
            queue.begin(new, gate, now)
            open_calls.add(numbers)
        elif step == "end" and open_calls:
            ended = sorted(open_calls)[choice % len(open_calls)]
            assert queue.end(ended) is not None
            assert queue.end(ended) is None
            open_calls.discard(ended)
        advance()
        running = list(queue.running.values())
        for place, first in enumerate(running):
            assert not any(first.reached.may_be(other.reached) for other in running[place + 1 :])
        assert set(queue.running) | set(queue.waiting) == open_calls
        assert all(now < waiting.expires for waiting in queue.waiting.values())
        assert all(waiting.expires > now for waiting in queue.waiting.values())
        # No call waits without a reason.
        for waiting in queue.waiting.values():
            others = [
                *running,
                *(each.call for each in queue.waiting.values() if each.call.number < waiting.call.number),
            ]
            assert any(waiting.call.reached.may_be(other.reached) for other in others)


@given(st.sampled_from(EDITORS), st.sampled_from(EDITORS))
def test_whether_calls_meet_does_not_depend_on_the_order(first: ReachedEditor, second: ReachedEditor) -> None:
    assert first.may_be(second) == second.may_be(first)
    assert first.may_be(first)


def editor(pid: int, project: str, busy_until: float | None = None) -> Editor:
    occupation = None if busy_until is None else Occupation("importing", 0.0, busy_until)
    return Editor(f"e{pid}", ProcessIdentity(pid, "t"), project, occupation=occupation)


def test_a_call_meets_the_busy_editor_that_it_reaches() -> None:
    editors = [editor(10, "/p", 5), editor(20, "/q")]
    found = busy_editor(ReachedEditor(10), editors, (), 1)
    assert found is not None
    assert found.editor.id == "e10"
    assert busy_editor(ReachedEditor(project="/p"), editors, (), 1) == found
    assert busy_editor(ReachedEditor(20), editors, (), 1) is None
    assert busy_editor(ANY, editors, ("e10",), 1) == found
    assert busy_editor(ANY, editors, ("e10", "e20"), 1) is None
    assert busy_editor(ReachedEditor(10), editors, (), 5) is None


def test_of_several_busy_editors_the_first_to_be_free_counts() -> None:
    editors = [editor(10, "/p", 9), editor(11, "/p", 5)]
    found = busy_editor(ReachedEditor(project="/p"), editors, (), 1)
    assert found is not None
    assert found.editor.id == "e11"
    assert busy_editor(ReachedEditor(project="/p"), [*editors, editor(12, "/p")], (), 1) is None


def test_an_ai_client_is_no_busy_editor() -> None:
    client = replace(editor(10, "/p", 9), client=ClientName("claude-code", "2"))
    assert busy_editor(ReachedEditor(10), [client], (), 1) is None
