"""Every foreign function declares its argument and result types; without them a handle loses its upper half."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import supervisor.native

NATIVE = Path(supervisor.native.__file__).parent

LOADERS = {"CDLL", "WinDLL", "OleDLL", "PyDLL", "LibraryLoader", "windll", "cdll", "oledll", "pythonapi"}
DECLARES = "declared"
DECLARES_FROM = 3
"""`declared(library, name, result, *arguments)`."""


def offences(source: str) -> Iterator[str]:
    """Yield the foreign functions of a module that lack a declaration."""
    nodes = list(ast.walk(ast.parse(source)))
    libraries = {target.id for node in nodes for target in loaded(node)}
    for node in nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            yield from undeclared(node, node.func.id, libraries)
    declared = {one for node in nodes if isinstance(node, ast.Assign) for one in declarations(node, libraries)}
    for name in sorted({name for node in nodes if (name := function_of(node, libraries)) is not None}):
        yield from (f"{name}: no {kind}" for kind in ("argtypes", "restype") if (name, kind) not in declared)
    if not libraries and any(isinstance(node, ast.Attribute) and node.attr in LOADERS for node in nodes):
        yield "a library that is not kept under a name"


def undeclared(call: ast.Call, function: str, libraries: set[str]) -> Iterator[str]:
    """Yield what is wrong with this way of getting a foreign function."""
    if function == DECLARES and len(call.args) < DECLARES_FROM:
        yield f"{ast.unparse(call)}: no result type"
    if function == "getattr" and libraries & {one.id for one in ast.walk(call.args[0]) if isinstance(one, ast.Name)}:
        yield f"{ast.unparse(call)}: not by {DECLARES}"


def declarations(statement: ast.Assign, libraries: set[str]) -> Iterator[tuple[str, str]]:
    """Yield the functions that a statement declares types of, and which types."""
    for target in statement.targets:
        name = function_of(target.value, libraries) if isinstance(target, ast.Attribute) else None
        if name is not None:
            yield name, target.attr


def loaded(node: ast.AST) -> Iterator[ast.Name]:
    """Yield the names that a statement gives to libraries."""
    if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
        loader = node.value.func
        if isinstance(loader, ast.Attribute) and loader.attr in LOADERS:
            yield from (target for target in node.targets if isinstance(target, ast.Name))


def function_of(node: ast.AST, libraries: set[str]) -> str | None:
    """Return the foreign function that an expression names."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in libraries:
        return f"{node.value.id}.{node.attr}"
    return None


@pytest.mark.parametrize("path", sorted(NATIVE.rglob("*.py")), ids=lambda path: path.stem)
def test_every_foreign_function_of_a_module_is_declared(path: Path) -> None:
    assert list(offences(path.read_text(encoding="utf-8"))) == []


def test_windows_is_declared_in_modules_of_its_own() -> None:
    with_libraries = [
        path.name
        for path in NATIVE.rglob("*.py")
        if any(name in path.read_text(encoding="utf-8") for name in ("WinDLL(", "windll", "OleDLL("))
    ]
    assert sorted(with_libraries) == ["win32.py", "win32_files.py", "win32_services.py", "win32_userenv.py"]


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("k = ctypes.WinDLL('k')\nk.f(1)", ["k.f: no argtypes", "k.f: no restype"]),
        ("k = ctypes.WinDLL('k')\nk.f.argtypes = ()\nk.f(1)", ["k.f: no restype"]),
        ("k = ctypes.CDLL(None)\nk.f.restype = int\nk.f(1)", ["k.f: no argtypes"]),
        ("k = ctypes.WinDLL('k')\nf = declared(k, 'f')", ["declared(k, 'f'): no result type"]),
        ("k = ctypes.WinDLL('k')\ngetattr(k, 'f')(1)", ["getattr(k, 'f'): not by declared"]),
        ("ctypes.windll.kernel32.OpenProcess(1)", ["a library that is not kept under a name"]),
        ("k = ctypes.CDLL(None)\nk.f.argtypes = ()\nk.f.restype = int\nk.f()", []),
    ],
)
def test_a_missing_declaration_is_found(source: str, found: list[str]) -> None:
    assert list(offences(source)) == found


if sys.platform == "win32":
    import ctypes
    from ctypes import wintypes

    from supervisor.native.windows import win32, win32_files
    from supervisor.native.windows.services import win32_services

    POINTERS = {
        "OpenProcess",
        "GetCurrentProcess",
        "CreateJobObject",
        "OpenJobObject",
        "CreateFile",
        "CreateEvent",
        "OpenEvent",
        "LocalFree",
        "RegisterServiceCtrlHandlerExW",
        "OpenSCManagerW",
        "OpenServiceW",
        "CreateServiceW",
    }
    SERVICES = [vars(one) for one in vars(win32_services).values() if isinstance(one, ctypes.WinDLL)]
    FUNCTIONS = {
        name: one
        for names in (vars(win32), vars(win32_files), *SERVICES)
        for name, one in names.items()
        if isinstance(one, ctypes._CFuncPtr) and name.isidentifier() and not name.startswith("_")
    }

    @pytest.mark.parametrize("name", sorted(FUNCTIONS))
    def test_function_of_windows_has_argument_and_result_types(name: str) -> None:
        function = FUNCTIONS[name]
        assert function.argtypes is not None
        assert (function.restype is wintypes.HANDLE) == (name in POINTERS)

    def test_a_handle_has_the_width_of_a_pointer() -> None:
        assert ctypes.sizeof(wintypes.HANDLE) == ctypes.sizeof(ctypes.c_void_p)
        assert FUNCTIONS.keys() > POINTERS
        assert len(SERVICES) == 3
