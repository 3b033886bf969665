"""The plugin that docs/addon.md shows is the one that a real editor has run (test_editor.py)."""

import re

from tests.godot_addon.addon_projects import SCRIPTS

PAGE = SCRIPTS.parents[2] / "docs" / "addon.md"


def test_plugin_on_the_page_is_the_one_that_is_tested() -> None:
    shown = re.findall(r"```gdscript\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    tried = (SCRIPTS / "neighbour" / "plugin.gd").read_text(encoding="utf-8")
    assert shown == [tried.replace("e2e-toy", "godot-ai")]
