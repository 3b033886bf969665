"""The promises of the bridge, under every interleaving of death, restart, cancellation and slow answers."""

from collections.abc import Callable
from typing import Any

import pytest

from supervisor.mcp.core import client_request, forwarding, relay, server_need, server_side, session
from supervisor.mcp.core.calls import editor_sessions, preparation, problems
from supervisor.mcp.core.conversation import Conversation
from supervisor.mcp.core.events_and_actions import EnsureSucceeded, ExchangeEnded
from supervisor.mcp.core.messages.message import Message
from supervisor.mcp.core.servers import Outcome
from tests.mcp.simulation.world import PromiseBrokenError, World

STEPS = 150
RUNS = 400


def play(seed: int, *, modern: bool = False, steps: int = STEPS) -> World:
    world = World(seed, modern=modern)
    for _ in range(steps):
        world.step()
    world.settle()
    return world


def play_many(seeds: range, *, modern: bool = False) -> None:
    for seed in seeds:
        play(seed, modern=modern)


@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
def test_the_promises_hold(*, modern: bool) -> None:
    play_many(range(RUNS // 10), modern=modern)


@pytest.mark.full
@pytest.mark.parametrize("modern", [False, True], ids=["legacy", "modern"])
@pytest.mark.timeout(600)
def test_the_promises_hold_in_many_worlds(*, modern: bool) -> None:
    play_many(range(1000, 1000 + RUNS), modern=modern)


def test_a_seed_tells_the_whole_story() -> None:
    assert [each.answer for each in play(7).asked.values()] == [each.answer for each in play(7).asked.values()]


# --- broken conversations: the checks have to find each ---


def repeats_what_may_have_happened(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Conversation, "may_repeat", lambda *_: True)


def answers_after_a_cancellation(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Conversation, "_handle_cancellation", lambda *_: None)


def keeps_the_old_session(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forwarding, "UNKNOWN_SESSION", 9999)


def does_not_confirm_the_session(patch: pytest.MonkeyPatch) -> None:
    def on_end(self: session.LegacySession, end: ExchangeEnded) -> None:
        self.phase = session.SessionPhase.READY if end.outcome is Outcome.COMPLETE else session.SessionPhase.FAILED
        self.failure = end

    patch.setattr(session.LegacySession, "on_end", on_end)


def passes_ids_of_servers_on(patch: pytest.MonkeyPatch) -> None:
    def pass_on(self: relay.Relay, message: Message, _: object) -> None:
        self._outbox.send_to_client(message.text)

    patch.setattr(relay.Relay, "pass_on", pass_on)


def does_not_cancel_old_questions(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(relay.Relay, "_cancel_at_client", lambda *_: None)


def waits_for_ever(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(
        client_request.ClientRequest, "expires_at", property(lambda _: float("inf"), lambda *_: None), raising=False
    )


def believes_any_answer(patch: pytest.MonkeyPatch) -> None:
    def on_end(self: forwarding.Forwarding, end: ExchangeEnded) -> None:
        if not self._is_over:
            lost = end._replace(outcome=Outcome.NOT_SENT)
            self._finish(self._judge(lost))

    patch.setattr(forwarding.Forwarding, "on_end", on_end)


def answers_twice(patch: pytest.MonkeyPatch) -> None:
    forwarding_ended = Conversation.forwarding_ended

    def twice(self: Conversation, request: Any, verdict: forwarding.Verdict) -> None:
        forwarding_ended(self, request, verdict)
        if verdict.answer is not None:
            self._outbox.send_to_client(verdict.answer.text)

    patch.setattr(Conversation, "forwarding_ended", twice)


def calls_a_failure_a_refusal(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(forwarding, "SERVER_FAILED", 9999)


def forgets_the_log_level(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(server_side.ServerSide, "remember_setting", lambda *_: None)


def calls_the_active_editor(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation, "with_argument", lambda message, *_: message)


def changes_what_the_client_has_chosen(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation, "given_argument", lambda *_: None)


def takes_the_newest_editor(patch: pytest.MonkeyPatch) -> None:
    def choose(self: editor_sessions.EditorSessions, _: object) -> Any:
        return next(reversed(self._reading.sessions), None) if self._reading is not None else None

    patch.setattr(editor_sessions.EditorSessions, "_choose", choose)


def trusts_the_first_list_of_tools(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation.CallPreparation, "_knows_tool", lambda *_: True)


def gives_up_editors_at_once(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(editor_sessions.EditorSessions, "find", lambda *_: problems.editor_closed(None, ()))


def never_looks_again(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(editor_sessions, "FRESH_S", float("inf"))
    patch.setattr(editor_sessions.EditorSessions, "forget", lambda *_: None)
    patch.setattr(editor_sessions, "POLL_S", float("inf"))


def calls_without_admission(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation.CallPreparation, "_is_admitted", lambda *_: True)


def asks_about_reading_tools(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation.CallPreparation, "_is_read_only", lambda *_: False)


def forgets_to_end_abandoned_calls(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation.CallPreparation, "end_abandoned", lambda *_: None)


def ends_no_answered_call(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(preparation.CallPreparation, "end", lambda *_: None)


def takes_an_old_success_for_a_server(patch: pytest.MonkeyPatch) -> None:
    def handle(self: server_need.ServerUse, event: Any, now: float) -> None:
        if isinstance(event, EnsureSucceeded):
            self._need.note_ensure_succeeded(now)
        else:
            unbroken(self, event, now)

    unbroken = server_need.ServerUse.handle
    patch.setattr(server_need.ServerUse, "handle", handle)


BROKEN = [
    takes_an_old_success_for_a_server,
    calls_the_active_editor,
    changes_what_the_client_has_chosen,
    takes_the_newest_editor,
    trusts_the_first_list_of_tools,
    gives_up_editors_at_once,
    never_looks_again,
    calls_without_admission,
    asks_about_reading_tools,
    forgets_to_end_abandoned_calls,
    ends_no_answered_call,
    repeats_what_may_have_happened,
    answers_after_a_cancellation,
    keeps_the_old_session,
    does_not_confirm_the_session,
    passes_ids_of_servers_on,
    does_not_cancel_old_questions,
    waits_for_ever,
    believes_any_answer,
    answers_twice,
    calls_a_failure_a_refusal,
    forgets_the_log_level,
]


SLOW_TO_FIND = frozenset({waits_for_ever, calls_a_failure_a_refusal})
"""Few worlds show these, so the search takes seconds."""


@pytest.mark.parametrize(
    "broken",
    [pytest.param(each, marks=[pytest.mark.full] if each in SLOW_TO_FIND else []) for each in BROKEN],
    ids=lambda broken: str(broken.__name__),
)
def test_a_broken_conversation_is_found(broken: Callable[[pytest.MonkeyPatch], None]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        broken(patch)
        with pytest.raises(PromiseBrokenError):
            # Some defects show in one world of many.
            play_many(range(2 * RUNS))
