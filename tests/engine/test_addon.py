"""The addon of a project decides the version of its server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Origin, Ports, ServerRecord, ServerState, VersionChoice, VersionSource
from supervisor.engine.claims.editors import Arrival
from supervisor.engine.environments.examination import SCRIPT
from supervisor.engine.starting.versions.advice import notes_on
from supervisor.errors import InstallFailed
from supervisor.native.api import ChildCommand
from tests.engine.answers import ANSWERING, Answers, start_foreign_toy
from tests.engine.harness import EngineHarness, EventRecorder, FakeRequester
from tests.fakes import FakeProcess, FakeSystem
from tests.installers import BASE, installer

FILE = "addons/toy/plugin.cfg"
KIND: dict[str, Any] = {**ANSWERING, "addon": {"file": FILE, "version": "plugin/version"}, "engine": {"<4.7": "0.5"}}
PREFERRED = {"http": 8000, "sessions": 9500}


@pytest.fixture
def harness(tmp_path: Path) -> EngineHarness:
    harness = EngineHarness(tmp_path)
    harness.tables = {"toy": KIND}
    return harness


@pytest.fixture
def told(harness: EngineHarness, answers: Answers) -> Answers:
    """Every server answers with the version of its record: what is wrong here is never the server."""

    def version_of(ports: Ports) -> str | None:
        rows = harness.records.servers.values()
        return next((row.version for row in rows if row.ports == ports), None)

    answers.version_of = version_of
    return answers


def project(harness: EngineHarness, name: str, version: str | None) -> str:
    folder = harness.folder / "projects" / name
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    if version is not None:
        (folder / FILE).write_text(f'[plugin]\nname="Toy"\nversion="{version}"\n')
    return str(folder)


def why(record: ServerRecord) -> VersionChoice:
    assert record.chosen is not None
    return record.chosen


@pytest.mark.usefixtures("told")
def test_the_addon_of_a_project_decides_the_version(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor(), project=project(harness, "game", "4.3.1"))
        assert (record.version, record.ports, record.project) == ("4.3.1", PREFERRED, None)
        assert why(record).source is VersionSource.ADDON
        assert why(record).why == f"from {FILE} in {project(harness, 'game', None)}"
        assert notes_on(harness.engine.context, record) == ()

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_attached_editor_gets_the_version_of_its_projects_addon(harness: EngineHarness) -> None:
    async def story() -> None:
        arrival = Arrival(harness.editor().pid, project=project(harness, "game", "4.3.1"), engine_version="4.7")
        editor = harness.attachments.attach(arrival)
        record = await harness.up(editor.process)
        assert (record.version, why(record).source) == ("4.3.1", VersionSource.ADDON)

    harness.run(story)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("version", "engine", "expected", "source"),
    [
        ("4.3.1", "4.6", "0.5", VersionSource.ENGINE),
        ("0.4", "4.6", "0.4", VersionSource.ADDON),
        ("latest", None, "1.0", VersionSource.RECIPE),
        ("latest", "4.6", "0.5", VersionSource.ENGINE),
    ],
)
def test_unusable_addon_version_is_passed_over_with_the_reason(
    harness: EngineHarness, version: str, engine: str | None, expected: str, source: VersionSource
) -> None:
    async def story() -> None:
        record = await harness.up(harness.editor(), project=project(harness, "game", version), engine_version=engine)
        assert (record.version, why(record).source) == (expected, source)
        notes = notes_on(harness.engine.context, record)
        assert len(notes) == (source is not VersionSource.ADDON)
        assert all(FILE in note and version in note for note in notes)

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_two_projects_with_two_addon_versions_get_two_servers(harness: EngineHarness) -> None:
    async def story() -> None:
        first = await harness.up(harness.editor(), project=project(harness, "a", "4.3.1"))
        second = await harness.up(harness.editor(), project=project(harness, "b", "4.2.3"))
        assert (first.id, first.version, first.ports) == ("toy", "4.3.1", PREFERRED)
        assert (second.id, second.version, second.ports["http"]) == ("toy-2", "4.2.3", 8001)
        assert notes_on(harness.engine.context, second) == (
            "its plugin looks on http 8000, sessions 9500 only; toy 4.3.1 held them when this server was started",
        )
        third = await harness.up(harness.editor(), project=project(harness, "c", "4.3.1.0"))
        assert third.id == "toy"
        assert [row["beside"] for row in harness.events.of("server.version_conflict")] == ["toy"]

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_updated_plugin_gets_its_new_version_on_its_ports(harness: EngineHarness) -> None:
    async def story() -> None:
        editor = harness.editor()
        folder = project(harness, "game", "4.3.0")
        first = await harness.up(editor, project=folder)
        project(harness, "game", "4.3.1")
        checked = await harness.engine.inspector.check("toy")
        (note,) = notes_on(harness.engine.context, checked)
        assert note.endswith("has 4.3.1 now: godot-supervisor restart toy")
        second = await harness.up(editor, project=folder)
        assert (second.id, second.version, second.ports) == ("toy", "4.3.1", PREFERRED)
        assert not harness.alive(first.process)
        assert notes_on(harness.engine.context, second) == ()

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_restart_takes_the_current_version_of_the_addon(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor(), project=project(harness, "game", "4.3.0"))
        project(harness, "game", "4.3.1")
        record = await harness.supervisor.restart("toy")
        assert (record.version, record.ports) == ("4.3.1", PREFERRED)
        project(harness, "game", "4.3.1.0")
        assert (await harness.supervisor.restart("toy")).version == "4.3.1"

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_restart_takes_the_recipes_version_unless_one_was_requested(harness: EngineHarness) -> None:
    async def story() -> None:
        record = await harness.up()
        harness.reload({"toy": {**KIND, "version": "1.1"}})
        assert notes_on(harness.engine.context, record) == (
            "its recipe has version 1.1 now: godot-supervisor restart toy",
        )
        record = await harness.supervisor.restart("toy")
        assert (record.version, notes_on(harness.engine.context, record)) == ("1.1", ())
        asked = await harness.up(version="0.9")
        harness.reload({"toy": {**KIND, "version": "1.2"}})
        kept = await harness.supervisor.restart(asked.id)
        assert (kept.version, notes_on(harness.engine.context, kept)) == (
            "0.9",
            ("its recipe has version 1.2: godot-supervisor up toy --version 1.2",),
        )

    harness.run(story)


def test_foreign_server_of_the_addons_version_is_adopted(harness: EngineHarness, answers: Answers) -> None:
    answers.version = "4.3.1"

    async def story() -> None:
        foreign_server = start_foreign_toy(harness)
        record = await harness.up(harness.editor(), project=project(harness, "game", "4.3.1"))
        assert (record.process, record.origin, record.version) == (foreign_server, Origin.ADOPTED, "4.3.1")

    harness.run(story)


def test_foreign_server_on_the_plugins_ports_is_named(harness: EngineHarness, told: Answers) -> None:
    told.version = "4.2.3"

    async def story() -> None:
        foreign_server = start_foreign_toy(harness)
        explained = await harness.engine.inspector.port_reporter.explain("toy", (), project(harness, "game", "4.3.1"))
        assert (explained.version, explained.chosen and explained.chosen.source) == ("4.3.1", VersionSource.ADDON)
        (note,) = explained.notes
        assert note.startswith("its plugin looks on http 8000, sessions 9500 only; port 8000: ")
        record = await harness.up(harness.editor(), project=project(harness, "game", "4.3.1"))
        assert record.ports["http"] == 8001
        (note,) = notes_on(harness.engine.context, record)
        assert note.endswith(f"toy of pid {foreign_server.pid} 4.2.3 held them when this server was started")

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_reason_for_a_version_outlives_the_daemon(harness: EngineHarness) -> None:
    async def story() -> None:
        await harness.up(harness.editor(), project=project(harness, "game", "latest"))

    harness.run(story)
    before = harness.records.server("toy").chosen
    later = harness.restarted()

    async def again() -> None:
        assert later.records.server("toy").chosen == before

    later.run(again)


def with_an_index(harness: EngineHarness, *versions: str) -> None:
    """Make the toy come from a package, of which the index has these versions."""
    harness.tables = {"toy": {**KIND, "package": "toy"}}

    install = installer(3, lambda python: python.parents[2].name.split("-")[1])

    def answer(system: FakeSystem, process: FakeProcess, command: ChildCommand) -> None:
        package, _, wanted = command.argv[-1].partition("==")
        if not wanted or SCRIPT in command.argv or wanted in versions:
            install(system, process, command)
            return
        problem = f"Could not find a version that satisfies the requirement {package}=={wanted}"
        command.log.write_text(f"ERROR: {problem} (from versions: {', '.join(versions) or 'none'})\n")
        asyncio.get_running_loop().call_later(3, system.end, process.identity, 1)

    harness.system.programs |= {BASE: answer, "python": answer, "python.exe": answer}


def installs(events: EventRecorder) -> list[str]:
    return [row["version"] for row in events.of("environment.building")]


@pytest.mark.usefixtures("told")
def test_version_that_the_index_lacks_is_replaced_with_a_reason(harness: EngineHarness) -> None:
    with_an_index(harness, "1.0", "0.5")

    async def story() -> None:
        folder, requester = project(harness, "game", "9.9.9"), FakeRequester()
        record = await harness.up(harness.editor(), project=folder, requester=requester, request_id="mine")
        assert (record.id, record.version, record.ports, record.state) == ("toy", "1.0", PREFERRED, ServerState.READY)
        (note,) = notes_on(harness.engine.context, record)
        lacks = "which the package index does not have of toy"
        assert note == f"{FILE} in {folder} has 9.9.9, {lacks}: its plugin does not use another version"
        assert requester.told.count("accepted") == 1
        assert [owner.process for owner in record.owners] == [record.owners[0].process]
        assert installs(harness.events) == ["9.9.9", "1.0"]
        assert (await harness.engine.requests.result("mine")).id == "toy"
        again = await harness.up(harness.editor(), project=folder)
        assert (again.process, installs(harness.events)) == (record.process, ["9.9.9", "1.0"])
        await asyncio.sleep(600)
        with_an_index(harness, "1.0", "9.9.9")
        now = await harness.up(harness.editor(), project=folder)
        assert now.version == "9.9.9"

    harness.run(story)


@pytest.mark.usefixtures("told")
def test_fallback_to_a_running_server_leaves_no_record_behind(harness: EngineHarness) -> None:
    with_an_index(harness, "1.0", "2.0")

    async def story() -> None:
        running = await harness.up(harness.editor(), project=project(harness, "a", "2.0"))
        first, folder = harness.editor(), project(harness, "b", "9.9.9")
        other = harness.editor()
        both = await asyncio.gather(harness.up(first, project=folder), harness.up(other, project=folder))
        assert [record.process for record in both] == [running.process] * 2
        assert list(harness.records.servers) == ["toy"]
        owners = {owner.process for owner in harness.records.server("toy").owners}
        assert {first, other} < owners

    harness.run(story)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("versions", [(), ("1.0",)])
def test_unreachable_index_does_not_change_the_version(harness: EngineHarness, versions: tuple[str, ...]) -> None:
    with_an_index(harness, *versions)

    async def story() -> None:
        fields = {"project": project(harness, "game", "9.9.9")} if not versions else {"version": "9.9.9"}
        with pytest.raises(InstallFailed):
            await harness.up(harness.editor(), **fields)
        assert installs(harness.events) == ["9.9.9"]

    harness.run(story)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize(
    ("features", "version", "source"),
    [
        ('PackedStringArray("4.6", "Forward Plus")', "0.5", VersionSource.ENGINE),
        ('PackedStringArray("4.7")', None, VersionSource.RECIPE),
        ('PackedStringArray("Mobile")', None, VersionSource.RECIPE),
    ],
)
def test_without_addon_the_engine_of_the_project_decides(
    harness: EngineHarness, features: str, version: str | None, source: VersionSource
) -> None:
    folder = project(harness, "game", None)
    Path(folder, "project.godot").write_text(f"config_version=5\n[application]\nconfig/features={features}\n")

    async def story() -> None:
        report = await harness.engine.inspector.port_reporter.explain("toy", (), folder)
        record = await harness.up(harness.editor(), project=folder)
        assert (why(record).source, report.chosen and report.chosen.source) == (source, source)
        if version is not None:
            assert (record.version, report.version) == (version, version)
            assert "4.6" in why(record).why

    harness.run(story)
