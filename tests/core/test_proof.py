from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisor.core.model import Origin, ProcessIdentity, ProcessRow
from supervisor.core.processes.proof import (
    Held,
    ListenerFacts,
    Recognised,
    SignalEvidence,
    Stoppable,
    TreeMember,
    TreeRole,
    Unrecognised,
    judge_listener,
    judge_signal,
)
from supervisor.core.processes.trees import (
    ancestors,
    foreign_tree,
    guarded_processes,
    runs_nothing_else,
    spawned_tree,
    topmost_launcher,
)


def who(pid: int, token: str = "t") -> ProcessIdentity:
    return ProcessIdentity(pid, token)


def row(pid: int, parent: int = 1, session: int = 0) -> ProcessRow:
    return ProcessRow(who(pid), parent, session)


SERVER = TreeMember(who(50), TreeRole.ROOT)
OURS = SignalEvidence(process_now=who(50), token="home.godot-ai.abc", origin=Origin.SPAWNED)


def test_spawned_server_may_be_stopped() -> None:
    assert isinstance(judge_signal(SERVER, OURS), Stoppable)


@pytest.mark.parametrize("process_now", [None, who(50, "later"), who(51)])
def test_another_process_with_the_pid_is_never_signalled(process_now: ProcessIdentity | None) -> None:
    assert isinstance(
        judge_signal(SERVER, replace(OURS, process_now=process_now, stop_requested=True, orphan=True)), Held
    )


def test_editor_is_never_signalled_even_on_a_users_request() -> None:
    assert isinstance(judge_signal(SERVER, replace(OURS, guarded=frozenset({who(50)}), stop_requested=True)), Held)


@pytest.mark.parametrize("token", [None, "", "home.godot-ai.other", "other.godot-ai.abc"])
def test_left_over_member_needs_the_launch_token(token: str | None) -> None:
    member = TreeMember(who(50), TreeRole.OF_ENDED_ROOT, token)
    assert isinstance(judge_signal(member, OURS), Held)
    assert isinstance(judge_signal(replace(member, launch_token=OURS.token), OURS), Stoppable)


@pytest.mark.parametrize("origin", [Origin.ADOPTED, Origin.DISCOVERED, Origin.EXTERNAL])
def test_foreign_server_needs_a_users_request_or_dead_owners(origin: Origin) -> None:
    evidence = replace(OURS, origin=origin)
    assert isinstance(judge_signal(SERVER, evidence), Held)
    assert isinstance(judge_signal(SERVER, replace(evidence, stop_requested=True)), Stoppable)
    assert isinstance(judge_signal(SERVER, replace(evidence, orphan=True)), Stoppable)


# Shell 10 (session 10) runs a job 11; daemon 20; server 50 (session 50) with child 51 and grandchild 52 in a session of
# its own; an editor 60 that the server started, with its game 61.
TABLE = (
    row(10, 1, 10),
    row(11, 10, 10),
    row(20, 1, 20),
    row(50, 20, 50),
    row(51, 50, 50),
    row(52, 51, 52),
    row(60, 50, 50),
    row(61, 60, 50),
)
GUARD = guarded_processes(TABLE, editors=[who(60)], daemon=who(20), roots=[who(50)])


def members(table: tuple[ProcessRow, ...]) -> dict[int, TreeRole]:
    return {member.identity.pid: member.role for member in spawned_tree(table, who(50), GUARD)}


def test_tree_has_descendants_and_session_but_no_editor() -> None:
    assert members(TABLE) == {50: TreeRole.ROOT, 51: TreeRole.BELOW, 52: TreeRole.BELOW}


def test_daemon_does_not_guard_its_servers() -> None:
    assert who(20) in GUARD
    assert not GUARD & {who(50), who(51), who(52)}


def test_descendants_of_an_editor_are_guarded() -> None:
    assert {who(60), who(61)} <= GUARD


def test_editor_that_started_the_daemon_does_not_guard_servers() -> None:
    table = (row(60, 1, 60), row(20, 60, 20), row(50, 20, 50))
    assert guarded_processes(table, [who(60)], who(20), [who(50)]) == {who(60), who(20)}


