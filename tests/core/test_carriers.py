"""Which of the processes that carry a launch token is the server: tokens are inherited."""

from supervisor.core.model import ProcessIdentity, ProcessRow
from supervisor.core.processes.token_carriers import Carrier, below, ends_with, first_of


def carrier(pid: int, *command: str, parent: int = 1, session: int | None = None) -> Carrier:
    row = ProcessRow(ProcessIdentity(pid, "1"), parent, pid if session is None else session)
    return Carrier(row, "t", command or ("toy",))


def first(*carriers: Carrier) -> int | None:
    found = first_of(carriers, lambda command: command[0] == "toy")
    return found.pid if found else None


def test_the_one_that_leads_a_session_and_has_the_command_is_the_server() -> None:
    assert first(carrier(7, "helper"), carrier(9), carrier(8, session=9, parent=9)) == 9


def test_an_editor_with_an_inherited_token_is_never_the_server() -> None:
    assert first(carrier(7, "godot")) is None
    assert first(carrier(7, "godot", parent=9), carrier(9)) == 9


def test_what_another_carrier_has_started_is_not_the_server() -> None:
    assert first(carrier(7, "godot"), carrier(9, parent=7)) is None


def test_of_two_that_may_be_it_none_is() -> None:
    assert first(carrier(7), carrier(9)) is None


def test_a_command_line_may_begin_with_an_interpreter() -> None:
    assert ends_with(("/usr/bin/python3", "/opt/toy", "8000"), ("/opt/toy", "8000"))
    assert not ends_with(("toy", "8000"), ("8001",))
    assert not ends_with(("toy",), ())


def test_what_may_be_an_editor_is_not_below_a_server() -> None:
    server, unread = carrier(9), Carrier(ProcessRow(ProcessIdentity(7, "1"), 9, 9), "t")
    run_by_it, worker = carrier(8, parent=7, session=9), carrier(6, parent=9, session=9)
    found = below([server, unread, run_by_it, worker], server.identity)
    assert [process.pid for process in found] == [9, 6]
