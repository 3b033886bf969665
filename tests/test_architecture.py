"""Holds docs/architecture.md: its arrows, its purity, its names. Each rule is a function from a source to its offences,
so that the same function judges the tree and, below, a source that must offend."""

import ast
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
PACKAGE = REPOSITORY / "supervisor"
MODULE_LINES_MAX = 300
TEST_MODULE_LINES_MAX = 500


def words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# Room -> what it may import beside itself. A dotted entry opens one module of another room.
EVERYONE = frozenset({"errors", "values"})
ARROWS: Mapping[str, frozenset[str]] = {
    "__init__": frozenset(),
    "__main__": frozenset({"cli.main", "native.startup.inherited", "native.startup.search_path"}),
    "errors": frozenset(),
    "values": frozenset(),
    "config": frozenset({"native.private_files"}),
    "core": frozenset(),
    "wire": frozenset(),
    "native": frozenset({"core.model", "native.facts"}),
    "kinds": words(
        "core.model core.pep440 native.facts native.private_files native.shared.settings_folders "
        "native.startup.search_path"
    ),
    "registry": frozenset({"core.model", "native.facts", "native.private_files", "native.trust"}),
    "engine": words(
        "core kinds registry native.api native.facts native.lane native.private_files native.shared.settings_folders "
        "native.startup.search_path native.trust"
    ),
    "control": frozenset({"engine", "core", "wire", "native.api", "native.facts"}),
    "client": words(
        "wire native.facts native.presence native.private_files native.shared.venv_launcher native.startup.homes "
        "native.startup.running native.startup.search_path native.trust"
    ),
    "service": frozenset({"client", "native.facts", "native.service_api", "native.services.control"}),
    "mcp": words("client core.processes native.facts native.private_files native.shared native.startup native.trust"),
    "daemon": words("control engine native kinds registry config core client.endpoint client.start_file wire.messages"),
    "godot_addon": words("core kinds.godot_config mcp.ai_clients native.api native.shared.working_folder"),
    "cli": words("daemon client service config godot_addon kinds mcp native.facts native.platforms native.startup"),
}

# The rooms of engine/, each with the rooms below it that it may import.
ENGINE_ARROWS: Mapping[str, frozenset[str]] = {
    "environments": frozenset(),
    "state": words("environments"),
    "logs": words("state"),
    "operations": words("state"),
    "claims": words("operations starting state"),
    "housekeeping": words("environments operations state"),
    "identification": words("operations state"),
    "processes": words("environments logs operations state"),
    "recovery": words("identification processes state"),
    "starting": words("environments identification logs operations processes state"),
    "ending": words("identification logs operations processes starting state"),
    "monitor": words("ending claims identification logs operations processes starting state"),
    "attachments": words("claims monitor state"),
    "ensuring": words("ending claims monitor operations starting state"),
    "supervisor": words("ending ensuring claims identification monitor operations processes starting state"),
    "assembly": words(
        "attachments ending ensuring environments claims housekeeping identification logs monitor operations "
        "processes recovery starting state supervisor"
    ),
}

ROOMS_MAX = 16
"""Files and folders on one level. `__init__` and `__main__`, which Python names, are no rooms."""

PURE_ROOMS = words("core godot_addon.project_file mcp.ai_clients.documents mcp.core wire registry.codec")
PURE = tuple(f"supervisor.{each}" for each in PURE_ROOMS)
IMPURE_IMPORTS = words(
    "asyncio concurrent ctypes datetime io logging multiprocessing os pathlib platform psutil random secrets select "
    "selectors shutil signal socket structlog subprocess sys tempfile threading time uuid"
)
IMPURE_CALLS = frozenset({"open", "print", "input"})

PLATFORM_QUESTIONS = {
    "sys": {"platform"},
    "os": {"name", "uname"},
    "platform": {"system", "uname", "platform", "machine"},
}

# supervisord installs these into the same top-level package.
FORBIDDEN_NAMES = words(
    "childutils compat confecho datatypes dispatchers events http http_client loggers medusa options pidproxy poller "
    "process rpcinterface scripts skel socket_manager states supervisorctl supervisord templating tests ui version web "
    "xmlrpc"
)

