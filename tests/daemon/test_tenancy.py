"""Which daemon may act for a home, whatever becomes of the files in it."""

import errno

import pytest

from supervisor.daemon.home_ownership import HomeLostError, HomeOwnership, Standing
from tests.ground import FakeFolder, FakeGround, FakeSystem

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def daemons(folder: FakeFolder, system: FakeSystem | None = None) -> tuple[HomeOwnership, HomeOwnership]:
    """Two daemons for one folder, on one machine unless `system` is told apart."""
    machine = FakeSystem()
    return HomeOwnership(FakeGround(folder, machine)), HomeOwnership(FakeGround(folder, system or machine))


def test_the_second_daemon_of_a_home_is_refused() -> None:
    first, second = daemons(FakeFolder())
    assert first.take()
    assert not second.take()
    first.release()
    assert second.take()


def test_a_home_made_a_link_lets_no_second_daemon_in() -> None:
    machine = FakeSystem()
    first = HomeOwnership(FakeGround(FakeFolder("home"), machine))
    assert first.take()
    # Its path is a link to an empty folder now; the first daemon has not looked yet.
    second = HomeOwnership(FakeGround(FakeFolder("empty", path_id="home"), machine))
    assert not second.take()
    assert machine.present.keys() == {"home"}


def test_a_links_own_path_names_no_rows() -> None:
    linked = FakeFolder("folder", path_id="link")
    machine = FakeSystem()
    daemon = HomeOwnership(FakeGround(linked, machine))
    assert daemon.take()
    assert machine.present.keys() == {"folder", "link"}
    assert daemon.homes == ("folder",)
    # The link was replaced by a folder.
    linked.home_id, linked.path_id = "link", None
    linked.replace_lock()
    assert daemon.look() is Standing.RESTORED
    assert set(daemon.homes) == {"folder", "link"}
    daemon.release()
    assert machine.present == {}


def test_a_refused_daemon_holds_nothing() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    first = HomeOwnership(FakeGround(folder, FakeSystem()))
    second = HomeOwnership(FakeGround(folder, machine))
    assert first.take()
    assert not second.take(), "the lock is held, its presence is not"
    assert machine.present == {}


def test_a_removed_lock_lets_no_second_daemon_in() -> None:
    folder = FakeFolder()
    first, second = daemons(folder)
    assert first.take()
    folder.replace_lock()
    assert not second.take()
    first.assure()
    assert first.look() is Standing.WHOLE


def test_a_lost_lock_is_taken_again_before_an_act_and_told() -> None:
    folder, told = FakeFolder(), []
    daemon = HomeOwnership(FakeGround(folder))
    daemon.on_restored = lambda: told.append("restored")
    assert daemon.take()
    folder.replace_lock()
    daemon.assure()
    daemon.assure()
    assert told == ["restored"]


def test_a_daemon_whose_lock_is_anothers_acts_no_more() -> None:
    folder, told = FakeFolder(), []
    # A daemon in a container sees the folder, and has a system of its own.
    first, second = daemons(folder, FakeSystem())
    first.on_lost = lambda: told.append("lost")
    assert first.take()
    folder.replace_lock()
    assert second.take()
    for act in (first.assure, first.assure_writable, first.assure):
        with pytest.raises(HomeLostError, match="another daemon has locked it"):
            act()
    second.assure()
    assert told == ["lost"]
    assert first.look() is Standing.LOST


def test_a_home_that_cannot_be_used_is_not_written_but_guarded() -> None:
    folder = FakeFolder()
    first, second = daemons(folder)
    assert first.take()
    folder.trouble = NO_SPACE
    first.assure()
    with pytest.raises(HomeLostError, match="No space left"):
        first.assure_writable()
    assert "No space left" in (first.note() or "")
    with pytest.raises(OSError, match="No space left"):
        second.take()
    folder.trouble = None
    first.assure_writable()
    assert first.note() is None


def test_without_presence_an_unseen_lock_forbids_every_act() -> None:
    folder, machine = FakeFolder(), FakeSystem(refuses=OSError(errno.EPERM, "Operation not permitted"))
    daemon = HomeOwnership(FakeGround(folder, machine))
    assert daemon.take(), "the lock has to do"
    assert "Operation not permitted" in (daemon.note() or "")
    daemon.assure()
    folder.trouble = NO_SPACE
    with pytest.raises(HomeLostError, match="No space left"):
        daemon.assure()


def test_a_path_that_leads_to_another_home_is_given_up() -> None:
    folder = FakeFolder()
    daemon = HomeOwnership(FakeGround(folder))
    assert daemon.take()
    folder.replace_lock()
    folder.home_id, folder.owners = "elsewhere", ("elsewhere",)
    with pytest.raises(HomeLostError, match="another home"):
        daemon.assure()


def test_an_empty_folder_at_the_path_becomes_the_home() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    daemon = HomeOwnership(FakeGround(folder, machine))
    assert daemon.take()
    folder.replace_lock()
    folder.home_id = "elsewhere"
    daemon.assure()
    assert set(machine.present) == {"home", "elsewhere"}
    assert not HomeOwnership(FakeGround(FakeFolder("home"), machine)).take(), "its servers carry the first id"


def test_rows_of_a_home_with_a_living_daemon_are_not_inherited() -> None:
    machine = FakeSystem()
    original, copy = (HomeOwnership(FakeGround(FakeFolder(name), machine)) for name in ("original", "copy"))
    assert original.take()
    assert copy.take()
    assert not copy.inherit(["original"])
    original.release()
    assert copy.inherit(["original"])
    assert copy.homes == ("copy", "original")
    assert not original.take(), "its servers are the copy's now"


def test_who_asks_is_answered_for_every_home_held() -> None:
    folder, machine = FakeFolder(), FakeSystem()
    ground = FakeGround(folder, machine)
    daemon = HomeOwnership(ground)
    assert daemon.take()
    daemon.listen(lambda: b"here")
    assert daemon.inherit(["earlier"])
    assert [presence.answer and presence.answer() for presence in ground.presences] == [b"here", b"here"]
