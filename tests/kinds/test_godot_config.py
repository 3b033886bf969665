"""Reading a version from files in the form of Godot's ConfigFile."""

import time

import pytest

from supervisor.kinds.godot_config import value_in

PLUGIN = """[plugin]

name="Godot AI"
description="Speaks to AI clients.
version=\\"0.1\\" is what this line is not"
author="hi-godot"
version="4.3.1"
script="plugin.gd"
"""


@pytest.mark.parametrize(
    "text",
    [
        PLUGIN,
        "\ufeff" + PLUGIN,
        PLUGIN.replace("\n", "\r\n"),
        PLUGIN.replace("\n", "\r"),
        '[plugin]\nversion="4.3.1"',
        '[plugin]version="4.3.1"',
        '[ plugin ]\nversion = "4.3.1"',
        '[plugin]\n\tversion\t=\t"4.3.1"   ; the one that counts\n',
        "[plugin]\nversion='4.3.1'\n",
        "[plugin]\nversion=4.3.1\n",
        "[plugin]\nversion=4.3.1 ; not 4.3.0\n",
        '[plugin]\n"version"="4.3.1"\n',
        '[plugin]\nversion=&"4.3.1"\n',
        '[plugin]\n; version="4.3.0"\nversion="4.3.1"\n',
        '[plugin]\nversion="4.3.1"\n;version="4.3.0"\n# version="4.3.2"\n',
        '[plugin]\nversion="4.3.0"\nversion="4.3.1"\n',
        '[other]\nversion="1"\n[plugin]\nversion="4.3.1"\n[more]\nversion="2"\n',
        '[plugin]\nname="x"\n[other]\nversion="1"\n[plugin]\nversion="4.3.1"\n',
        '[plugin]\ntags=["a", "]\nversion=\\"1\\""]\nversion="4.3.1"\n',
        '[plugin]\nwhere={\n"version": "1",\n[1, 2]: "}"\n}\nversion="4.3.1"\n',
        '[plugin]\nwhere=PackedStringArray("version=", "1")\nversion="4.3.1"\n',
        '[plugin]\nthis is no entry\n=\n]\nversion="4.3.1"\n',
        '[plugin\n[plugin]\nversion="4.3.1"\n',
        '[plugin]\nVersion="1"\nversion_of_godot="4.7"\nversion="4.3.1"\n',
        '[plugin]\nversion="4.3.1\n',
        '[plugin]\nname="no end\nversion=4.3.1',
    ],
)
def test_the_version_is_found(text: str) -> None:
    assert value_in(text, "plugin", "version") == "4.3.1"


@pytest.mark.parametrize(
    "text",
    [
        "",
        'version="4.3.1"',
        '[Plugin]\nversion="4.3.1"',
        '[plugin]\nname="version=4.3.1"\n',
        '[plugin]\n; version="4.3.1"\n',
        '[plugin]\ntags=[\nversion="4.3.1"\n',
        "[plugin]\nversion",
        "\0\0\0",
    ],
)
def test_a_text_without_a_version_gives_none(text: str) -> None:
    assert value_in(text, "plugin", "version") is None


def test_an_escaped_quote_does_not_end_a_text() -> None:
    assert value_in('[a]\nb="x\\"y\\\\"\n', "a", "b") == 'x"y\\'


@pytest.mark.parametrize("unit", ["[", '"', '\\"', "a", " ", "a=[", "=", "; ", '{"', "a = ", "[[]", "'"])
def test_odd_text_takes_linear_time(unit: str) -> None:
    began = time.process_time()
    value_in(unit * (64 * 1024 // len(unit)), "plugin", "version")
    value_in("[a]\nb=[" + unit * (64 * 1024 // len(unit)), "plugin", "version")
    assert time.process_time() - began < 2
