"""The ownership of a home: which daemon may act when files are moved or removed."""

import errno

import pytest

from supervisor.daemon.home_ownership import HomeLostError, HomeOwnership, HomeState
from tests.fake_home import FakeFolder, FakeHome, FakeSystem

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def daemons(folder: FakeFolder, system: FakeSystem | None = None) -> tuple[HomeOwnership, HomeOwnership]:
    """Return two daemons for one folder, on one machine unless the second gets another `system`."""
    machine = FakeSystem()
    return HomeOwnership(FakeHome(folder, machine)), HomeOwnership(FakeHome(folder, system or machine))


def test_the_second_daemon_of_a_home_is_refused() -> None:
    first, second = daemons(FakeFolder())
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()


def test_a_home_made_a_link_lets_no_second_daemon_in() -> None:
    machine = FakeSystem()
    first = HomeOwnership(FakeHome(FakeFolder("home"), machine))
    assert first.take()
    # The path is a link to an empty folder now. The first daemon has not looked yet.
    second = HomeOwnership(FakeHome(FakeFolder("empty", path_id="home"), machine))
    assert not second.take()
    assert machine.present.keys() == {"home"}


def test_a_links_own_path_names_no_rows() -> None:
    linked = FakeFolder("folder", path_id="link")
    machine = FakeSystem()
    daemon = HomeOwnership(FakeHome(linked, machine))
    assert daemon.take()
    assert machine.present.keys() == {"folder", "link"}
    assert daemon.homes == ("folder",)
    # The link was replaced by a folder.
    linked.home_id, linked.path_id = "link", None
    linked.replace_lock()
    assert daemon.look() is HomeState.RESTORED
    assert set(daemon.homes) == {"folder", "link"}
    daemon.release()
    assert machine.present == {}


def test_a_refused_daemon_holds_nothing() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    first = HomeOwnership(FakeHome(folder, FakeSystem()))
    second = HomeOwnership(FakeHome(folder, machine))
    assert first.take()
    assert not second.take(), "the lock is held, its presence is not"
    assert machine.present == {}


def test_a_removed_lock_lets_no_second_daemon_in() -> None:
    folder = FakeFolder()
    first, second = daemons(folder)
    assert first.take()
    folder.replace_lock()
    assert not second.take()
    first.check_may_act()
    assert first.look() is HomeState.WHOLE


def test_a_lost_lock_is_taken_again_before_an_act_and_reported() -> None:
    folder, told = FakeFolder(), []
    daemon = HomeOwnership(FakeHome(folder))
    daemon.on_restored = lambda: told.append("restored")
    assert daemon.take()
    folder.replace_lock()
    daemon.check_may_act()
    daemon.check_may_act()
    assert told == ["restored"]


def test_a_daemon_that_lost_its_lock_stops_acting() -> None:
    folder, told = FakeFolder(), []
    # A daemon in a container sees the same folder, but has its own system.
    first, second = daemons(folder, FakeSystem())
    first.on_lost = lambda: told.append("lost")
    assert first.take()
    folder.replace_lock()
    assert second.take()
    for act in (first.check_may_act, first.check_may_write, first.check_may_act):
        with pytest.raises(HomeLostError, match="another daemon has locked it"):
            act()
    second.check_may_act()
    assert told == ["lost"]
    assert first.look() is HomeState.LOST


def test_a_home_that_cannot_be_used_is_not_written_but_guarded() -> None:
    folder = FakeFolder()
    first, second = daemons(folder)
    assert first.take()
    folder.trouble = NO_SPACE
    first.check_may_act()
    with pytest.raises(HomeLostError, match="No space left"):
        first.check_may_write()
    assert "No space left" in (first.note() or "")
    with pytest.raises(OSError, match="No space left"):
        second.take()
    folder.trouble = None
    first.check_may_write()
    assert first.note() is None


def test_without_presence_an_unseen_lock_forbids_every_act() -> None:
    folder, machine = FakeFolder(), FakeSystem(refuses=OSError(errno.EPERM, "Operation not permitted"))
    daemon = HomeOwnership(FakeHome(folder, machine))
    assert daemon.take(), "the lock has to do"
    assert "Operation not permitted" in (daemon.note() or "")
    daemon.check_may_act()
    folder.trouble = NO_SPACE
    with pytest.raises(HomeLostError, match="No space left"):
        daemon.check_may_act()


def test_a_path_that_leads_to_another_home_is_given_up() -> None:
    folder = FakeFolder()
    daemon = HomeOwnership(FakeHome(folder))
    assert daemon.take()
    folder.replace_lock()
    folder.home_id, folder.owners = "elsewhere", ("elsewhere",)
    with pytest.raises(HomeLostError, match="another home"):
        daemon.check_may_act()


def test_an_empty_folder_at_the_path_becomes_the_home() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    daemon = HomeOwnership(FakeHome(folder, machine))
    assert daemon.take()
    folder.replace_lock()
    folder.home_id = "elsewhere"
    daemon.check_may_act()
    assert set(machine.present) == {"home", "elsewhere"}
    assert not HomeOwnership(FakeHome(FakeFolder("home"), machine)).take(), "its servers carry the first id"


def test_rows_of_a_home_with_a_living_daemon_are_not_inherited() -> None:
    machine = FakeSystem()
    original, copy = (HomeOwnership(FakeHome(FakeFolder(name), machine)) for name in ("original", "copy"))
    assert original.take()
    assert copy.take()
    assert not copy.inherit(["original"])
    original.release()
    assert copy.inherit(["original"])
    assert copy.homes == ("copy", "original")
    assert not original.take(), "its servers are the copy's now"


def test_questions_are_answered_for_every_home_held() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    ground = FakeHome(folder, machine)
    daemon = HomeOwnership(ground)
    assert daemon.take()
    daemon.listen(lambda: b"here")
    assert daemon.inherit(["earlier"])
    assert [presence.answer and presence.answer() for presence in ground.presences] == [b"here", b"here"]
