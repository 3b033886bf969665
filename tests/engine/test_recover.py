"""Which of the processes that carry a launch token is the server."""

from supervisor.core.model import ProcessIdentity, ProcessRow
from supervisor.engine.rebuild import Carrier
from supervisor.engine.recover import Census


def carrier(pid: int, born: float | None, session: int | None = None) -> Carrier:
    return Carrier(ProcessRow(ProcessIdentity(pid, "1"), 1, pid if session is None else session), "t", born)


def leader(*carriers: Carrier) -> int | None:
    found = Census({"t": carriers}).leader("t")
    return found.pid if found else None


def test_the_oldest_that_leads_a_session_is_the_server() -> None:
    assert leader(carrier(7, 30.0), carrier(9, 20.0), carrier(8, 10.0, session=9)) == 9


def test_one_that_leads_alone_is_the_server_whatever_its_age() -> None:
    assert leader(carrier(7, None), carrier(8, None, session=7)) == 7


def test_where_one_of_several_does_not_tell_its_age_none_is() -> None:
    assert leader(carrier(7, None), carrier(9, 20.0)) is None
    assert leader(carrier(7, None), carrier(9, None)) is None