# Only the command line pays for its own parser; no room needs an HTTP client beyond h11.
HEAVY = frozenset({"click", "ssl", "http.client", "urllib.request"})


@dataclass(frozen=True)
class Module:
    name: str
    source: str
    is_package: bool = False

    @property
    def tree(self) -> ast.Module:
        return parsed(self.source)[0]

    @property
    def nodes(self) -> tuple[ast.AST, ...]:
        return parsed(self.source)[1]

    @property
    def room(self) -> str:
        return room(self.name)


@cache
def parsed(source: str) -> tuple[ast.Module, tuple[ast.AST, ...]]:
    """Return the syntax tree of a source, and all its nodes: every rule looks at them."""
    tree = ast.parse(source)
    return tree, tuple(ast.walk(tree))


def room(name: str) -> str:
    parts = name.split(".")
    return parts[1] if len(parts) > 1 else "__init__"


@cache
def modules() -> tuple[Module, ...]:
    return tuple(sorted((read(path) for path in PACKAGE.rglob("*.py")), key=lambda module: module.name))


def read(path: Path) -> Module:
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if is_package else parts)
    return Module(name, path.read_text(encoding="utf-8"), is_package)


@cache
def known_names() -> frozenset[str]:
    return frozenset(module.name for module in modules())


def imports(module: Module) -> Iterator[str]:
    """Everything imported, absolute, wherever the statement stands. A name out of our module counts as the module."""
    for node in module.nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = origin(module, node)
            for alias in node.names:
                full = f"{base}.{alias.name}"
                ours = inside(base, "supervisor") and base != "supervisor"
                yield base if ours and full not in known_names() else full


def origin(module: Module, node: ast.ImportFrom) -> str:
    """The module that a `from` statement names."""
    if node.level == 0:
        return node.module or ""
    here = module.name.split(".")
    above = here[: len(here) - node.level + (1 if module.is_package else 0)]
    return ".".join([*above, *([node.module] if node.module else [])])


def inside(name: str, *prefixes: str) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def arrows(module: Module) -> Iterator[str]:
    allowed = ARROWS.get(module.room)
    if allowed is None:
        yield f"{module.name} is in a room without a line in ARROWS"
        return
    for target in sorted(set(imports(module))):
        if not inside(target, "supervisor") or room(target) == module.room:
            continue
        inner = target.removeprefix("supervisor.")
        if not inside(inner, *EVERYONE, *allowed):
            yield f"{module.name} imports {target}"


def engine_arrows(module: Module) -> Iterator[str]:
    """Rooms of the engine import only what lies below them."""
    here = inner_room(module.name, "supervisor.engine")
    if here is None:
        return
    if here not in ENGINE_ARROWS:
        yield f"{module.name} is in a room without a line in ENGINE_ARROWS"
        return
    for target in sorted(set(imports(module))):
        there = inner_room(target, "supervisor.engine")
        if there is not None and there != here and there not in ENGINE_ARROWS[here]:
            yield f"{module.name} imports {target}"


def mcp_arrows(module: Module) -> Iterator[str]:
    """The core of mcp/ imports nothing of this package but itself."""
    ours = [target for target in imports(module) if inside(target, "supervisor")]
    if inside(module.name, "supervisor.mcp.core"):
        yield from (f"{module.name} imports {name}" for name in ours if not inside(name, "supervisor.mcp.core"))


def inner_room(name: str, package: str) -> str | None:
    """The room of a package that a module lies in; None if it lies elsewhere, or is the package."""
    return name.removeprefix(f"{package}.").split(".")[0] if inside(name, package) and name != package else None


def relative_only(module: Module) -> Iterator[str]:
    for node in module.nodes:
        absolute = isinstance(node, ast.ImportFrom) and node.level == 0 and inside(node.module or "", "supervisor")
        if absolute or (isinstance(node, ast.Import) and any(inside(alias.name, "supervisor") for alias in node.names)):
            yield f"{module.name}:{node.lineno} imports its own package by an absolute name"


def purity(module: Module) -> Iterator[str]:
    if not inside(module.name, *PURE):
        return
    for target in imports(module):
        if target.split(".")[0] in IMPURE_IMPORTS:
            yield f"{module.name} is pure and imports {target}"
    for node in module.nodes:
        if isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith):
            yield f"{module.name}:{node.lineno} is pure and asynchronous"
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_CALLS:
            yield f"{module.name}:{node.lineno} is pure and calls {node.func.id}"


