"""Lists that README, docs/ and CONTRIBUTING.md repeat: each is compared with the code that it describes."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from supervisor.cli.group import COMMANDS, cli
from supervisor.kinds.catalog import Catalog
from supervisor.kinds.kind import Kind
from supervisor.wire.messages.methods import METHODS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
BUILT_IN = Catalog.build({}).kinds
Row = list[str]
NOT_IN_README = {"run"}
"""`service run` is what the service manager of the system starts."""


def rows(page: str, first: str) -> list[Row]:
    """Return the cells of the table in which a row's first cell begins with `first`."""
    tables = re.findall(r"(?:^\|.*\n)+", page, re.MULTILINE)
    split = [[re.split(r"(?<!\\)\|", line)[1:-1] for line in table.splitlines()[2:]] for table in tables]
    found = [table for table in split if any(row[0].strip().startswith(first) for row in table)]
    assert len(found) == 1, f"one table has a row for {first}"
    return [[cell.strip().replace("\\|", "|") for cell in row] for row in found[0]]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def command_lines() -> Iterator[list[str]]:
    """Yield the words of each command line in README's table of commands."""
    for row in rows(README, "`start`"):
        for line in quoted(row[0]):
            yield line.split()


def command(verb: str) -> click.Command:
    found = cli.get_command(click.Context(cli), verb)
    assert found is not None
    return found


def test_readme_lists_every_command() -> None:
    assert {words[0] for words in command_lines()} == COMMANDS.keys()


def test_readme_lists_every_subcommand() -> None:
    listed = {words[0]: set(words[1].split("|")) for words in command_lines() if len(words) > 1}
    groups = {verb: found.commands for verb in COMMANDS if isinstance(found := command(verb), click.Group)}
    shown = {verb: group.keys() - NOT_IN_README for verb, group in groups.items()}
    assert {verb: listed[verb] for verb in groups} == shown


@pytest.mark.parametrize("words", [*command_lines()], ids=" ".join)
def test_options_in_readmes_table_exist(words: list[str]) -> None:
    options = {option for parameter in command(words[0]).params for option in parameter.opts}
    assert {word for word in (each.strip("[]") for each in words) if word.startswith("-")} <= options


def test_readme_lists_every_built_in_kind() -> None:
    assert sorted(quoted(row[0])[0] for row in rows(README, "`godot-ai`")) == sorted(BUILT_IN)


@pytest.mark.parametrize("kind", [*BUILT_IN.values()], ids=lambda kind: kind.name)
def test_readmes_row_of_a_kind_has_its_package_version_and_ports(kind: Kind) -> None:
    (row,) = (row for row in rows(README, "`godot-ai`") if quoted(row[0]) == [kind.name])
    assert (kind.package or kind.command[0]) in row[1]
    assert (kind.version or "") in row[1]
    assert row[2] == ", ".join(f"{ports.low}–{ports.high}" for ports in kind.ports.values())  # noqa: RUF001


@pytest.mark.parametrize("kind", [*BUILT_IN.values()], ids=lambda kind: kind.name)
def test_protocol_page_names_every_built_in_kind(kind: Kind) -> None:
    assert f"`{kind.name}`" in PROTOCOL


def test_protocol_page_explains_every_key_of_a_kind() -> None:
    explained = [key for row in rows(PROTOCOL, "`command`") for key in quoted(row[0])]
    assert sorted(explained) == sorted({field.name for field in dataclasses.fields(Kind)} - {"name"})


def test_protocol_page_lists_every_command() -> None:
    section = PROTOCOL.partition("\n## Command line\n")[2].partition("\n\n")[0]
    assert {words.split()[0] for words in quoted(section)} >= COMMANDS.keys()


def methods_of(row: Row) -> list[str]:
    return quoted(row[0])


def test_protocol_page_lists_every_method() -> None:
    listed = [method for row in rows(PROTOCOL, "`hello`") for method in methods_of(row)]
    assert sorted(listed) == sorted(METHODS)


@pytest.mark.parametrize("method", METHODS)
def test_protocol_page_names_every_parameter(method: str) -> None:
    (row,) = (row for row in rows(PROTOCOL, "`hello`") if method in methods_of(row))
    named = set(re.findall(r"\w+", row[1]))
    assert {field.name for field in dataclasses.fields(METHODS[method].params)} <= named


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "tests").rglob("*.md")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_relative_links_lead_to_files(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


WIDTH = 120


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_lines_of_a_page_fit_the_width(page: Path) -> None:
    """Rows of tables and blocks of code are as long as what they show."""
    lines = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL).splitlines()
    assert [line for line in lines if len(line) > WIDTH and not line.startswith("|")] == []


ADRS = sorted((ROOT / "docs" / "adr").glob("[0-9]*.md"))
SOURCES = [ROOT / "godot_supervisor.py", *(ROOT / "supervisor").rglob("*.py"), *(ROOT / "tests").rglob("*.py")]


def test_adrs_are_numbered_without_gaps() -> None:
    assert [path.name[:5] for path in ADRS] == [f"{number:04}-" for number in range(1, len(ADRS) + 1)]
    titles = [path.read_text(encoding="utf-8").partition(" ")[::2] for path in ADRS]
    assert [title.partition(" ")[0] for _, title in titles] == [f"{number}." for number in range(1, len(ADRS) + 1)]


def test_every_adr_that_is_named_exists() -> None:
    named = {
        int(number) for path in [*PAGES, *SOURCES] for number in re.findall(r"\bADR (\d+)", path.read_text("utf-8"))
    }
    assert named
    assert named <= set(range(1, len(ADRS) + 1))


def test_adr_index_has_every_page_and_its_title() -> None:
    index = (ROOT / "docs" / "adr" / "README.md").read_text(encoding="utf-8")
    titles = [path.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ") for path in ADRS]
    listed = [
        f"{number}. {title}" for number, title in re.findall(r"^\| \[(\d+)\]\(.*\) \| (.*) \|$", index, re.MULTILINE)
    ]
    assert listed == titles
    assert re.findall(r"\]\((\d{4}-[a-z0-9-]+\.md)\)", index) == [path.name for path in ADRS]


def test_files_named_on_contributing_page_exist() -> None:
    named = re.findall(r"`((?:supervisor|tests|docs|\.ci|\.github)/[^`]*|[\w.]+\.(?:md|toml|py|yaml))`", CONTRIBUTING)
    assert len(named) > 20
    assert [path for path in named if "NAME" not in path and not (ROOT / path).exists()] == []


def rooms() -> set[str]:
    """Every folder of the package, and every module at its top."""
    package = ROOT / "supervisor"
    folders = {path.parent.relative_to(package).as_posix() for path in package.rglob("__init__.py")} - {"."}
    modules = {path.stem for path in package.glob("*.py")} - {"__init__"}
    return {folder.removesuffix("/") for folder in folders} | modules


def test_architecture_lists_every_room() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = {name.strip("/").removesuffix(".py") for row in rows(page, "`core/`") for name in quoted(row[0])}
    assert listed - {"godot_supervisor"} == rooms() | {"kinds/recipes"}
