"""The plugin of docs/plugin-authors.md, written from the page alone, in a real editor with a real daemon."""

import re
from pathlib import Path

import pytest

from tests import documented
from tests.e2e.conftest import MakeHome
from tests.e2e.home import eventually, lives
from tests.godot_addon import addon_projects
from tests.godot_addon.editing import editing

pytestmark = [pytest.mark.needs_godot, pytest.mark.linux_only, pytest.mark.timeout(180)]

NEEDS = "godot-supervisor addon install"


def written_from_the_page(folder: Path) -> Path:
    """Write each block of the page into the file that its first line names, and return the plugin's folder."""
    for language, comment in (("gdscript", "#"), ("ini", ";")):
        for block in documented.blocks("plugin-authors.md", language):
            first = block.partition("\n")[0]
            name = first.removeprefix(f"{comment} addons/my_plugin/")
            assert name != first, f"no file is named in {first!r}"
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).write_text(block, encoding="utf-8")
    return folder


def test_plugin_from_the_page_gets_its_server(make_home: MakeHome, tmp_path: Path) -> None:
    """No daemon runs at first. Beside it runs the same plugin in a project without the addon."""
    config, path = documented.author_kind(tmp_path / "bin")
    home = make_home(config)
    home.start()
    home.cli("stop")
    mine = written_from_the_page(tmp_path / "mine")
    alone = written_from_the_page(tmp_path / "alone")
    script = (alone / "plugin.gd").read_text(encoding="utf-8")
    assert (
        len(re.findall(r"^\t+\S", script.partition("func _enter_tree")[2].partition("\n\n\n")[0], re.MULTILINE)) == 10
    )
    (alone / "plugin.gd").write_text(
        script.replace("addons/godot_supervisor", "addons/absent").replace("My Plugin", "It"), encoding="utf-8"
    )
    project = addon_projects.make(tmp_path / "project", my_plugin=mine, alone=alone)
    with editing(project, home, PATH=f"{path}:{home.environment['PATH']}") as editor:
        assert NEEDS in editor.line("It needs this")
        url = editor.line("My Plugin has its server at ")
        server = home.server("my-server")
        assert server is not None
        assert (server["state"], server["url"]) == ("ready", url)
        assert [owner["pid"] for owner in server["owners"]] == [editor.pid]
        editor.line("LAB idle")
        editor.do("disable", "res://addons/my_plugin/plugin.cfg")
        editor.do("enable", "res://addons/my_plugin/plugin.cfg")
        eventually(lambda: sum(url in line for line in editor.output) == 2, "the plugin finds its server again")
        same = home.server("my-server")
        assert same is not None
        assert same["process"] == server["process"]
        editor.kill()
        assert editor.complaints() == []
        assert not [line for line in editor.output if "no server" in line]
    eventually(lambda: not lives(server["process"]["pid"]), "the server ends with its editor")


def test_plugin_of_addon_page_is_the_one_that_is_tested() -> None:
    tried = (addon_projects.SCRIPTS / "neighbour" / "plugin.gd").read_text(encoding="utf-8")
    assert documented.blocks("addon.md", "gdscript") == [tried.replace("e2e-toy", "godot-ai")]