CHOOSES_BY_SYSTEM = "supervisor.service.managers"
"""The one module outside native/ that asks for the system, once: it chooses the service manager."""


def platform_questions(module: Module) -> Iterator[str]:
    if module.room == "native":
        return
    uses = [node.lineno for node in module.nodes if isinstance(node, ast.Attribute) and node.attr == "SYSTEM"]
    if len(uses) > (1 if module.name == CHOOSES_BY_SYSTEM else 0):
        yield from (f"{module.name}:{line} asks for facts.SYSTEM; use a named fact" for line in uses)
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            asked = {node.attr} & PLATFORM_QUESTIONS.get(node.value.id, set())
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            asked = {alias.name for alias in node.names} & PLATFORM_QUESTIONS.get(node.module or "", set())
        elif isinstance(node, ast.ImportFrom):
            asked = {alias.name for alias in node.names} & {"SYSTEM"}
        else:
            continue
        if asked:
            yield f"{module.name}:{node.lineno} asks for the platform outside native/"


def threads(module: Module) -> Iterator[str]:
    """Calls that block go through a lane, because in a shared pool slow calls would delay urgent ones."""
    if module.name == "supervisor.native.shared.lanes":
        return
    for node in module.nodes:
        if isinstance(node, ast.Attribute) and node.attr in {"to_thread", "run_in_executor"}:
            yield f"{module.name}:{node.lineno} uses a thread of no lane"


def names(module: Module) -> Iterator[str]:
    if module.room in FORBIDDEN_NAMES:
        yield f"{module.name} has a name that supervisord uses"


def inert(module: Module) -> Iterator[str]:
    if module.name == "supervisor" and not (len(module.tree.body) == 1 and ast.get_docstring(module.tree) is not None):
        yield "supervisor/__init__.py has more than a docstring"


def length(module: Module) -> Iterator[str]:
    lines = len(module.source.splitlines())
    if lines > MODULE_LINES_MAX:
        yield f"{module.name} has {lines} lines"


def weight(module: Module) -> Iterator[str]:
    for target in imports(module):
        if module.room not in {"cli", "__main__"} and inside(target, *HEAVY):
            yield f"{module.name} imports {target}"


def construction(module: Module) -> Iterator[str]:
    """Outside the engine only daemon/app.py puts its services together; other modules are handed the result."""
    if module.room == "engine" or module.name == "supervisor.daemon.app":
        return
    from_engine = {
        alias.asname or alias.name
        for node in module.nodes
        if isinstance(node, ast.ImportFrom) and inside(origin(module, node), "supervisor.engine")
        for alias in node.names
    }
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            called = node.func.id
            if called in from_engine and called[0].isupper() and called not in values_of_the_engine():
                yield f"{module.name}:{node.lineno} constructs {called}"


FUNCTIONS_THAT_ASK = frozenset({"ask_ready", "count_sessions", "http_get", "identify", "speaks_tls"})
"""The functions of `kinds.queries` that send something to a server."""


def questions(module: Module) -> Iterator[str]:
    """Only `ServerClient` asks servers: the functions that do so are taken from `kinds.queries` in one module."""
    if module.room != "engine" or module.name == "supervisor.engine.identification.queries":
        return
    for node in module.nodes:
        if isinstance(node, ast.ImportFrom) and inside(origin(module, node), "supervisor.kinds.queries"):
            yield from (f"{module.name} asks: {alias.name}" for alias in node.names if alias.name in FUNCTIONS_THAT_ASK)


@cache
def values_of_the_engine() -> frozenset[str]:
    """Return the names of its frozen classes, its inputs and outputs."""
    return frozenset(
        node.name
        for module in modules()
        if module.room == "engine"
        for node in module.nodes
        if isinstance(node, ast.ClassDef) and any(ast.unparse(mark) == "frozen" for mark in node.decorator_list)
    )