def test_session_member_without_parent_belongs_to_the_tree() -> None:
    assert members((*TABLE, row(70, 1, 50)))[70] is TreeRole.BELOW


def test_process_with_its_own_session_is_apart_with_descendants() -> None:
    table = (*TABLE, row(53, 52, 52), row(54, 53, 54), row(55, 51, 50))
    apart = {member.identity.pid for member in spawned_tree(table, who(50), GUARD) if member.apart}
    assert apart == {52, 53, 54}


def test_foreign_descendant_in_another_session_is_apart() -> None:
    table = (row(40, 10, 10), row(41, 40, 41), row(42, 41, 41), row(43, 41, 43), row(44, 43, 43), row(45, 41, 10))
    apart = {member.identity.pid for member in foreign_tree(table, who(41), who(40), frozenset()) if member.apart}
    assert apart == {43, 44}


def test_new_session_of_the_roots_number_is_not_in_the_tree() -> None:
    later = (ProcessRow(who(50, "later"), 1, 50), row(51, 50, 50), row(52, 1, 50))
    assert spawned_tree(later, who(50), frozenset()) == ()


def test_session_is_left_over_after_the_root_has_gone() -> None:
    rest = tuple(line for line in TABLE if line.identity.pid != 50)
    orphaned = tuple(replace(line, parent=1) if line.parent == 50 else line for line in rest)
    assert members(orphaned) == {51: TreeRole.OF_ENDED_ROOT, 52: TreeRole.OF_ENDED_ROOT}


@given(
    parents=st.lists(st.integers(0, 30), min_size=1, max_size=30),
    sessions=st.lists(st.integers(0, 30), min_size=30, max_size=30),
    editors=st.sets(st.integers(1, 30)),
)
def test_tree_never_contains_a_guarded_process(parents: list[int], sessions: list[int], editors: set[int]) -> None:
    table = tuple(row(pid + 1, parent, sessions[pid]) for pid, parent in enumerate(parents))
    guard = guarded_processes(table, [who(pid) for pid in editors if pid != 1], who(2), [who(1)])
    assert not guard & {member.identity for member in spawned_tree(table, who(1), guard)}


# --- recognised ---

GODOT_AI = ListenerFacts(
    "godot-ai",
    same_user=True,
    command_fits=True,
    can_prove=True,
    matches=True,
    complete=True,
    detail="it says who it is",
)


def test_command_line_and_answer_of_the_kind_are_recognised() -> None:
    assert isinstance(judge_listener(GODOT_AI), Recognised)


@pytest.mark.parametrize(
    "lacking",
    [
        {"same_user": False},
        {"same_user": None},
        {"command_fits": False},
        {"can_prove": False},
        {"matches": None},
        {"matches": False},
        {"complete": False},
    ],
    ids=str,
)
def test_each_missing_fact_prevents_recognition_with_its_reason(lacking: dict[str, Any]) -> None:
    proof = judge_listener(replace(GODOT_AI, **lacking))
    assert isinstance(proof, Unrecognised)
    assert proof.reason


@pytest.mark.parametrize(
    ("same_user", "reason"),
    [(False, "it belongs to another user"), (None, "the system does not tell which user it belongs to")],
)
def test_another_user_and_an_unknown_user_differ(*, same_user: bool | None, reason: str) -> None:
    proof = judge_listener(replace(GODOT_AI, same_user=same_user))
    assert isinstance(proof, Unrecognised)
    assert proof.reason == reason


# --- the tree of a foreign server ---

# A terminal's shell 10 runs uvx 40, which runs the server 41 with a worker 42; an editor 60 runs npx 61 -> server 62.
FOREIGN_SERVERS = (
    row(10, 1, 10),
    row(40, 10, 10),
    row(41, 40, 10),
    row(42, 41, 10),
    row(60, 1, 60),
    row(61, 60, 60),
    row(62, 61, 60),
    row(80, 10, 10),
)
COMMANDS = {
    who(10): ("-bash",),
    who(40): ("/home/dev/.local/bin/uvx", "godot-ai"),
    who(60): ("godot", "--editor"),
    who(61): ("node", "/usr/bin/npx", "unity-mcp"),
}


