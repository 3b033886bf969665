"""The users of private environments, and the removal of unused ones."""

import json
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from supervisor.engine.environments.store import SCHEMA
from supervisor.engine.housekeeping import Housekeeping
from supervisor.errors import NotFound, StateNotWritable
from tests.engine.harness import TOY, EngineHarness


class EnvironmentsHarness(EngineHarness):
    """A harness whose kind `toy` has a package, and a folder with environments."""

    def __init__(self, tmp_path: Path) -> None:
        super().__init__(tmp_path)
        self.root = tmp_path / "environments"
        self.root.mkdir()
        packaged = {**TOY, "package": "Toy_Server", "version": "2.0", "engine": {"<4.7": "1.5"}}
        self.tables = {"toy": packaged, "bare": TOY}

    def open(self) -> None:
        super().open()
        self.housekeeping = Housekeeping(self.supervisor.context)

    def publish(self, version: str, package: str = "toy-server") -> Path:
        folder = self.root / f"{package}-{version}-abcd"
        (folder / "venv" / "bin").mkdir(parents=True)
        python = folder / "venv" / "bin" / "python"
        python.write_bytes(b"x" * 1000)
        pointer = {
            "schema": SCHEMA, "path": str(folder), "python": str(python), "package": package, "version": version
        }  # fmt: skip
        (self.root / f"{package}-{version}.json").write_text(json.dumps(pointer))
        return folder

    def versions(self) -> list[str]:
        return sorted(path.stem.rpartition("-")[2] for path in self.root.glob("*.json"))

    async def uses(self) -> dict[str, tuple[str, ...]]:
        return {
            kept.environment.version: (*kept.named_by, *kept.used_by)
            for kept in await self.housekeeping.list_environments()
        }


@pytest.fixture
def shelf(tmp_path: Path) -> EnvironmentsHarness:
    return EnvironmentsHarness(tmp_path)


