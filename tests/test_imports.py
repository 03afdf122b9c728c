"""Imports go one way: a layer imports only from lower ones, and no two modules import each other anywhere."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import pytest_ipc

PACKAGE = Path(pytest_ipc.__file__).parent
# From the lowest on; a layer imports from those before it. The two lazy tables of names import whatever they list.
LAYERS = """
    _version unpatched printable kernel custody resource processes requirements resources api audit verdict plugin cli
    __main__
""".split()
VERDICT = """
    command_error standard_streams manual need measure clause result suite platform judge reports reproduce runner bench
    commands
""".split()
TABLES = ("pytest_ipc", "pytest_ipc.kernel")


def dotted(path: Path) -> str:
    parts = (PACKAGE.name, *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {dotted(path): path for path in sorted(PACKAGE.rglob("*.py"))}


@cache
def imported(module: str) -> frozenset[str]:
    """Return the modules of the package that *module* imports, for type checkers and inside functions too."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    return frozenset(found for node in ast.walk(ast.parse(path.read_text())) for found in _named(node, package)) - {
        module
    }


def _named(node: ast.AST, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names if alias.name in MODULES)
    elif isinstance(node, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
        source = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            name = f"{source}.{alias.name}"
            if name in MODULES or source in MODULES:
                yield name if name in MODULES else source


def layer(module: str, layers: list[str], depth: int) -> int:
    return layers.index(module.split(".")[depth])


@pytest.mark.parametrize("module", [module for module in MODULES if module not in TABLES])
def test_a_module_imports_only_from_its_layer_and_below(module):
    assert imported(module).isdisjoint(TABLES), "import a name from the module that defines it"
    own = layer(module, LAYERS, 1)
    assert {other for other in imported(module) if layer(other, LAYERS, 1) > own} == set()


@pytest.mark.parametrize("module", [module for module in MODULES if module.startswith("pytest_ipc.verdict.")])
def test_a_module_of_verdict_imports_only_from_its_part_and_below(module):
    own = layer(module, VERDICT, 2)
    inside = {other for other in imported(module) if other.startswith("pytest_ipc.verdict.")}
    assert {other for other in inside if layer(other, VERDICT, 2) > own} == set()


def test_no_modules_import_each_other() -> None:
    graph = {module: imported(module) & MODULES.keys() for module in MODULES if module not in TABLES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" <- ".join(error.args[1]), pytrace=False)


def test_no_two_modules_have_one_name():
    """These folders aside, which have a module for each mechanism or subcommand, named after it."""
    named = {PACKAGE / name for name in ("kernel", "kernel/abi", "custody/kinds", "resources", "verdict/commands")}
    names = [path.stem for path in MODULES.values() if path.parent not in named and path.stem[:2] != "__"]
    names += [path.parent.stem for path in MODULES.values() if path.stem == "__init__"]
    assert sorted({name for name in names if names.count(name) > 1}) == []


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("pytest_ipc.kernel.shm", "from ..custody import ledger"),
        ("pytest_ipc.custody.record", "def late():\n    from ..processes.child import Child"),
        ("pytest_ipc.resources.pipe", "if TYPE_CHECKING:\n    from ..verdict import clause"),
        ("pytest_ipc.processes.child", "import pytest_ipc.plugin.hooks"),
    ],
)
def test_upward_import_is_found_anywhere(monkeypatch, tmp_path, name, wrong):
    (tmp_path / "wrong.py").write_text(wrong)
    monkeypatch.setitem(MODULES, name, tmp_path / "wrong.py")
    imported.cache_clear()
    try:
        with pytest.raises(AssertionError):
            test_a_module_imports_only_from_its_layer_and_below(name)
    finally:
        imported.cache_clear()


def test_a_circle_is_found(monkeypatch, tmp_path):
    (tmp_path / "wrong.py").write_text("def late():\n    from .ledger import intent")
    monkeypatch.setitem(MODULES, "pytest_ipc.custody.machine", tmp_path / "wrong.py")
    imported.cache_clear()
    try:
        with pytest.raises(pytest.fail.Exception, match="machine"):
            test_no_modules_import_each_other()
    finally:
        imported.cache_clear()