def test_runner_above_a_listener_is_its_launcher_a_shell_is_not() -> None:
    assert topmost_launcher(FOREIGN_SERVERS, who(41), COMMANDS, ()) == who(40)
    assert topmost_launcher(FOREIGN_SERVERS, who(62), COMMANDS, ()) == who(61)


def test_runner_with_another_child_is_not_a_launcher() -> None:
    assert topmost_launcher((*FOREIGN_SERVERS, row(43, 40, 10)), who(41), COMMANDS, ()) == who(41)


def test_idle_launcher_stays_one_after_its_server_has_ended() -> None:
    ended = tuple(each for each in FOREIGN_SERVERS if each.identity.pid not in (41, 42))
    proven = {who(40), who(41), who(42)}
    assert runs_nothing_else(ended, who(40), COMMANDS, (), proven)
    assert not runs_nothing_else(ended, who(40), COMMANDS, (), proven - {who(40)})
    assert not runs_nothing_else(ended, who(40), COMMANDS, (who(40),), proven)
    assert not runs_nothing_else(ended, who(40), {who(40): ("important-work",)}, (), proven)
    assert not runs_nothing_else((*ended, row(43, 40, 10)), who(40), COMMANDS, (), proven)


def test_runner_that_is_an_owner_is_not_a_launcher() -> None:
    assert topmost_launcher(FOREIGN_SERVERS, who(41), COMMANDS, (who(40),)) == who(41)


def test_topmost_of_several_runners_is_the_launcher() -> None:
    table = (*FOREIGN_SERVERS, row(90, 1, 90), row(91, 90, 90), row(92, 91, 90))
    commands = {**COMMANDS, who(90): ("sh", "-c", "uvx godot-ai"), who(91): ("uvx", "godot-ai")}
    assert topmost_launcher(table, who(92), commands, ()) == who(90)
    assert ancestors(table, who(92)) == (who(91), who(90))


def test_runner_leading_a_terminal_session_is_not_a_launcher() -> None:
    # The terminal was opened for one command and would close with it.
    opened = replace(row(40, 10, 40), on_terminal=True)
    table = (*(each for each in FOREIGN_SERVERS if each.identity.pid != 40), opened)
    assert topmost_launcher(table, who(41), COMMANDS, ()) == who(41)
    assert not runs_nothing_else((opened,), who(40), COMMANDS, (), {who(40), who(41)})
    assert topmost_launcher((*table[:-1], replace(opened, on_terminal=False)), who(41), COMMANDS, ()) == who(40)


def test_foreign_tree_excludes_the_session() -> None:
    found = foreign_tree(FOREIGN_SERVERS, who(41), who(40), frozenset())
    assert {member.identity.pid: member.role for member in found} == {
        40: TreeRole.ROOT,
        41: TreeRole.ROOT,
        42: TreeRole.BELOW,
    }


def test_foreign_tree_excludes_editors_and_their_descendants() -> None:
    table = (*FOREIGN_SERVERS, row(43, 42, 10), row(44, 43, 10))
    guard = guarded_processes(table, [who(43)], who(20), [who(41), who(40)])
    found = foreign_tree(table, who(41), who(40), guard)
    assert {member.identity.pid for member in found} == {40, 41, 42}


def test_foreign_tree_of_an_ended_server_is_its_launcher() -> None:
    found = foreign_tree(FOREIGN_SERVERS, who(41, "earlier"), who(40), frozenset())
    assert {member.identity.pid for member in found} == {40}


@given(
    parents_of=st.lists(st.integers(0, 20), min_size=1, max_size=20),
    editors=st.sets(st.integers(1, 20)),
    process=st.integers(1, 20),
    root=st.integers(1, 20),
)
def test_foreign_tree_never_contains_a_guarded_process(
    parents_of: list[int], editors: set[int], process: int, root: int
) -> None:
    table = tuple(row(pid + 1, parent, 1) for pid, parent in enumerate(parents_of))
    guard = guarded_processes(table, [who(pid) for pid in editors], who(2), [])
    assert not guard & {member.identity for member in foreign_tree(table, who(process), who(root), guard)}
