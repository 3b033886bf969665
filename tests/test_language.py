"""Holds the language of the house: plain technical English that names its subjects (CONTRIBUTING.md, "Language").

The test counts what a stranger stumbles over. It judges rooms, not sentences: a room is a folder, or a page of docs/.
"""

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent

MARKERS = re.compile(
    r"\b(whoever|whom|nobody|somebody|anybody|everybody|merely|by now|meanwhile|all the same|will do|is told"
    r"|none of it)\b",
    re.IGNORECASE,
)
"""Words that stand where a subject or a reason is missing."""

MARKERS_PER_1000_WORDS = 1.0

VAGUE_STARTS = frozenset({"It", "What", "Who", "Whose", "One", "That", "Of"})
VAGUE_STARTS_PERCENT = 3.0
FEW_SENTENCES = 34
"""In a room with fewer sentences one vague start is already too many for the percentage, so one is allowed."""

TEST_NAME_MAX = 64
"""Letters behind `test_`: what a report shows on one line."""

WORDS_OF_A_MESSAGE = 4
"""A string of the product with so many words is a text for people."""


@dataclass(frozen=True)
class Text:
    """A piece of prose. `sentences`: whether it consists of whole sentences."""

    where: str
    words: str
    sentences: bool = True


@dataclass
class Tally:
    """What was counted in a room, and where."""

    words: int
    markers: list[str]
    sentences: int
    vague: list[str]

    def offences(self) -> list[str]:
        """The places to mend, where there are too many of them."""
        found: list[str] = []
        if len(self.markers) * 1000 > MARKERS_PER_1000_WORDS * max(self.words, 1000):
            found += self.markers
        allowed = max(VAGUE_STARTS_PERCENT / 100 * self.sentences, 1 if self.sentences < FEW_SENTENCES else 0)
        if len(self.vague) > allowed:
            found += self.vague
        return found


def texts_of_python(path: str, source: str, *, product: bool) -> Iterator[Text]:
    """Docstrings, those of attributes too, comments, names of tests, and what the product says to people."""
    nodes = [*ast.walk(ast.parse(source))]
    docstrings = {id(node): node for node in strings_that_stand_alone(nodes)}
    for node in docstrings.values():
        yield Text(f"{path}:{node.lineno}", str(node.value))
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            yield Text(f"{path}:{node.lineno}", node.name.removeprefix("test_").replace("_", " "), sentences=False)
        if product and isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield from message(f"{path}:{node.lineno}", node.value)
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT and not token.string.startswith("#!"):
            yield Text(f"{path}:{token.start[0]}", token.string.lstrip("#: "))


def strings_that_stand_alone(nodes: Iterable[ast.AST]) -> Iterator[ast.Constant]:
    """Docstrings of modules, classes, functions and attributes."""
    for node in nodes:
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            yield node.value


def message(where: str, value: str) -> Iterator[Text]:
    """A string of the product, where it has enough words to be a text for people."""
    if len(value.split()) >= WORDS_OF_A_MESSAGE:
        yield Text(where, value, sentences=False)


def texts_of_markdown(path: str, source: str) -> Iterator[Text]:
    """Paragraphs, list items and cells; no code. Names of tests in backticks are judged where they stand in tests/."""
    source = re.sub(r"```.*?```", lambda block: "\n" * block.group().count("\n"), source, flags=re.DOTALL)
    for number, paragraph in paragraphs(source):
        for cell in paragraph.split("|"):
            yield Text(f"{path}:{number}", re.sub(r"`[^`]*`", "code", cell).strip("#*->.0123456789 \n"))


def paragraphs(source: str) -> Iterator[tuple[int, str]]:
    """The paragraphs of a page with the numbers of their first lines. An item of a list, or a row, is one."""
    number, lines = 0, list[str]()
    for at, line in enumerate([*source.splitlines(), ""], start=1):
        if not line.strip() or re.match(r"\s*([-*|#]|\d+\.) ?", line):
            if lines:
                yield number, "\n".join(lines)
            number, lines = at, []
        if line.strip():
            number = number if lines else at
            lines.append(line)


def tally(texts: Iterable[Text]) -> Tally:
    """Count what a room's texts have of each fault."""
    found = Tally(0, [], 0, [])
    for text in texts:
        found.words += len(text.words.split())
        found.markers += [f"{text.where}: {match.group()!r}" for match in MARKERS.finditer(text.words)]
        if not text.sentences:
            continue
        for sentence in re.split(r"(?<=[.!?:;])\s+|\n\n", text.words):
            first = re.match(r"\W*(\w+)", sentence)
            if first is not None:
                found.sentences += 1
                if first.group(1) in VAGUE_STARTS:
                    found.vague.append(f"{text.where}: {sentence.strip()[:60]!r}")
    return found


def room_of(path: str) -> str:
    """The room that a file lies in: its folder, or the file itself for pages and for modules at the top."""
    if path.endswith(".md"):
        return path
    folder = path.rpartition("/")[0]
    return folder or path


@cache
def rooms() -> dict[str, list[Path]]:
    """Every room of the repository with its files."""
    found = [*REPOSITORY.glob("*.md"), *REPOSITORY.glob("*.py")]
    for folder in ("supervisor", "tests", "docs", "service_units"):
        found += [path for path in (REPOSITORY / folder).rglob("*.*") if path.suffix in {".py", ".md"}]
    files: dict[str, list[Path]] = {}
    for file in found:
        # This file names the words that it looks for.
        if file != Path(__file__).resolve():
            files.setdefault(room_of(file.relative_to(REPOSITORY).as_posix()), []).append(file)
    return files


def texts_of_file(file: Path) -> Iterator[Text]:
    """The prose of a page or of a module."""
    path, source = file.relative_to(REPOSITORY).as_posix(), file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return texts_of_markdown(path, source)
    return texts_of_python(path, source, product=path.startswith("supervisor/"))


@pytest.mark.parametrize("room", sorted(rooms()))
def test_a_room_is_written_in_plain_english(room: str) -> None:
    assert tally(text for file in rooms()[room] for text in texts_of_file(file)).offences() == []


def test_test_names_fit_one_line() -> None:
    long = [
        f"{path.relative_to(REPOSITORY).as_posix()}: {name}"
        for path in sorted((REPOSITORY / "tests").rglob("*.py"))
        for name in re.findall(r"def test_(\w+)", path.read_text(encoding="utf-8"))
        if len(name) > TEST_NAME_MAX
    ]
    assert long == []


def judged(source: str) -> list[str]:
    return tally(texts_of_python("x.py", source, product=True)).offences()


@pytest.mark.parametrize(
    "source",
    [
        '"""Tell whoever asks."""\nx = 1  # Nobody knows.\n',
        'class A:\n    """It waits. What it waits for is unknown."""\n',
        "def test_nobody_is_told() -> None:\n    somebody = 1  # for somebody\n",
        'LIMIT = 1\n"""Somebody set it, by now."""\n',
        'raise ValueError("the owner is told, and nobody else")\n',
    ],
)
def test_the_count_bites(source: str) -> None:
    assert judged(source) != []


def test_plain_sentences_pass() -> None:
    assert judged('"""Return the port. The daemon asks the kernel, because a probe can be late."""\n') == []


def test_code_in_a_page_is_not_judged() -> None:
    page = "The daemon stops.\n\n```sh\necho whoever\n```\n\n- `test_nobody_waits` holds it.\n"
    assert tally(texts_of_markdown("x.md", page)).offences() == []
