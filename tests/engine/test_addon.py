"""The addon of a project decides the version of its server."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from supervisor.core.model import Chosen, Origin, Ports, ServerRecord, ServerState, VersionSource
from supervisor.engine.environments.examination import SCRIPT
from supervisor.engine.holders.editors import Arrival
from supervisor.engine.starting.advice import advice
from supervisor.errors import InstallFailed
from supervisor.native.api import Command
from tests.engine.answers import ANSWERING, Answers, strangers_toy
from tests.engine.house import Ear, House, Teller
from tests.fakes import FakeProcess, FakeSystem
from tests.installers import BASE, installer

FILE = "addons/toy/plugin.cfg"
KIND: dict[str, Any] = {**ANSWERING, "addon": {"file": FILE, "version": "plugin/version"}, "engine": {"<4.7": "0.5"}}
PREFERRED = {"http": 8000, "sessions": 9500}


@pytest.fixture
def house(tmp_path: Path) -> House:
    house = House(tmp_path)
    house.tables = {"toy": KIND}
    return house


@pytest.fixture
def told(house: House, answers: Answers) -> Answers:
    """Every server answers with the version of its record: what is wrong here is never the server."""

    def version_of(ports: Ports) -> str | None:
        rows = house.records.servers.values()
        return next((row.version for row in rows if row.ports == ports), None)

    answers.version_of = version_of
    return answers


def project(house: House, name: str, version: str | None) -> str:
    folder = house.folder / "projects" / name
    (folder / FILE).parent.mkdir(parents=True, exist_ok=True)
    if version is not None:
        (folder / FILE).write_text(f'[plugin]\nname="Toy"\nversion="{version}"\n')
    return str(folder)


def why(record: ServerRecord) -> Chosen:
    assert record.chosen is not None
    return record.chosen


@pytest.mark.usefixtures("told")
def test_the_addon_of_a_project_decides_the_version(house: House) -> None:
    async def story() -> None:
        record = await house.up(house.editor(), project=project(house, "game", "4.3.1"))
        assert (record.version, record.ports, record.project) == ("4.3.1", PREFERRED, None)
        assert why(record).source is VersionSource.ADDON
        assert why(record).why == f"from {FILE} in {project(house, 'game', None)}"
        assert advice(house.engine.context, record) == ()

    house.live(story)


@pytest.mark.usefixtures("told")
def test_an_attached_editor_gets_the_version_of_its_projects_addon(house: House) -> None:
    async def story() -> None:
        arrival = Arrival(house.editor().pid, project=project(house, "game", "4.3.1"), engine_version="4.7")
        editor = house.claims.attach(arrival)
        record = await house.up(editor.process)
        assert (record.version, why(record).source) == ("4.3.1", VersionSource.ADDON)

    house.live(story)


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
def test_what_cannot_serve_is_passed_over_and_told(
    house: House, version: str, engine: str | None, expected: str, source: VersionSource
) -> None:
    async def story() -> None:
        record = await house.up(house.editor(), project=project(house, "game", version), engine_version=engine)
        assert (record.version, why(record).source) == (expected, source)
        notes = advice(house.engine.context, record)
        assert len(notes) == (source is not VersionSource.ADDON)
        assert all(FILE in note and version in note for note in notes)

    house.live(story)


@pytest.mark.usefixtures("told")
def test_two_projects_that_want_two_versions_get_two_servers(house: House) -> None:
    async def story() -> None:
        first = await house.up(house.editor(), project=project(house, "a", "4.3.1"))
        second = await house.up(house.editor(), project=project(house, "b", "4.2.3"))
        assert (first.id, first.version, first.ports) == ("toy", "4.3.1", PREFERRED)
        assert (second.id, second.version, second.ports["http"]) == ("toy-2", "4.2.3", 8001)
        assert advice(house.engine.context, second) == (
            "its plugin looks on http 8000, sessions 9500 only; toy 4.3.1 held them when this server was started",
        )
        third = await house.up(house.editor(), project=project(house, "c", "4.3.1.0"))
        assert third.id == "toy"
        assert [row["beside"] for row in house.ear.of("server.version_conflict")] == ["toy"]

    house.live(story)


@pytest.mark.usefixtures("told")
def test_a_plugin_that_updates_itself_gets_its_new_version_on_its_ports(house: House) -> None:
    async def story() -> None:
        editor = house.editor()
        folder = project(house, "game", "4.3.0")
        first = await house.up(editor, project=folder)
        project(house, "game", "4.3.1")
        checked = await house.supervisor.check("toy")
        (note,) = advice(house.engine.context, checked)
        assert note.endswith("has 4.3.1 now: godot-supervisor restart toy")
        second = await house.up(editor, project=folder)
        assert (second.id, second.version, second.ports) == ("toy", "4.3.1", PREFERRED)
        assert not house.alive(first.process)
        assert advice(house.engine.context, second) == ()

    house.live(story)


@pytest.mark.usefixtures("told")
def test_a_restart_takes_the_version_that_the_addon_has_now(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor(), project=project(house, "game", "4.3.0"))
        project(house, "game", "4.3.1")
        record = await house.supervisor.restart("toy")
        assert (record.version, record.ports) == ("4.3.1", PREFERRED)
        project(house, "game", "4.3.1.0")
        assert (await house.supervisor.restart("toy")).version == "4.3.1"

    house.live(story)


@pytest.mark.usefixtures("told")
def test_a_restart_takes_the_recipes_version_unless_another_was_asked_for(house: House) -> None:
    async def story() -> None:
        record = await house.up()
        house.engine.context.catalog.reload({"toy": {**KIND, "version": "1.1"}})
        assert advice(house.engine.context, record) == ("its recipe has version 1.1 now: godot-supervisor restart toy",)
        record = await house.supervisor.restart("toy")
        assert (record.version, advice(house.engine.context, record)) == ("1.1", ())
        asked = await house.up(version="0.9")
        house.engine.context.catalog.reload({"toy": {**KIND, "version": "1.2"}})
        kept = await house.supervisor.restart(asked.id)
        assert (kept.version, advice(house.engine.context, kept)) == (
            "0.9",
            ("its recipe has version 1.2: godot-supervisor up toy --version 1.2",),
        )

    house.live(story)


def test_a_stranger_of_the_addons_version_is_adopted(house: House, answers: Answers) -> None:
    answers.version = "4.3.1"

    async def story() -> None:
        foreign_server = strangers_toy(house)
        record = await house.up(house.editor(), project=project(house, "game", "4.3.1"))
        assert (record.process, record.origin, record.version) == (foreign_server, Origin.ADOPTED, "4.3.1")

    house.live(story)


def test_a_stranger_of_another_version_on_the_plugins_ports_is_named(house: House, told: Answers) -> None:
    told.version = "4.2.3"

    async def story() -> None:
        foreign_server = strangers_toy(house)
        explained = await house.supervisor.explainer.explain("toy", (), project(house, "game", "4.3.1"))
        assert (explained.version, explained.why and explained.why.source) == ("4.3.1", VersionSource.ADDON)
        (note,) = explained.notes
        assert note.startswith("its plugin looks on http 8000, sessions 9500 only; port 8000: ")
        record = await house.up(house.editor(), project=project(house, "game", "4.3.1"))
        assert record.ports["http"] == 8001
        (note,) = advice(house.engine.context, record)
        assert note.endswith(f"toy of pid {foreign_server.pid} 4.2.3 held them when this server was started")

    house.live(story)


@pytest.mark.usefixtures("told")
def test_why_a_server_has_its_version_outlives_the_daemon(house: House) -> None:
    async def story() -> None:
        await house.up(house.editor(), project=project(house, "game", "latest"))

    house.live(story)
    before = house.records.server("toy").chosen
    later = house.restarted()

    async def again() -> None:
        assert later.records.server("toy").chosen == before

    later.live(again)


def with_an_index(house: House, *versions: str) -> None:
    """The toy comes from a package, of which the index has these versions."""
    house.tables = {"toy": {**KIND, "package": "toy"}}

    install = installer(3, lambda python: python.parents[2].name.split("-")[1])

    def answer(system: FakeSystem, process: FakeProcess, command: Command) -> None:
        package, _, wanted = command.argv[-1].partition("==")
        if not wanted or SCRIPT in command.argv or wanted in versions:
            install(system, process, command)
            return
        problem = f"Could not find a version that satisfies the requirement {package}=={wanted}"
        command.log.write_text(f"ERROR: {problem} (from versions: {', '.join(versions) or 'none'})\n")
        asyncio.get_running_loop().call_later(3, system.end, process.identity, 1)

    house.system.programs |= {BASE: answer, "python": answer, "python.exe": answer}


def installs(ear: Ear) -> list[str]:
    return [row["version"] for row in ear.of("environment.building")]


@pytest.mark.usefixtures("told")
def test_a_version_that_the_index_lacks_gives_way_with_the_reason_told(house: House) -> None:
    with_an_index(house, "1.0", "0.5")

    async def story() -> None:
        folder, teller = project(house, "game", "9.9.9"), Teller()
        record = await house.up(house.editor(), project=folder, requester=teller, request="mine")
        assert (record.id, record.version, record.ports, record.state) == ("toy", "1.0", PREFERRED, ServerState.READY)
        (note,) = advice(house.engine.context, record)
        lacks = "which the package index does not have of toy"
        assert note == f"{FILE} in {folder} has 9.9.9, {lacks}: its plugin does not use another version"
        assert teller.told.count("accepted") == 1
        assert [owner.process for owner in record.owners] == [record.owners[0].process]
        assert installs(house.ear) == ["9.9.9", "1.0"]
        assert (await house.supervisor.result("mine")).id == "toy"
        again = await house.up(house.editor(), project=folder)
        assert (again.process, installs(house.ear)) == (record.process, ["9.9.9", "1.0"])
        await asyncio.sleep(600)
        with_an_index(house, "1.0", "9.9.9")
        now = await house.up(house.editor(), project=folder)
        assert now.version == "9.9.9"

    house.live(story)


@pytest.mark.usefixtures("told")
def test_what_gives_way_to_a_server_that_runs_leaves_no_row_behind(house: House) -> None:
    with_an_index(house, "1.0", "2.0")

    async def story() -> None:
        running = await house.up(house.editor(), project=project(house, "a", "2.0"))
        asker, folder = house.editor(), project(house, "b", "9.9.9")
        other = house.editor()
        both = await asyncio.gather(house.up(asker, project=folder), house.up(other, project=folder))
        assert [record.process for record in both] == [running.process] * 2
        assert list(house.records.servers) == ["toy"]
        owners = {owner.process for owner in house.records.server("toy").owners}
        assert {asker, other} < owners

    house.live(story)


@pytest.mark.usefixtures("told")
@pytest.mark.parametrize("versions", [(), ("1.0",)])
def test_an_index_that_does_not_answer_is_no_reason_to_give_way(house: House, versions: tuple[str, ...]) -> None:
    with_an_index(house, *versions)

    async def story() -> None:
        wish = {"project": project(house, "game", "9.9.9")} if not versions else {"version": "9.9.9"}
        with pytest.raises(InstallFailed):
            await house.up(house.editor(), **wish)
        assert installs(house.ear) == ["9.9.9"]

    house.live(story)
