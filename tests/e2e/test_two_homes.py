"""Two homes of one user, and a server that others started."""

import pytest

from tests.e2e.conftest import MakeHome
from tests.e2e.foreign_servers import Place, found, start_foreign_toy
from tests.e2e.home import eventually, keeps_living, lives
from tests.gates import rest_in_full

pytestmark = pytest.mark.alone


@pytest.mark.parametrize("second_home_runs", rest_in_full([True, False]))
def test_what_one_home_has_adopted_is_not_reaped_by_another(make_home: MakeHome, second_home_runs: bool) -> None:  # noqa: FBT001
    place = Place()
    first, second = make_home(place.config(discover="watch")), make_home(place.config())
    plugin, editor = first.owner(), second.owner()
    foreign_server = start_foreign_toy(first, place.set(0), owner=plugin)
    first.start()
    found(first, foreign_server.pid)
    second.start()
    words = ("--owner-pid", str(editor.pid))
    assert second.cli("adopt", str(place.http[0]), *words).returncode == 0
    if not second_home_runs:
        second.kill_daemon()
    plugin.kill()
    plugin.wait()
    first.event("editor.ended", pid=plugin.pid)
    keeps_living(foreign_server.pid, 3.0)
    assert not first.events("signal.sent")
    if not second_home_runs:
        second.start()
    editor.kill()
    editor.wait()
    eventually(lambda: not lives(foreign_server.pid), "the home that has adopted it reaps it")
