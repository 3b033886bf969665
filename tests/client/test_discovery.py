"""Finding the daemon by its endpoint file, else by its presence outside the home."""

import json
import os
from pathlib import Path

import pytest

from supervisor.client import discovery, endpoint
from supervisor.client.endpoint import Endpoint, PresenceReply, ProtocolRange
from supervisor.errors import DaemonNotRunning, DaemonUnreachable
from supervisor.native import presence
from supervisor.native.facts import Folders
from tests.systems import POSIX_ONLY

MINE = Endpoint(1, 7, "boot:1", "i-1", "0.1.0", ProtocolRange(1, 1), "t", ())


@pytest.fixture
def where(tmp_path: Path) -> Folders:
    folders = Folders(tmp_path / "home", moved=True)
    folders.home.mkdir(0o700)
    return folders


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The answers of present daemons, by home id."""
    answers: dict[str, bytes] = {}
    monkeypatch.setattr(presence, "ask", lambda home_id, _: answers.get(home_id))
    return answers


def test_a_published_endpoint_is_found_without_asking(where: Folders) -> None:
    published = MINE._replace(home=os.fspath(where.home))
    endpoint.publish(where.endpoint, published)
    assert discovery.find(where) == published


def test_a_daemon_without_a_file_is_found_by_its_presence(where: Folders, asked: dict[str, bytes]) -> None:
    asked[where.home_id] = PresenceReply(7, "0.1.0", MINE).encode()
    assert discovery.find(where) == MINE
    where.endpoint.write_text("{")
    assert discovery.find(where) == MINE


@POSIX_ONLY
def test_a_daemon_whose_home_was_made_a_link_is_found(tmp_path: Path, asked: dict[str, bytes]) -> None:
    (tmp_path / "empty").mkdir(0o700)
    home = Folders(tmp_path / "home", moved=True)
    before = home.home_id
    home.home.symlink_to(tmp_path / "empty")
    linked = Folders(tmp_path / "home", moved=True)
    assert linked.home_id != before == linked.path_id
    asked[before] = PresenceReply(7, "0.1.0", MINE).encode()
    assert discovery.find(linked) == MINE


@pytest.mark.parametrize(
    ("answer", "error", "words"),
    [
        (PresenceReply(7, "0", None), DaemonNotRunning, "is starting or ending"),
        (
            PresenceReply(7, "0", None, "it is a file"),
            DaemonUnreachable,
            r"pid 7\) runs and cannot be reached: it is a file",
        ),
    ],
)
def test_a_daemon_without_an_endpoint_is_reported(
    where: Folders, asked: dict[str, bytes], answer: PresenceReply, error: type[Exception], words: str
) -> None:
    asked[where.home_id] = answer.encode()
    with pytest.raises(error, match=words):
        discovery.find(where)


@pytest.mark.parametrize("nonsense", [b"", b"{", b"[]", b'{"pid":"x","endpoint":null}'])
def test_a_damaged_answer_is_daemon_not_running(
    where: Folders, asked: dict[str, bytes], nonsense: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(discovery, "ASK_S", 0.1)
    asked[where.home_id] = nonsense
    with pytest.raises(DaemonNotRunning, match="does not answer yet"):
        discovery.find(where)


def test_a_copied_endpoint_counts_as_none(where: Folders, asked: dict[str, bytes]) -> None:
    assert asked == {}
    endpoint.publish(where.endpoint, MINE._replace(home=os.fspath(where.home.with_name("original"))))
    with pytest.raises(DaemonNotRunning, match="endpoint file belongs to"):
        discovery.find(where)


@POSIX_ONLY
def test_an_endpoint_of_a_link_to_this_home_counts(where: Folders) -> None:
    link = where.home.with_name("link")
    link.symlink_to(where.home)
    published = MINE._replace(home=os.fspath(where.home))
    endpoint.publish(where.endpoint, published)
    assert discovery.find(Folders(link, moved=True)) == published


def test_an_endpoint_of_an_earlier_release_has_no_home(where: Folders) -> None:
    endpoint.publish(where.endpoint, MINE)
    assert "home" not in json.loads(where.endpoint.read_text())
    assert discovery.find(where) == MINE
