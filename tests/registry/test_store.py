from collections.abc import Callable
from pathlib import Path

import pytest

from supervisor.core.model import RegistryContents, StickyPorts
from supervisor.native import private_files
from supervisor.native.platforms import file_replacer
from supervisor.registry.store import FileStore, Found, Loaded
from tests.systems import POSIX_ONLY

Replace = Callable[[Path, Path], None]

STATE = RegistryContents(sticky=(StickyPorts("k", "/p", {"http": 8005}),))


def test_a_missing_file_is_an_empty_state(tmp_path: Path) -> None:
    assert FileStore(tmp_path / "registry.json").load().found is Found.MISSING


def test_written_state_is_loaded_by_the_next_daemon(tmp_path: Path) -> None:
    FileStore(tmp_path / "registry.json").write(STATE)
    loaded = FileStore(tmp_path / "registry.json").load()
    assert loaded.found is Found.READ
    assert loaded.state.sticky == STATE.sticky


@POSIX_ONLY
def test_file_is_private_after_each_write(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    store = FileStore(path, file_replacer())
    store.write(STATE)
    assert path.stat().st_mode & 0o777 == 0o600
    path.chmod(0o666)
    for _ in range(4):
        store.write(STATE)
    assert FileStore(path).load() == Loaded(STATE, Found.READ)
    assert path.stat().st_mode & 0o777 == 0o600


def test_copy_of_the_file_is_not_changed(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    store = FileStore(path, file_replacer())
    store.write(STATE)
    (tmp_path / "backup").hardlink_to(path)
    for _ in range(4):
        store.write(RegistryContents())
    assert FileStore(tmp_path / "backup").load() == Loaded(STATE, Found.READ)


def test_a_file_that_cannot_be_read_is_set_aside_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    for number in (1, 2):
        path.write_bytes(b"garbage %d" % number)
        loaded = FileStore(path).load()
        assert loaded.found is Found.SET_ASIDE
        assert loaded.aside == tmp_path / f"registry.json.unreadable-{number}"
        assert loaded.aside.read_bytes() == b"garbage %d" % number
        assert not path.exists()


def test_failed_write_leaves_the_old_file_complete(tmp_path: Path) -> None:
    path = tmp_path / "registry.json"
    store = FileStore(path)
    store.write(STATE)
    before = path.read_bytes()
    (tmp_path / "registry.json.draft").mkdir()
    with pytest.raises(OSError, match=r"registry\.json\.draft"):
        store.write(RegistryContents())
    assert path.read_bytes() == before


@pytest.mark.parametrize("replace", [private_files.replace, file_replacer()], ids=["anywhere", "here"])
def test_shorter_state_replaces_a_longer_one_completely(tmp_path: Path, replace: Replace) -> None:
    path = tmp_path / "registry.json"
    store = FileStore(path, replace)
    for state in (STATE, STATE, RegistryContents(), STATE, RegistryContents(), RegistryContents()):
        store.write(state)
        assert FileStore(path).load() == Loaded(state, Found.READ)
