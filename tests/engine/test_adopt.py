import asyncio
from pathlib import Path

import pytest

from supervisor.engine.holders.editors import Arrival
from supervisor.engine.starting.adopt import AdoptRequest, Candidate
from supervisor.errors import Busy, NotOurs
from supervisor.kinds.catalog import Catalog
from supervisor.native.api import Command
from tests.core.grounds import foreign_server
from tests.engine.answers import ANSWERING, strangers_toy
from tests.engine.house import TOY, House, serve
from tests.fakes import FakeProcess, FakeProcessControl, FakeSystem


@pytest.fixture
def house(tmp_path: Path) -> House:
    return House(tmp_path)


def slow(system: FakeSystem, process: FakeProcess, command: Command) -> None:
    asyncio.get_running_loop().call_later(5, serve, system, process, command)


def test_a_stranger_on_ports_that_a_starting_server_was_promised_is_not_adopted_yet(house: House) -> None:
    house.system.programs["toy"] = slow

    async def story() -> None:
        start = asyncio.create_task(house.up(house.editor()))
        await asyncio.sleep(1)
        ports = dict(house.records.server("toy").ports)
        thief = Candidate("toy-2", Catalog.build({"toy": TOY}).get("toy"), None, foreign_server(ports))
        with pytest.raises(Busy, match="promised to toy"):
            house.supervisor._adopter.refuse_the_promised(thief)
        assert list(house.records.servers) == ["toy"]
        await start
        elsewhere = {name: port + 1 for name, port in ports.items()}
        house.supervisor._adopter.refuse_the_promised(Candidate("toy-2", thief.kind, None, foreign_server(elsewhere)))
        assert list(house.records.servers) == ["toy"]

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_what_is_adopted_does_not_take_the_row_of_a_server_that_was_started_meanwhile(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.tables = {"toy": ANSWERING}

    async def story() -> None:
        foreign_server = strangers_toy(house, http=8003)
        wish = AdoptRequest(pid=foreign_server.pid)
        adopter = house.supervisor._adopter
        candidate = await adopter.find(wish)
        started = await house.up(house.editor())
        assert started.id == candidate.server

        async def find(wish: AdoptRequest) -> Candidate:  # noqa: ARG001 (it was found before)
            return candidate

        monkeypatch.setattr(adopter, "find", find)
        with pytest.raises(NotOurs, match="another server by now"):
            await house.supervisor.adopt(wish)
        assert house.records.server("toy").process == started.process
        await asyncio.sleep(600)
        assert house.alive(started.process)

    house.live(story)


@pytest.mark.usefixtures("answers")
def test_a_launcher_stands_for_what_it_runs_and_nothing_else_does(house: House) -> None:
    house.tables = {"toy": ANSWERING}

    async def story() -> None:
        terminal = house.system.start("tmux")
        shell = house.system.start("sh", "-c", "toy 8000 9500", parent=terminal.pid)
        toy = strangers_toy(house, parent=shell)
        with pytest.raises(NotOurs, match="command line"):
            await house.supervisor.adopt(AdoptRequest(pid=terminal.pid))
        assert (await house.supervisor.adopt(AdoptRequest(pid=shell.pid))).process == toy

    house.live(story)


def test_kinds_look_at_a_mute_server_all_at_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.tables = {f"toy{number}": TOY for number in range(8)}

    async def story() -> None:
        process = house.system.start("toy", "8000", "9500")
        serve(
            house.system, house.system.processes[process.pid], Command(("toy", "8000", "9500"), {}, house.folder, None)
        )

        async def mute(*_: object) -> None:
            await asyncio.sleep(1)

        monkeypatch.setattr(house.supervisor._adopter._recogniser, "look", mute)
        began = house.system.clock.monotonic()
        with pytest.raises(NotOurs):
            await house.supervisor.adopt(AdoptRequest(port=8000))
        assert house.system.clock.monotonic() - began < 2

    house.live(story)


@pytest.mark.usefixtures("answers")
@pytest.mark.parametrize("hidden", [True, False])
def test_one_whose_environment_could_not_be_read_may_be_somebodys_even_if_a_user_names_it(
    house: House, monkeypatch: pytest.MonkeyPatch, *, hidden: bool
) -> None:
    house.tables = {"toy": ANSWERING}

    def unreadable(*_: object) -> str | None:
        raise PermissionError(13, "Permission denied")

    async def story() -> None:
        server, adopter = strangers_toy(house), house.editor()
        editor = house.claims.attach(Arrival(adopter.pid))
        with monkeypatch.context() as moment:
            if hidden:
                moment.setattr(FakeProcessControl, "variable", unreadable)
            record = await house.supervisor.adopt(AdoptRequest(pid=server.pid, editor=editor))
        assert record.owners_unknown is hidden
        house.claims.detach(editor.id, stop=True)
        await asyncio.sleep(120)
        assert house.alive(server) is hidden

    house.live(story)