def test_kind_uses_every_version_that_it_may_request(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        for version in ("1.0", "1.5", "2.0"):
            shelf.publish(version)
        assert await shelf.uses() == {"1.0": (), "1.5": ("kind toy",), "2.0": ("kind toy",)}
        [first, *_] = await shelf.housekeeping.list_environments()
        assert first.size == 1000

    shelf.run(story)


def test_server_uses_the_environment_of_its_version(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("1.0")
        await shelf.up(version="1.0")
        assert "server toy" in (await shelf.uses())["1.0"]
        assert await shelf.housekeeping.remove_unused(dry_run=False) == []

    shelf.run(story)


def test_server_of_a_removed_kind_uses_every_package_of_its_version(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("1.0")
        record = await shelf.up(version="1.0")
        shelf.records.put(record.with_(kind="forgotten"))
        assert "server toy" in (await shelf.uses())["1.0"]

    shelf.run(story)


def test_process_uses_the_environment_in_its_command_line(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        folder, other = shelf.publish("1.0"), shelf.publish("1.1")
        bridge = shelf.system.start(str(folder / "venv" / "bin" / "python"), "-m", "toy", "attach")
        shelf.system.start("tail", f"{other}-not/log")
        assert await shelf.uses() == {"1.0": (f"process {bridge.pid}",), "1.1": ()}

    shelf.run(story)


def test_unused_environment_is_removed_and_reported(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        gone = shelf.publish("1.0")
        stays = [shelf.publish("2.0"), shelf.publish("2.0", package="other")]
        bridge = shelf.system.start(str(stays[1] / "venv" / "bin" / "python"))
        [removed] = await shelf.housekeeping.remove_unused(dry_run=False)
        assert (removed.environment.path, removed.size) == (gone, 1000)
        assert not gone.exists()
        assert shelf.versions() == ["2.0", "2.0"]
        assert [row["version"] for row in shelf.events.of("environment.removed")] == ["1.0"]
        shelf.system.end(bridge)
        assert [kept.environment.package for kept in await shelf.housekeeping.remove_unused(dry_run=False)] == ["other"]

    shelf.run(story)


def test_a_dry_run_removes_nothing(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("1.0")
        assert len(await shelf.housekeeping.remove_unused(dry_run=True)) == 1
        assert shelf.versions() == ["1.0"]
        assert shelf.events.of("environment.removed") == []

    shelf.run(story)


def test_environment_used_at_the_last_moment_is_kept(
    shelf: EnvironmentsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story() -> None:
        folder = shelf.publish("1.0")
        look = shelf.housekeeping._list_without_sizes

        async def late_look() -> Any:
            found = await look()
            await shelf.up(version="1.0")
            return found

        monkeypatch.setattr(shelf.housekeeping, "_list_without_sizes", late_look)
        assert await shelf.housekeeping.remove_unused(dry_run=False) == []
        assert folder.exists()

    shelf.run(story)


def test_environment_being_rebuilt_is_kept(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("1.0")
        with FileLock(shelf.root / "toy-server-1.0.lock"):
            assert await shelf.housekeeping.remove_unused(dry_run=False) == []
        assert len(await shelf.housekeeping.remove_unused(dry_run=False)) == 1

    shelf.run(story)


def test_environment_replaced_since_the_look_is_kept(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        old = shelf.publish("1.0")
        [before] = shelf.supervisor.context.environments.published()
        shelf.publish("1.0", package="toy-server-x")
        (shelf.root / "toy-server-x-1.0.json").unlink()
        pointer = json.loads((shelf.root / "toy-server-1.0.json").read_text())
        pointer["path"] = str(shelf.root / "toy-server-x-1.0-abcd")
        (shelf.root / "toy-server-1.0.json").write_text(json.dumps(pointer))
        assert not await shelf.supervisor.context.environments.discard(before, lambda: True)
        assert old.exists()

    shelf.run(story)


def test_unwritable_folder_is_a_typed_error(shelf: EnvironmentsHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        shelf.publish("1.0")

        def refuse(_path: Path) -> None:
            raise PermissionError(13, "Permission denied")

        monkeypatch.setattr(Path, "unlink", refuse)
        with pytest.raises(StateNotWritable, match=r"cannot be removed") as caught:
            await shelf.housekeeping.remove_unused(dry_run=False)
        assert str(shelf.root) in (caught.value.hint or "")

    shelf.run(story)


def test_foreign_server_keeps_only_the_environment_it_runs_from(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("1.0")
        record = await shelf.up(version="1.0")
        shelf.records.put(record.with_(foreign=True))
        assert await shelf.uses() == {"1.0": ()}

    shelf.run(story)


def test_equal_versions_name_one_environment(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("2.0.0")
        await shelf.up(version="2.0")
        assert await shelf.uses() == {"2.0.0": ("kind toy", "server toy")}

    shelf.run(story)


def test_environment_named_by_a_kind_is_removed_on_request(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        for version in ("1.5", "2.0", "3.0"):
            shelf.publish(version)
        with pytest.raises(NotFound, match="no environment toy-server-9"):
            await shelf.housekeeping.remove_unused(dry_run=False, keys=["toy-server-9"])
        await shelf.housekeeping.remove_unused(dry_run=False, keys=["toy-server-1.5"])
        assert shelf.versions() == ["2.0", "3.0"]
        folder = shelf.root / "toy-server-2.0-abcd"
        runner = shelf.system.start(str(folder / "venv" / "bin" / "python"))
        await shelf.housekeeping.remove_unused(dry_run=False, include_named=True)
        assert shelf.versions() == ["2.0"]
        shelf.system.end(runner)
        await shelf.housekeeping.remove_unused(dry_run=False, include_named=True)
        assert shelf.versions() == []

    shelf.run(story)


def test_aborted_builds_differ_from_other_folders(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        published = shelf.publish("1.0")
        store = shelf.supervisor.context.environments.store
        dead = shelf.system.start("dead")
        shelf.system.end(dead)
        me = shelf.supervisor.context.me
        builders = {"toy-1-aa": [dead], "toy-1-bb": [dead, me], "toy-1-cc": [], "toy-1-dd": [dead]}
        for name, named in builders.items():
            (shelf.root / name).mkdir()
            if named:
                store.note_builders(shelf.root / name, named)
        (shelf.root / "replaced").mkdir()
        store.note_replaced(shelf.root / "replaced")
        shelf.system.start(str(shelf.root / "toy-1-dd" / "python"))
        left = {one.path.name: (one.what, one.removable) for one in await shelf.housekeeping.list_leftovers()}
        assert left == {
            "replaced": ("replaced", True),
            "toy-1-aa": ("an aborted build", True),
            "toy-1-bb": ("a build under way", False),
            "toy-1-cc": ("not made by godot-supervisor, or its list of builders is lost", False),
            "toy-1-dd": ("an aborted build; a process still runs from it", False),
        }
        assert len(await shelf.housekeeping.remove_leftovers(dry_run=True)) == 2
        assert {one.path.name for one in await shelf.housekeeping.remove_leftovers(dry_run=False)} == {
            "replaced",
            "toy-1-aa",
        }
        assert published.exists()
        assert not (shelf.root / "toy-1-aa").exists()

    shelf.run(story)


def test_an_environment_with_a_damaged_record_is_a_leftover(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        folder = shelf.publish("1.0")
        store, me = shelf.supervisor.context.environments.store, shelf.supervisor.context.me
        store.note_builders(folder, [me])
        store.note_published(folder)
        (shelf.root / "toy-server-1.0.json").write_text("{")
        (left,) = await shelf.housekeeping.list_leftovers()
        assert (left.what, left.removable) == ("an environment whose record was damaged or removed", True)
        user = shelf.system.start(str(folder / "venv" / "bin" / "python"))
        (left,) = await shelf.housekeeping.list_leftovers()
        assert not left.removable
        shelf.system.end(user)
        assert [one.path for one in await shelf.housekeeping.remove_leftovers(dry_run=False)] == [folder]

    shelf.run(story)


def test_a_removed_environment_is_not_reported_as_broken(shelf: EnvironmentsHarness) -> None:
    async def story() -> None:
        shelf.publish("9.0")
        (removed,) = await shelf.housekeeping.remove_unused(dry_run=False)
        assert not removed.broken
        assert not removed.environment.usable

    shelf.run(story)