Rule = Callable[[Module], Iterator[str]]
RULES: tuple[Rule, ...] = (
    arrows, engine_arrows, mcp_arrows, relative_only, purity, platform_questions, threads, names, inert, length, weight,
    construction,
    questions,
)  # fmt: skip


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_tree_obeys(rule: Rule) -> None:
    assert [offence for module in modules() for offence in rule(module)] == []


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (arrows, "supervisor.core.x", "from ..registry import store"),
        (threads, "supervisor.engine.x", "async def f(): await asyncio.to_thread(g)"),
        (arrows, "supervisor.core.x", "from ..native.facts import VENV_PYTHON"),
        (arrows, "supervisor.engine.x", "from ..native.facts import VENV_PYTHON\nfrom ..control import listener"),
        (arrows, "supervisor.engine.x", "from ..native import linux"),
        (arrows, "supervisor.native.x", "from ..core.proof import stoppable"),
        (arrows, "supervisor.control.x", "def late():\n    from ..cli import main"),
        (arrows, "supervisor.client.x", "def late():\n    import supervisor.daemon.app"),
        (arrows, "supervisor.client.x", "from .. import config"),
        (arrows, "supervisor.attic.x", "import json"),
        (engine_arrows, "supervisor.engine.state.x", "from ..ending.reap import Reaper"),
        (engine_arrows, "supervisor.engine.attic", "import json"),
        (mcp_arrows, "supervisor.mcp.core.x", "from ..bridge.loop import Loop"),
        (mcp_arrows, "supervisor.mcp.core.x", "from ...errors import Busy"),
        (purity, "supervisor.mcp.core.x", "import time"),
        (relative_only, "supervisor.cli.x", "from supervisor.errors import Busy"),
        (relative_only, "supervisor.cli.x", "def late():\n    import supervisor.errors"),
        (purity, "supervisor.core.x", "import time"),
        (purity, "supervisor.wire.messages.x", "def late():\n    from os import path"),
        (purity, "supervisor.registry.codec", "import asyncio.subprocess"),
        (purity, "supervisor.core.x", "async def wait(): ..."),
        (purity, "supervisor.core.x", "def load():\n    return open('file')"),
        (platform_questions, "supervisor.engine.x", "import sys\nif sys.platform == 'linux': ..."),
        (platform_questions, "supervisor.engine.x", "from sys import platform"),
        (platform_questions, "supervisor.daemon.x", "import os\nNT = os.name"),
        (platform_questions, "supervisor.cli.x", "import platform\nprint(platform.system())"),
        (platform_questions, "supervisor.kinds.x", "from ..native import facts\nif facts.SYSTEM == 'linux': ..."),
        (platform_questions, "supervisor.kinds.x", "from ..native.facts import SYSTEM"),
        (
            platform_questions,
            "supervisor.service.managers",
            "from ..native import facts\nf(facts.SYSTEM)\ng(facts.SYSTEM)",
        ),
        (platform_questions, "supervisor.service.managers", "from ..native.facts import SYSTEM"),
        (names, "supervisor.options", ""),
        (names, "supervisor.http.x", ""),
        (inert, "supervisor", '"""Doc."""\nVERSION = 1'),
        (inert, "supervisor", ""),
        (length, "supervisor.cli.x", "\n" * (MODULE_LINES_MAX + 1)),
        (weight, "supervisor.engine.x", "import click"),
        (weight, "supervisor.kinds.x", "def late():\n    from urllib import request"),
        (weight, "supervisor.client.x", "from ssl import SSLContext"),
        (construction, "supervisor.control.x", "from ..engine.supervisor import Supervisor\nmine = Supervisor()"),
        (construction, "supervisor.daemon.x", "from ..engine.supervisor import Supervisor as S\nmine = S()"),
        (questions, "supervisor.engine.x", "from ..kinds.queries.identify import Identification, identify"),
    ],
)
def test_a_rule_bites(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source, is_package=name == "supervisor"))) != []


