"""The server among the processes that carry its launch token, which is inherited."""

from supervisor.core.model import ProcessIdentity, ProcessRow
from supervisor.core.processes.token_carriers import TokenCarrier, ends_with, launched_process, with_descendants


def carrier(pid: int, *command: str, parent: int = 1, session: int | None = None) -> TokenCarrier:
    row = ProcessRow(ProcessIdentity(pid, "1"), parent, pid if session is None else session)
    return TokenCarrier(row, "t", command or ("toy",))


def first(*carriers: TokenCarrier) -> int | None:
    found = launched_process(carriers, lambda command: command[0] == "toy")
    return found.pid if found else None


def test_session_leader_with_the_command_is_the_server() -> None:
    assert first(carrier(7, "helper"), carrier(9), carrier(8, session=9, parent=9)) == 9


def test_editor_with_an_inherited_token_is_never_the_server() -> None:
    assert first(carrier(7, "godot")) is None
    assert first(carrier(7, "godot", parent=9), carrier(9)) == 9


def test_child_of_another_carrier_is_not_the_server() -> None:
    assert first(carrier(7, "godot"), carrier(9, parent=7)) is None


def test_two_candidates_leave_the_server_unknown() -> None:
    assert first(carrier(7), carrier(9)) is None


def test_command_line_may_begin_with_an_interpreter() -> None:
    assert ends_with(("/usr/bin/python3", "/opt/toy", "8000"), ("/opt/toy", "8000"))
    assert not ends_with(("toy", "8000"), ("8001",))
    assert not ends_with(("toy",), ())


def test_possible_editor_is_not_a_descendant_of_a_server() -> None:
    server, unread = carrier(9), TokenCarrier(ProcessRow(ProcessIdentity(7, "1"), 9, 9), "t")
    run_by_it, worker = carrier(8, parent=7, session=9), carrier(6, parent=9, session=9)
    found = with_descendants([server, unread, run_by_it, worker], server.identity)
    assert [process.pid for process in found] == [9, 6]