@pytest.mark.parametrize(
    ("rule", "name", "source"),
    [
        (arrows, "supervisor.engine.x", "from ..native.api import Platform\nfrom ..native.facts import VENV_PYTHON"),
        (
            arrows,
            "supervisor.registry.x",
            "from . import codec\nfrom ..core.model import RegistryContents",
        ),
        (platform_questions, "supervisor.native.x", "import sys\nif sys.platform == 'linux': ..."),
        (questions, "supervisor.engine.x", "from ..kinds.queries.identify import Identification"),
        (platform_questions, "supervisor.native.x", "from .facts import SYSTEM"),
        (platform_questions, "supervisor.service.managers", "from ..native import facts\nchosen = facts.SYSTEM"),
        (construction, "supervisor.daemon.app", "from ..engine.supervisor import Supervisor\nmine = Supervisor()"),
    ],
)
def test_a_rule_spares_what_is_allowed(rule: Rule, name: str, source: str) -> None:
    assert list(rule(Module(name, source))) == []


def packaging() -> Mapping[str, object]:
    with (REPOSITORY / "pyproject.toml").open("rb") as stream:
        settings: Mapping[str, object] = tomllib.load(stream)["tool"]["setuptools"]
    return settings


def packages_in(repository: Path) -> set[str]:
    folders = {path.parent for path in (repository / "supervisor").rglob("*.py")}
    return {".".join(folder.relative_to(repository).parts) for folder in folders}


def test_every_package_ships() -> None:
    settings = packaging()
    mapped = settings.get("package-dir", {})
    assert isinstance(mapped, dict)
    assert packages_in(REPOSITORY) | set(mapped) == set(settings["packages"])  # type: ignore[call-overload]


def test_a_new_folder_with_modules_is_noticed(tmp_path: Path) -> None:
    (tmp_path / "supervisor" / "attic").mkdir(parents=True)
    (tmp_path / "supervisor" / "attic" / "trunk.py").touch()
    assert packages_in(tmp_path) == {"supervisor.attic"}


def test_every_folder_with_modules_is_a_package() -> None:
    assert [str(path.parent) for path in PACKAGE.rglob("*.py") if not (path.parent / "__init__.py").is_file()] == []


def crowded(names: Iterable[str]) -> dict[str, int]:
    """Packages with too many rooms on one level, and how many those are."""
    rooms: dict[str, set[str]] = {}
    for name in names:
        parts = name.split(".")
        for depth in range(1, len(parts)):
            if parts[depth] != "__main__":
                rooms.setdefault(".".join(parts[:depth]), set()).add(parts[depth])
    return {package: len(found) for package, found in rooms.items() if len(found) > ROOMS_MAX}


def circles(names: Iterable[str], targets: Callable[[str], Iterable[str]], package: str) -> list[str]:
    """The rooms of a package that import each other, directly or through others."""
    graph: dict[str, set[str]] = {}
    for name in names:
        here = inner_room(name, package)
        if here is not None:
            found = {there for target in targets(name) if (there := inner_room(target, package)) is not None}
            graph.setdefault(here, set()).update(found - {here})
    while free := [room for room, below in graph.items() if not below & graph.keys()]:
        for room in free:
            del graph[room]
    return sorted(graph)


@cache
def targets_of_modules() -> Mapping[str, tuple[str, ...]]:
    return {module.name: tuple(imports(module)) for module in modules()}


def test_no_test_module_is_too_long() -> None:
    paths = [*(REPOSITORY / "tests").rglob("*.py")]
    lengths = {str(path): len(path.read_text(encoding="utf-8").splitlines()) for path in paths}
    assert {name: lines for name, lines in lengths.items() if lines > TEST_MODULE_LINES_MAX} == {}


def test_no_level_has_too_many_rooms() -> None:
    assert crowded(known_names()) == {}
    assert crowded(f"supervisor.x{number}" for number in range(ROOMS_MAX + 1)) == {"supervisor": ROOMS_MAX + 1}


@pytest.mark.parametrize("package", sorted(module.name for module in modules() if module.is_package))
def test_rooms_import_each_other_in_no_circle(package: str) -> None:
    targets = targets_of_modules()
    assert circles(targets, targets.__getitem__, package) == []


def test_a_circle_of_rooms_is_noticed() -> None:
    targets = {"a.b.x": ["a.c.x"], "a.c.x": ["a.d"], "a.d": ["a.b.y"], "a.b.y": [], "a.e": ["a.b.x"]}
    assert circles(targets, targets.__getitem__, "a") == ["b", "c", "d", "e"]
